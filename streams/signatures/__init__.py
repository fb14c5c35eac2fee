"""Signatures: what goes into a stage and what comes out, read without running it."""
