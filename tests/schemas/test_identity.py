"""A schema's ids follow from its text alone, everywhere and for ever."""

import hashlib
import uuid

import pytest

from schemas.errors import InvalidSchemaError
from schemas.identity import Identity, normalise, schema_id

TEXT = '{"type": "string",\n "allowed": ["é", "a"], "doc": "x"}'


def test_normalised_text_has_sorted_keys_and_no_whitespace():
    assert normalise(TEXT) == '{"allowed":["é","a"],"doc":"x","type":"string"}'


def test_text_and_parsed_json_normalise_alike():
    assert normalise(TEXT) == normalise(
        {"doc": "x", "type": "string", "allowed": ["é", "a"]}
    )


@pytest.mark.parametrize(
    "other",
    [
        {"type": "string", "doc": "y"},
        {"type": "string", "doc": "x", "logicalType": "uuid"},
        {"type": "string", "doc": "x", "default": ""},
        {"type": "string", "doc": "x", "aliases": ["z"]},
    ],
    ids=str,
)
def test_docs_logical_types_defaults_and_aliases_count(other):
    assert schema_id(normalise(other)) != schema_id('{"doc":"x","type":"string"}')


def test_an_id_is_the_first_31_bits_of_the_sha256():
    # Golden: records on topics carry these.
    named = Identity.of('"string"')
    digest = hashlib.sha256(b'"string"').hexdigest()
    assert named.hash == digest
    assert named.id == int(digest[:8], 16) >> 1 == 1962074340
    assert named.guid == str(uuid.UUID(digest[:32]))


def test_an_id_is_never_zero():
    assert Identity.of('"string"', lambda _: bytes(32)).id == 1


def test_an_id_fits_a_signed_int():
    assert Identity.of('"string"', lambda _: b"\xff" * 32).id == 2**31 - 1


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '"\\ud800"', "NaN"], ids=lambda t: repr(t[:8])
)
def test_what_is_no_json_is_no_schema(text):
    with pytest.raises(InvalidSchemaError, match="not JSON"):
        normalise(text)
