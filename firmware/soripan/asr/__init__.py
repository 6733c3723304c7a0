"""Speech recognition: models, lexicon, recogniser."""
