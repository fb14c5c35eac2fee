"""The schema registry as a value in memory: subjects, their versions, and all ids.

It is folded from records of the compacted topic ``<prefix>.schemas``, and neither
reads nor writes it: whoever holds the topic applies what it reads, and publishes what
:meth:`Subjects.register` returns. docs/decisions/0001-registry.md has the reasons.

Nothing depends on the order of the records: compaction keeps the last of equal ones,
and thereby moves it. Ids come from the text alone. Versions are numbered in the order
of the versions that the records *claim*; where two claim the same one (two workers
registered at the same moment) the smaller hash goes first, the other takes the next.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from schemas.compatibility import check_strictly, level_of, problems
from schemas.errors import (
    IncompatibleSchemaError,
    InvalidSchemaError,
    SchemaIdCollisionError,
    UnknownSchemaError,
)
from schemas.identity import (
    AvroSchema,
    Digest,
    Identity,
    normalise,
    parse_json,
    schema_id,
    sha256,
)
from schemas.limits import parse
from schemas.registrations import Registered, unpack, unpack_key

__all__ = [
    "Registered",
    "Registration",
    "SchemaSource",
    "Subjects",
    "normalise",
    "schema_id",
]

SUBJECT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,300}")
"""A topic's name has at most 249 characters; other naming strategies add to it."""


class SchemaSource(Protocol):
    """Where schemas come from: the embedded registry, or an external one."""

    async def by_id(self, ref: int | str) -> str:
        """Return the schema under an id (int) or a GUID (str).

        Raises:
            UnknownSchemaError: the registry does not have it.
            RegistryError: the registry did not answer.
        """
        ...

    async def register(self, subject: str, schema: AvroSchema) -> int:
        """Return the id of *schema*, which *subject* holds, or does from now on.

        Raises:
            InvalidSchemaError: no schema.
            IncompatibleSchemaError: it would break readers or writers of *subject*.
            SchemaIdCollisionError: another schema has its id.
            RegistryError: the registry did not answer, or takes no schemas.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What registering a schema takes."""

    id: int
    version: int
    record: tuple[bytes, bytes] | None = None
    """Key and value to publish, and then to apply; None if it was there already."""

    @property
    def new(self) -> bool:
        """Say whether there is something to publish."""
        return self.record is not None


@dataclass(slots=True)
class Subjects:
    """All registrations that this process knows. Mutable: one per process."""

    digest: Digest = sha256
    _schemas: dict[int, Identity] = field(default_factory=dict)
    _claims: dict[str, dict[int, int]] = field(default_factory=dict)
    """Claimed versions by subject and schema id."""

    def by_id(self, ref: int | str) -> str:
        """Return the text of a schema by id or GUID.

        Raises:
            UnknownSchemaError: no such schema, so far.
        """
        if isinstance(ref, int):
            found = self._schemas.get(ref)
        else:
            found = next((s for s in self._schemas.values() if s.guid == ref), None)
        if found is None:
            raise UnknownSchemaError(ref)
        return found.text

    def subjects(self) -> tuple[str, ...]:
        """Return the names of all subjects, sorted."""
        return tuple(sorted(self._claims))

    def versions(self, subject: str) -> tuple[Registered, ...]:
        """Return what *subject* holds, oldest first; nothing if it is unknown."""
        claims = self._claims.get(subject, {})
        held = [(claimed, self._schemas[known]) for known, claimed in claims.items()]
        version, found = 0, []
        for claimed, schema in sorted(held, key=lambda pair: (pair[0], pair[1].hash)):
            version = max(claimed, version + 1)
            found.append(Registered(subject=subject, version=version, schema=schema))
        return tuple(found)

    def uses(self, schema_id: int) -> tuple[Registered, ...]:
        """Return every registration of one schema."""
        holders = (s for s in self.subjects() if schema_id in self._claims[s])
        every = (found for subject in holders for found in self.versions(subject))
        return tuple(found for found in every if found.id == schema_id)

    def lookup(self, subject: str, schema: AvroSchema) -> Registered | None:
        """Return how *subject* holds *schema*, if it does.

        Raises:
            InvalidSchemaError: not JSON.
        """
        text = normalise(schema)
        return next((r for r in self.versions(subject) if r.text == text), None)

    def problems(
        self, subject: str, schema: AvroSchema, against: Iterable[Registered]
    ) -> tuple[str, ...]:
        """Return why *schema* may not follow *against*; empty if it may.

        Raises:
            InvalidSchemaError: no schema, or one that could harm its readers.
        """
        text = _checked(schema)
        earlier = [(old.version, old.text) for old in against]
        return tuple(problems(level_of(subject), text, earlier))

    def register(self, subject: str, schema: AvroSchema) -> Registration:
        """Say what registering *schema* takes. Nothing changes until it is applied.

        Raises:
            InvalidSchemaError: no schema, or one that could harm its readers.
            IncompatibleSchemaError: it would break readers or writers of *subject*.
            SchemaIdCollisionError: another schema has its id.
        """
        if not SUBJECT.fullmatch(subject):
            raise InvalidSchemaError(reason=f"{subject!r} is no name of a subject")
        known = self.lookup(subject, schema)
        if known is not None:
            return Registration(id=known.id, version=known.version)
        earlier = self.versions(subject)
        reasons = self.problems(subject, schema, earlier)
        if reasons:
            raise IncompatibleSchemaError(subject, reasons)
        new = Registered(
            subject=subject,
            version=earlier[-1].version + 1 if earlier else 1,
            schema=Identity.of(schema, self.digest),
        )
        self._refuse_collision(new)
        return Registration(id=new.id, version=new.version, record=new.pack())

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Fold in one record of the topic; None withdraws a registration.

        Raises:
            EnvelopeError: the record is none of ours, and was left out.
            SchemaIdCollisionError: another schema has its id; it was left out.
        """
        if value is None:
            self._withdraw(*unpack_key(key))
            return
        found = unpack(key, value, self.digest)
        self._refuse_collision(found)
        self._schemas[found.id] = found.schema
        self._claims.setdefault(found.subject, {})[found.id] = found.version

    def _refuse_collision(self, new: Registered) -> None:
        other = self._schemas.get(new.id)
        if other is not None and other.text != new.text:
            holders = [f"{r.subject} version {r.version}" for r in self.uses(new.id)]
            raise SchemaIdCollisionError(new.id, " and ".join(holders), new.subject)

    def _withdraw(self, hashed: str, subject: str) -> None:
        claims = self._claims.get(subject, {})
        for known in [k for k in claims if self._schemas[k].hash == hashed]:
            del claims[known]
            if not claims:
                del self._claims[subject]
            if not self.uses(known):
                del self._schemas[known]


def _checked(schema: AvroSchema) -> str:
    text = normalise(schema)
    parse(parse_json(text))
    check_strictly(text)
    return text
