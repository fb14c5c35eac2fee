"""Checkers of single values: what each scalar holds, and what is converted to it.

Only what loses nothing is converted: a whole number where a float is declared, and the
JSON form of what JSON has no form for: base64 for bytes, ISO 8601 for dates, digits for
decimals. Refused is what would not survive the way through JSON and Avro: NaN and
infinity, whole numbers beyond 64 bits, text with lone surrogates, moments without zone.
"""

import math
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Final

from streams.signatures.misfit import Checker, MisfitError, unlike
from streams.signatures.types import (
    BOOL,
    BYTES,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    STR,
    DecimalOf,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# No more than microseconds: Python would cut further digits off in silence.
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_DIGITS: Final = re.compile(r"-?\d{1,40}(\.\d{1,40})?", re.ASCII)


def is_int64(value: object) -> bool:
    """Say whether *value* is a whole number that Avro's ``long`` can hold."""
    return type(value) is int and -(2**63) <= value < 2**63


def text(value: object) -> str:
    """Return *value*, a text that can be encoded."""
    if type(value) is not str:
        raise unlike(STR, value)
    # isascii is free; only other text is searched for surrogates, by encoding it.
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise MisfitError(wanted="Unicode text", got="a lone surrogate") from error
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise unlike(INT, value)
    if not is_int64(value):
        raise MisfitError(wanted="a whole number of 64 bits", got="a larger one")
    return value


def _number(value: object) -> float:
    if type(value) is float:
        if not math.isfinite(value):
            raise MisfitError(wanted="a finite number", got=str(value))
        return value
    if type(value) is not int:
        raise unlike(FLOAT, value)
    # Beyond 2**53 some whole numbers have no float of their own.
    if not -(2**53) <= value <= 2**53:
        raise MisfitError(wanted="float", got="a whole number that no float equals")
    return float(value)


def _truth(value: object) -> bool:
    if type(value) is not bool:
        raise unlike(BOOL, value)
    return value


def _octets(value: object) -> bytes:
    if type(value) is bytes:
        return value
    if type(value) is not str:
        raise unlike(BYTES, value)
    try:
        octets = b64decode(value, validate=True)
    except ValueError:
        octets = b""
    # Some texts are read as if a part of them were not there.
    if b64encode(octets).decode() != value:
        raise MisfitError(wanted="bytes, or base64", got="another text")
    return octets


def _day(value: object) -> date:
    if type(value) is date:
        return value
    if type(value) is not str:
        raise unlike(DATE, value)
    try:
        if _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise MisfitError(wanted="a date, YYYY-MM-DD", got="another text")


def _moment(value: object) -> datetime:
    if type(value) is str:
        value = _moment_of(value)
    if type(value) is not datetime:
        raise unlike(DATETIME, value)
    if value.tzinfo is None:
        raise MisfitError(wanted="datetime with a time zone", got="one without")
    try:
        # Without the mark of an hour that comes twice: in UTC none does.
        return value.astimezone(UTC).replace(fold=0)
    except OverflowError as error:
        raise MisfitError(wanted="a year from 1 to 9999", got="another") from error


def _moment_of(value: str) -> datetime:
    try:
        if _MOMENT.fullmatch(value):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    wanted = "a datetime with its zone, YYYY-MM-DDThh:mm:ssZ"
    raise MisfitError(wanted=wanted, got="another text")


SCALARS: Final[Mapping[str, Checker]] = {
    "str": text,
    "int": _whole,
    "float": _number,
    "bool": _truth,
    "bytes": _octets,
    "date": _day,
    "datetime": _moment,
}


def decimal_checker(kind: DecimalOf) -> Checker:
    """Return the checker of exact numbers, which come out with all their places."""
    context = Context(prec=kind.digits + 1)
    unit = Decimal(1).scaleb(-kind.places)
    most = Decimal(10) ** (kind.digits - kind.places)

    def check(value: object) -> Decimal:
        exact = _exact(value, kind)
        # The size first: rounding a huge number would cost all its digits.
        if not abs(exact) < most:
            raise MisfitError(wanted=str(kind), got="a larger number")
        rounded = exact.quantize(unit, context=context)
        if rounded != exact:
            raise MisfitError(wanted=str(kind), got="one with more places")
        # Avro has no negative zero.
        return rounded or abs(rounded)

    return check


def _exact(value: object, kind: DecimalOf) -> Decimal:
    match value:
        case bool():
            raise unlike(kind, value)
        case int() if is_int64(value):
            return Decimal(value)
        case str() if _DIGITS.fullmatch(value):
            return Decimal(value)
        case Decimal() if value.is_finite():
            return value
        case str() | Decimal():
            raise MisfitError(wanted=f"{kind}, in digits", got="something else")
        case _:
            # A float among them: what was written as 0.1 is no longer 0.1.
            raise unlike(kind, value)
