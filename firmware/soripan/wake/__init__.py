"""Wake-word detectors."""
