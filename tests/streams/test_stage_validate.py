"""Validate stages report which rules are broken, or fail because some are."""

import asyncio

import pytest

from streams.errors import RulesError
from tests.streams.native import made, outputs, problems_of

CHECK = """
validate: "reply: str, category: Literal['billing', 'bug'] -> {outputs}"
rules:
  the reply is short: "size(reply) < 20"
  bugs are not paid for: "category != 'bug' || !reply.contains('refund')"
fail: {fail}
"""


def check(wanted="valid: bool, problems: list[str]", *, fail="false"):
    return made(CHECK.format(outputs=wanted, fail=fail))


async def test_rules_that_hold_leave_no_problems():
    found = await outputs(check(), reply="yes", category="bug")
    assert found == {"valid": True, "problems": []}


async def test_broken_rules_are_named_in_the_order_of_the_file():
    found = await outputs(check(), reply="a refund, and more of it", category="bug")
    assert found == {
        "valid": False,
        "problems": ["the reply is short", "bugs are not paid for"],
    }


async def test_either_output_may_be_left_out_and_has_any_name():
    assert await outputs(check("fine: bool"), reply="", category="bug") == {
        "fine": True
    }
    assert await outputs(check("wrong: list[str]"), reply="", category="bug") == {
        "wrong": []
    }


async def test_a_stage_may_fail_for_broken_rules_and_quotes_no_value():
    stage = check(fail="true")
    with pytest.raises(RulesError) as caught:
        await outputs(stage, reply="refund refund refund", category="bug")
    assert caught.value.broken == ("the reply is short", "bugs are not paid for")
    assert str(caught.value) == "s: broken: the reply is short; bugs are not paid for"
    assert (caught.value.code, caught.value.retryable) == ("stage.invalid", False)
    found = await outputs(stage, reply="", category="bug")
    assert found == {"valid": True, "problems": []}


@pytest.mark.parametrize("rule", ["items[0] > 1", "1 / size(items) > 0"])
async def test_a_rule_that_has_no_value_is_broken(rule):
    stage = made(
        f'{{validate: "items: list[int] -> ok: bool", rules: {{r: "{rule}"}}}}'
    )
    assert await outputs(stage, items=[]) == {"ok": False}
    assert await outputs(stage, items=[2]) == {"ok": True}


async def test_other_runs_have_their_turn_between_two_rules():
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    going = asyncio.create_task(others())
    await outputs(check(), reply="yes", category="bug")
    going.cancel()
    assert turns >= CHECK.count("size(") + CHECK.count("contains(")


async def test_what_is_reported_is_the_results_own():
    stage = check("wrong: list[str]")
    first = await outputs(stage, reply="x" * 20, category="billing")
    first["wrong"].append("spoilt")
    again = await outputs(stage, reply="x" * 20, category="billing")
    assert again == {"wrong": ["the reply is short"]}


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        ("{validate: 'x -> ok: bool'}", ["rules: is missing"]),
        ("{validate: 'x -> ok: bool', rules: {}}", ["rules: is missing"]),
        ("{validate: 'x -> ok: bool', rules: [a]}", ["rules: must be a mapping"]),
        ("{validate: 'x -> ok: bool', rules: {r: }}", ["rules.r: is missing"]),
        ("{validate: 'x -> ok: bool', rules: {r: 1}}", ["rules.r: must be text, and"]),
        (
            "{validate: 'x -> ok: bool', rules: {r: 'true'}, fail: perhaps}",
            ["fail: must be true or false"],
        ),
        ("{validate: 'x', rules: {r: 'true'}}", ["validate: column 2: a signature"]),
        (
            "{validate: 'x -> ok: bool', rules: {r: 'true'}, rule: {}}",
            ["rule: is unknown; did you mean rules?"],
        ),
        (
            "{validate: 'x -> ok: int, a: bool, b: bool', rules: {r: 'true'}}",
            ["validate: ok is int: a validate stage leaves", "validate: leaves two"],
        ),
        (
            "{validate: 'x -> ok: bool', rules: {r: 'y > 1', s: 'x', t: 'x +'}}",
            ["rules.r: column 1: ", "rules.s: ", "rules"],
        ),
        (
            "{validate: 'x: int -> ok: bool', rules: {r: \"x == 'a'\"}}",
            ["rules.r: column 3: "],
        ),
    ],
)
def test_every_mistake_has_its_path(entry, problems):
    found = problems_of(entry)
    assert len(found) == len(problems), found
    for problem, beginning in zip(found, problems, strict=True):
        assert problem.startswith(beginning)


def test_the_version_changes_with_the_rules_and_their_order():
    def version(rules, *, fail="false"):
        entry = f"{{validate: 'x -> p: list[str]', rules: {rules}, fail: {fail}}}"
        return made(entry).version

    versions = {
        version("{a: 'true', b: 'false'}"),
        version("{b: 'false', a: 'true'}"),
        version("{a: 'true', b: 'true'}"),
        version("{a: 'true', b: 'false'}", fail="true"),
    }
    assert len(versions) == 4
    assert version("{a: 'true'}") == version("{a: 'true'}")
    assert version("{a: 'true'}").startswith("validate@")
