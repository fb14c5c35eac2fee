"""Send one request to the pipeline `support` with an ordinary Kafka client.

    python examples/confluent_producer.py --ticket "No water since Monday" --session s-1

Needs `confluent-kafka[avro,schemaregistry]`, a broker, and a schema registry: a
penstock worker serves one on its HTTP port.
"""

import argparse
import uuid
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext


def serializer(registry: str) -> AvroSerializer:
    """Return a serializer that writes with the newest schema of the topic."""
    return AvroSerializer(
        SchemaRegistryClient({"url": registry}),
        conf={
            # The schema belongs to the pipeline: fetch it, never register one.
            "auto.register.schemas": False,
            "use.latest.version": True,
            # The subject is `<topic>-value`.
            "subject.name.strategy.type": "TOPIC",
        },
    )


def request(*, session: str, ticket: str, tier: str = "free") -> dict[str, Any]:
    """Return a request. Its id makes it unique: sent twice, it is answered once."""
    return {
        "request_id": str(uuid.uuid4()),
        "session_id": session,
        "inputs": {"ticket": ticket, "tier": tier},
    }


def send(bootstrap: str, registry: str, topic: str, value: dict[str, Any]) -> None:
    """Write *value* to *topic* and wait until the broker has it."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            # As Java's clients do it, so that a session stays on one partition.
            "partitioner": "murmur2_random",
        }
    )
    context = SerializationContext(topic, MessageField.VALUE)
    producer.produce(
        topic,
        key=value["session_id"],
        value=serializer(registry)(value, context),
        on_delivery=delivered,
    )
    producer.flush()


def delivered(error: KafkaError | None, _: Message) -> None:
    """Raise where the broker did not take the record."""
    if error:
        raise KafkaException(error)


def main() -> None:
    """Read the command line, send, and print the id to look for in the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--registry", default="http://127.0.0.1:8080")
    parser.add_argument("--topic", default="penstock.support.requests")
    parser.add_argument("--session", default="s-1")
    parser.add_argument("--ticket", required=True)
    parser.add_argument("--tier", choices=("free", "pro"), default="free")
    args = parser.parse_args()
    value = request(session=args.session, ticket=args.ticket, tier=args.tier)
    send(args.bootstrap, args.registry, args.topic, value)
    print(value["request_id"])


if __name__ == "__main__":
    main()
