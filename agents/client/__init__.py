"""What a client of penstock does: it sends requests, and reads what came of them."""
