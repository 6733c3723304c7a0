"""Sources of sound, and what the panel plays."""
