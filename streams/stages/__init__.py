"""Stage kinds: one file a kind, and what the kinds that ask an LM share."""
