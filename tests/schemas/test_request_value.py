"""A request goes into Avro and comes back as it was."""

from schemas.codec import ParsedSchema, decode, encode
from schemas.envelopes import request_of, request_schema, request_value
from schemas.records import Request

TICKET = [{"name": "ticket", "type": "string"}]
SCHEMA = ParsedSchema.of(request_schema("penstock.support", TICKET))


def there_and_back(request: Request) -> Request:
    body = encode(SCHEMA, request_value(request))
    return request_of(decode(body, start=0, schema=SCHEMA, limit_bytes=10_000))


def test_a_request_survives_the_way_through_avro():
    full = Request(
        request_id="r-1",
        pipeline="support",
        inputs={"ticket": "No water."},
        session_id="s-1",
        pipeline_version=3,
        deadline_ms=1_700_000_000_000,
        priority=2,
        tenant="north",
        mode="DEBUG",
        options={"a": "b"},
    )
    assert there_and_back(full) == full
    plain = Request(request_id="r-2", pipeline="support", inputs={"ticket": ""})
    assert there_and_back(plain) == plain
