"""Pipelines looked at without running them: drawn, explained, compared."""
