"""What a pipeline file says, read into values; nothing is compiled here."""
