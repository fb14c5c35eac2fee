"""Conditions in CEL: checked, compiled once, and bounded in their work."""
