"""The command line: one file per noun, registered in ``nouns.py``."""
