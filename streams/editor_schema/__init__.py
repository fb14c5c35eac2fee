"""What the JSON Schema of pipeline files says of each key, for editors."""
