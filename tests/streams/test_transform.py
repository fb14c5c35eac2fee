"""Transforms run the user's functions: found by name, called by name, kept apart."""

import asyncio
import sys
import threading
from datetime import date, datetime
from typing import Literal

import pytest

from streams.catalog import STAGE_KINDS
from streams.config import Settings
from streams.errors import ConfigError, StageBugError, StageOutputError
from streams.language.stage_spec import StageSpec, Workshop
from streams.signatures.from_function import field_type, read_function
from streams.signatures.parse import Declared, parse_signature
from streams.signatures.types import (
    BYTES,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    STR,
    Choice,
    ListOf,
    MapOf,
    Maybe,
    OneOf,
    TupleListOf,
    TupleOf,
)
from streams.stages.transform import build_transform, describe_transform
from streams.user_code import UserCode

CODE = """
import threading
from os import system
from typing import Any, Literal, NotRequired, Optional, TypedDict

class Out(TypedDict):
    reply: str
    note: Optional[str]

class Loose(TypedDict):
    reply: NotRequired[str]

class Odd(TypedDict):
    reply: complex
    _x: str

def polite(reply, tone: Literal["warm", "cool"] = "warm", n: int | None = None) -> Out:
    return {"reply": f"{tone}: {reply}", "note": None}

async def later(reply: str) -> Out:
    return {"reply": reply, "note": "later"}

def where(reply: str) -> Out:
    return {"reply": threading.current_thread().name, "note": None}

def spoils(tags: list[str]) -> Out:
    tags.append("spoilt")
    return {"reply": tags[-1], "note": None}

def stops(reply: str) -> Out:
    raise StopIteration

def leaves(reply: str) -> Out:
    raise SystemExit(3)

def number(reply: str):
    return 3

def many(*replies: str) -> Out: ...
def positional(reply: str, /) -> Out: ...
def history(history: str) -> Out: ...
def odd_type(reply: complex) -> Out: ...
def bad_default(n: int = "x") -> Out: ...
def bare_default(n=3) -> Out: ...
def nothing() -> Out: ...
def loose(reply: str) -> Loose: ...
def odd(reply: str) -> Odd: ...
def unknown(reply: "Nowhere") -> Out: ...
def underscore(_reply: str) -> Out: ...

not_a_function = 3
"""


@pytest.fixture
def code(tmp_path):
    """User code in a folder of its own; nothing of it is left behind."""
    (tmp_path / "desk_code.py").write_text(CODE)
    (tmp_path / "broken_code.py").write_text("raise SystemExit('no')")
    path = list(sys.path)
    yield UserCode(["desk_code", "broken_code", "missing_code"], [str(tmp_path)])
    sys.path[:] = path
    sys.modules.pop("desk_code", None)


def spec(target, signature="reply -> reply, note: str | None", *, inline=False):
    reading = parse_signature(signature)
    return StageSpec(
        name="polite",
        inputs=tuple(d.typed(None) for d in reading.inputs),
        outputs=tuple(d.typed(None) for d in reading.outputs),
        target=f"desk_code:{target}",
        options={"inline": inline},
    )


async def call(stage, **fields):
    return (await stage(fields, None)).outputs


async def test_an_inline_function_runs_on_the_loop(code):
    stage = build_transform(spec("where", inline=True), Workshop(code=code))
    assert (await call(stage, reply=""))["reply"] == threading.current_thread().name


async def test_any_other_function_runs_on_a_thread_of_its_own_lane(code):
    stage = build_transform(spec("where"), Workshop(code=code))
    assert (await call(stage, reply=""))["reply"].startswith("penstock-code")


async def test_an_async_function_is_awaited(code):
    stage = build_transform(spec("later"), Workshop(code=code))
    assert await call(stage, reply="x") == {"reply": "x", "note": "later"}


async def test_a_function_cannot_spoil_its_inputs_for_others(code):
    for inline in (True, False):
        stage = build_transform(
            spec("spoils", "tags: list[str] -> reply"), Workshop(code=code)
        )
        tags = ["a"]
        assert (await call(stage, tags=tags))["reply"] == "spoilt"
        assert tags == ["a"], inline


@pytest.mark.parametrize("target", ["stops", "leaves"])
async def test_what_no_future_can_carry_is_a_bug_of_the_stage(code, target):
    stage = build_transform(spec(target), Workshop(code=code))
    with pytest.raises(StageBugError):
        await asyncio.wait_for(call(stage, reply="x"), 5)


async def test_what_is_no_dict_does_not_fit(code):
    stage = build_transform(spec("number"), Workshop(code=code))
    with pytest.raises(StageOutputError, match="returned int, not a dict of outputs"):
        await call(stage, reply="x")


def test_the_version_changes_with_the_code(code, tmp_path):
    first = build_transform(spec("polite"), Workshop(code=code)).version
    assert first.startswith("desk_code:polite@")
    assert build_transform(spec("polite"), Workshop(code=code)).version == first
    (tmp_path / "desk_code.py").write_text(CODE + "\n# changed\n")
    del sys.modules["desk_code"]
    assert build_transform(spec("polite"), Workshop(code=code)).version != first


def test_code_without_source_is_refused(code, tmp_path):
    code.find("desk_code:polite")
    (tmp_path / "desk_code.py").unlink()
    sys.modules["desk_code"].__file__ = None
    with pytest.raises(ConfigError, match="has no source"):
        build_transform(spec("polite"), Workshop(code=code))


def test_a_function_must_take_the_inputs_of_its_signature(code):
    with pytest.raises(ConfigError, match="cannot be called with these inputs"):
        build_transform(spec("polite", "reply, mood -> reply"), Workshop(code=code))


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("desk_code", "'desk_code' is not written module:function"),
        ("desk_code:a.b", "'desk_code:a.b' is not written module:function"),
        ("desk code:polite", "'desk code:polite' is not written module:function"),
        (":polite", "':polite' is not written module:function"),
        ("os:system", "module os is not allowed; PENSTOCK_CODE_MODULES allows desk"),
        ("desk_codes:polite", "module desk_codes is not allowed"),
        ("desk_code:system", "module posix is not allowed"),
        ("desk_code:nowhere", "desk_code has no function nowhere"),
        ("desk_code:not_a_function", "desk_code has no function not_a_function"),
        ("missing_code:f", "cannot import missing_code: ModuleNotFoundError"),
        ("broken_code:f", "cannot import broken_code: SystemExit: no"),
    ],
)
def test_only_functions_of_allowed_modules_are_found(code, target, sentence):
    with pytest.raises(ConfigError) as caught:
        code.find(target)
    assert caught.value.problems[0].startswith(sentence)


def test_what_is_allowed_comes_from_the_settings(tmp_path):
    (tmp_path / "allowed.py").write_text("def f(a: str): ...")
    path = list(sys.path)
    settings = Settings(code_modules="other, allowed", code_paths=f":{tmp_path}")
    code = UserCode.of(settings)
    assert code.find("allowed:f").__name__ == "f"
    assert sys.path[: len(path)] == path, "user code comes last"
    sys.path[:] = path
    del sys.modules["allowed"]
    code.close()
    with pytest.raises(ConfigError, match="allows none"):
        UserCode.of(Settings(code_modules="")).find("allowed:f")


def test_parameters_are_inputs_and_the_returned_keys_are_outputs(code):
    reading = describe_transform("desk_code:polite", code)
    assert reading.problems == ()
    assert reading.inputs == (
        Declared(name="reply"),
        Declared(
            name="tone", type=Choice(("warm", "cool")), required=False, default="warm"
        ),
        Declared(name="n", type=Maybe(INT), required=False),
    )
    assert reading.outputs == (
        Declared(name="reply", type=STR),
        Declared(name="note", type=Maybe(STR), required=False),
    )


@pytest.mark.parametrize(
    ("target", "sentences"),
    [
        ("number", ["say what it returns: a TypedDict, or `signature`"]),
        ("many", ["its parameter replies cannot be given by name"]),
        ("positional", ["its parameter reply cannot be given by name"]),
        ("history", ["history is for stages that ask an LM"]),
        ("odd_type", ["its parameter reply has a type that no field can have"]),
        ("bad_default", ["default of n: expected int, got str"]),
        ("bare_default", ["its parameter n has a default and needs a type"]),
        ("nothing", ["it takes no inputs"]),
        ("loose", ["its output reply has a type that no field can have"]),
        (
            "odd",
            [
                "its output reply has a type that no field can have",
                "'_x' begins with an underscore",
            ],
        ),
        ("unknown", ["its signature cannot be read: name 'Nowhere' is not defined"]),
        ("underscore", ["'_reply' begins with an underscore"]),
    ],
)
def test_a_function_that_is_no_stage_says_why(code, target, sentences):
    assert list(describe_transform(f"desk_code:{target}", code).problems) == sentences


def test_a_function_without_annotations_still_has_inputs():
    assert read_function(lambda reply: reply).inputs == (Declared(name="reply"),)


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (str, STR),
        (list[float], ListOf(FLOAT)),
        (dict[str, list[int]], MapOf(ListOf(INT))),
        (str | None, Maybe(STR)),
        (dict[int, str], None),
        (list[bytes], ListOf(BYTES)),
        (date, DATE),
        (datetime | None, Maybe(DATETIME)),
        (int | str, OneOf((STR, INT))),
        (str | int | None, Maybe(OneOf((STR, INT)))),
        (str | date, None),
        (str | complex, None),
        (tuple[str, int], TupleOf((STR, INT))),
        (tuple[date, datetime], None),
        (list, None),
        (tuple[str, ...], TupleListOf(STR)),
    ],
)
def test_annotations_mean_what_they_mean_in_signatures(hint, kind):
    assert field_type(hint) == kind


def test_choices_of_mixed_values_have_no_type():
    assert field_type(Literal["a", 1]) is None
    assert field_type(Literal[1, 2]) == Choice((1, 2))


def test_the_catalog_has_transforms():
    assert STAGE_KINDS["transform"].build is build_transform
