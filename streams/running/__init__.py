"""One request on its way through a compiled pipeline."""
