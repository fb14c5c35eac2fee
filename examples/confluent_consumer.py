"""Print the results of the pipeline `support` with an ordinary Kafka client.

    python examples/confluent_consumer.py --count 1

Needs `confluent-kafka[avro,schemaregistry]`, a broker, and a schema registry: a
penstock worker serves one on its HTTP port.
"""

import argparse
import json
import uuid
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def deserializer(registry: str) -> AvroDeserializer:
    """Return a deserializer that reads each record with the schema it names."""
    return AvroDeserializer(
        SchemaRegistryClient({"url": registry}),
        conf={"subject.name.strategy.type": "TOPIC"},  # the subject is `<topic>-value`
    )


def results(bootstrap: str, registry: str, topic: str) -> Iterator[dict[str, Any]]:
    """Give every result on *topic*, from the oldest on, for as long as you ask."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"results-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            # Results are written in transactions: an aborted one never happened.
            # It is the default here; Java's and aiokafka's clients need telling.
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([topic])
    read = deserializer(registry)
    context = SerializationContext(topic, MessageField.VALUE)
    try:
        while True:
            record = consumer.poll(timeout=1.0)
            if record is None:
                continue
            if record.error():
                raise KafkaException(record.error())
            yield read(record.value(), context)
    finally:
        consumer.close()


def main() -> None:
    """Read the command line and print one result a line, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--registry", default="http://127.0.0.1:8080")
    parser.add_argument("--topic", default="penstock.support.results")
    parser.add_argument("--count", type=int, default=0, help="0: until interrupted")
    args = parser.parse_args()
    found = results(args.bootstrap, args.registry, args.topic)
    for count, result in enumerate(found, start=1):
        print(json.dumps(result, ensure_ascii=False), flush=True)
        if count == args.count:
            break


if __name__ == "__main__":
    main()
