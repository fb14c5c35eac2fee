"""The edge: Faust, Kafka, RocksDB, the command line and HTTP."""
