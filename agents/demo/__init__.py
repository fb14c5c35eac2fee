"""The demo: a broker, a worker, real tickets in, results out, a clean stop."""
