"""From a transcript to an intent: sentence templates, numbers, parser."""
