"""The session with the speaker: listening, deciding, answering, timers."""
