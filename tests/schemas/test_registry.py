"""The registry is a fold of its topic: same records, same answers, in any order."""

import itertools
from typing import Any

import pytest

from schemas.errors import (
    EnvelopeError,
    IncompatibleSchemaError,
    InvalidSchemaError,
    SchemaIdCollisionError,
    UnknownSchemaError,
)
from schemas.identity import Identity, normalise, schema_id
from schemas.registrations import Registered
from schemas.registry import Subjects

RESULTS = "penstock.support.results-value"
OTHERS = "penstock.other.results-value"


def schema(*names: str) -> dict[str, Any]:
    fields = [{"name": n, "type": ["null", "string"], "default": None} for n in names]
    return {"type": "record", "name": "R", "fields": fields}


def record_of(subject: str, version: int, *names: str) -> tuple[bytes, bytes]:
    named = Identity.of(schema(*names))
    return Registered(subject=subject, version=version, schema=named).pack()


def enter(subjects: Subjects, subject: str, *names: str) -> int:
    registration = subjects.register(subject, schema(*names))
    assert registration.record
    subjects.apply(*registration.record)
    return registration.id


def test_a_new_schema_is_version_1_and_its_id_is_its_hash():
    subjects = Subjects()
    registration = subjects.register(RESULTS, schema("a"))
    assert registration.new
    assert registration.version == 1
    assert registration.id == schema_id(normalise(schema("a")))


def test_nothing_is_registered_before_its_record_is_applied():
    subjects = Subjects()
    registration = subjects.register(RESULTS, schema("a"))
    assert subjects.subjects() == ()
    with pytest.raises(UnknownSchemaError):
        subjects.by_id(registration.id)


def test_registering_again_finds_what_is_there():
    subjects = Subjects()
    first = enter(subjects, RESULTS, "a")
    enter(subjects, RESULTS, "a", "b")
    again = subjects.register(RESULTS, '{"fields": [{"default": null, "name": "a",'
        ' "type": ["null", "string"]}], "name": "R", "type": "record"}')  # fmt: skip
    assert (again.id, again.version, again.new) == (first, 1, False)


def test_a_schema_is_found_by_id_and_by_guid():
    subjects = Subjects()
    known = enter(subjects, RESULTS, "a")
    (held,) = subjects.versions(RESULTS)
    assert subjects.by_id(known) == subjects.by_id(held.schema.guid) == held.text
    with pytest.raises(UnknownSchemaError):
        subjects.by_id("no-guid")


def test_one_schema_may_have_many_subjects():
    subjects = Subjects()
    known = enter(subjects, RESULTS, "a")
    enter(subjects, OTHERS, "b")
    assert enter(subjects, OTHERS, "a") == known
    assert [(r.subject, r.version) for r in subjects.uses(known)] == [
        (OTHERS, 2),
        (RESULTS, 1),
    ]
    assert subjects.subjects() == (OTHERS, RESULTS)


def test_lookup_is_by_subject():
    subjects = Subjects()
    enter(subjects, RESULTS, "a")
    found = subjects.lookup(RESULTS, schema("a"))
    assert found is not None
    assert found.version == 1
    assert subjects.lookup(OTHERS, schema("a")) is None


def test_the_records_of_different_registrations_have_different_keys():
    # Compaction keeps one record per key: no registration may share one.
    keys = {
        record_of(subject, 1, name)[0] for subject in (RESULTS, OTHERS) for name in "ab"
    }
    assert len(keys) == 4


def test_any_order_of_the_records_gives_the_same_registry():
    records = [
        record_of(RESULTS, 1, "a"),
        record_of(RESULTS, 2, "b"),
        record_of(RESULTS, 2, "c"),  # two workers met
        record_of(RESULTS, 3, "d"),
        record_of(OTHERS, 1, "a"),
    ]
    seen = set()
    for order in itertools.permutations(records):
        subjects = Subjects()
        for record in (*order, order[0]):
            subjects.apply(*record)
        seen.add((subjects.versions(RESULTS), subjects.versions(OTHERS)))
    ((results, others),) = seen
    assert [r.version for r in results] == [1, 2, 3, 4]
    assert [r.version for r in others] == [1]


def test_a_tombstone_withdraws_one_registration():
    subjects = Subjects()
    known = enter(subjects, RESULTS, "a")
    enter(subjects, OTHERS, "a")
    enter(subjects, OTHERS, "b")
    key, _ = record_of(RESULTS, 1, "a")
    subjects.apply(key, None)
    subjects.apply(key, None)
    assert subjects.subjects() == (OTHERS,)
    assert subjects.by_id(known)
    subjects.apply(record_of(OTHERS, 1, "a")[0], None)
    with pytest.raises(UnknownSchemaError):
        subjects.by_id(known)
    assert [r.version for r in subjects.versions(OTHERS)] == [2]


def test_a_version_that_breaks_readers_is_refused_with_every_reason():
    subjects = Subjects()
    subjects.apply(*record_of(RESULTS, 1, "a"))
    needed = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]}
    with pytest.raises(IncompatibleSchemaError, match="version 1: ") as caught:
        subjects.register(RESULTS, needed)
    assert caught.value.subject == RESULTS
    assert len(caught.value.reasons) == 1


def test_compatibility_is_transitive():
    subjects = Subjects()

    def typed(kind: str | None) -> dict[str, Any]:
        field = {"name": "a", "type": kind, "default": ""}
        return {"type": "record", "name": "R", "fields": [field] if kind else []}

    for kind in ("string", None):
        registration = subjects.register(RESULTS, typed(kind))
        assert registration.record
        subjects.apply(*registration.record)
    # Nothing is wrong with version 2, which has no such field; version 1 would break.
    wrong = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]}
    with pytest.raises(IncompatibleSchemaError, match="version 1") as caught:
        subjects.register(RESULTS, wrong)
    assert len(caught.value.reasons) == 1


def test_two_schemas_with_one_id_are_refused_and_both_are_named():
    subjects = Subjects(digest=lambda data: bytes(24) + len(data).to_bytes(8, "big"))
    enter(subjects, RESULTS, "a")
    with pytest.raises(SchemaIdCollisionError) as caught:
        subjects.register(OTHERS, schema("a", "b"))
    assert f"{RESULTS} version 1" in str(caught.value)
    assert OTHERS in str(caught.value)


def test_a_collision_on_the_topic_is_left_out():
    def digest(data: bytes) -> bytes:
        return bytes(24) + len(data).to_bytes(8, "big")

    subjects = Subjects(digest=digest)
    enter(subjects, RESULTS, "a")
    other = Identity.of(schema("a", "b"), digest)
    record = Registered(subject=OTHERS, version=1, schema=other).pack()
    with pytest.raises(SchemaIdCollisionError):
        subjects.apply(*record)
    assert subjects.subjects() == (RESULTS,)


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        '{"type": "record", "name": "a-b", "fields": []}',
        '{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}',
        '"nothing"',
    ],
)
def test_what_is_no_schema_is_not_registered(bad):
    with pytest.raises(InvalidSchemaError):
        Subjects().register(RESULTS, bad)


def test_an_unknown_logical_type_is_no_reason_to_refuse_or_to_warn():
    kind = {"type": "string", "logicalType": "phone-number"}
    assert Subjects().register(RESULTS, kind).new


@pytest.mark.parametrize("subject", ["", "a\nb", "x" * 301])
def test_a_subject_has_a_printable_name(subject):
    with pytest.raises(InvalidSchemaError, match="no name of a subject"):
        Subjects().register(subject, schema("a"))


KEY, VALUE = record_of(RESULTS, 1, "a")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"", VALUE),
        (b"key", VALUE),
        (KEY[:65], VALUE),
        (KEY[:65] + b"\xff", VALUE),
        (KEY, b""),
        (KEY, b"[]"),
        (KEY, b"{}"),
        (KEY, b'{"schema": "{", "version": 1}'),
        (KEY, b'{"schema": "\\"int\\"", "version": 1}'),
        (KEY, VALUE.replace(b'"version":1', b'"version":0')),
        (KEY, VALUE.replace(b'"version":1', b'"version":"1"')),
        (b"key", None),
    ],
    ids=str,
)
def test_a_record_that_is_none_of_ours_is_left_out(key, value):
    subjects = Subjects()
    with pytest.raises(EnvelopeError):
        subjects.apply(key, value)
    assert subjects == Subjects()
