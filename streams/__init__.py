"""The core: pipelines of DSPy stages, decided without Kafka."""
