"""LMs: one file an engine, and what they share (limits, outages, wire format)."""
