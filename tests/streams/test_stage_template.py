"""Templates write outputs from inputs; they reach no Python, and end soon."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from streams.errors import StageOutputError, TemplateError
from streams.stages.template_checks import MAX_SOURCE
from streams.stages.template_filters import FILTERS
from streams.stages.template_work import BUDGET, MAX_CHARACTERS
from tests.streams.native import made, outputs, problems_of

LETTER = """
template: "name: str, items: list[str] -> letter: str"
text: |
  Dear {{ name }},
  {% for item in items %}
  {{ loop.index }}. {{ item }}
  {% endfor %}
"""


def stage(text, signature="x -> y: str", types=None):
    """Return a stage with one text."""
    return made(f"{{template: {signature!r}, text: {_quoted(text)}}}", types=types)


def _quoted(text):
    return "'" + text.replace("'", "''").replace("\n", "\n\n") + "'"


async def test_a_text_is_written_from_fields():
    assert await outputs(made(LETTER), name="Ada", items=["tea", "milk"]) == {
        "letter": "Dear Ada,\n1. tea\n2. milk\n"
    }


async def test_each_of_several_outputs_has_its_text():
    mail = made(
        'template: "name -> subject: str, body: str"\n'
        'text: {subject: "For {{ name }}", body: "Dear {{ name }}"}\n'
    )
    found = await outputs(mail, name="Ada")
    assert found == {"subject": "For Ada", "body": "Dear Ada"}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "{{ x | length }}", 3),
        ("float", "0.5", 0.5),
        ("bool", "{{ 'a' in x }}", True),
        ("list[str]", "{{ [x, 'b'] | tojson }}", ["abc", "b"]),
        ("dict[str, int]", '{"n": {{ x | length }}}', {"n": 3}),
        ("Line", '{"sku": {{ x | tojson }}}', {"sku": "abc"}),
        ("int | None", "null", None),
        ("Literal[1, 2]", "2", 2),
        ("Literal['abc']", "{{ x }}", "abc"),
        ("str[..5]", "{{ x }}", "abc"),
        ("str | None", "null", "null"),
        ("date", "2026-02-28", "2026-02-28"),
        ("Decimal[4, 2]", "12.50", "12.50"),
        ("int | bool", "true", True),
    ],
)
async def test_what_is_no_text_is_read_from_its_json_form(kind, text, value):
    types = {"Line": "sku: str"}
    one = stage(text, f"x: str -> y: {kind}", types)
    assert await outputs(one, x="abc") == {"y": value}


async def test_a_text_that_is_no_json_does_not_fit_and_is_not_quoted():
    with pytest.raises(StageOutputError) as caught:
        await outputs(stage("{{ x }}", "x -> y: int"), x="secret")
    assert str(caught.value) == "s: y: is no JSON"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("<b>", "<b>"),
        (None, "null"),
        (True, "true"),
        (1.0, "1.0"),
        (["a", 1], '["a",1]'),
        (Decimal("12.50"), "12.50"),
        (date(2026, 2, 28), "2026-02-28"),
        (datetime(2026, 2, 28, 12, tzinfo=UTC), "2026-02-28T12:00:00+00:00"),
        (b"hi", "aGk="),
        ({"when": date(2026, 2, 28)}, '{"when":"2026-02-28"}'),
    ],
)
async def test_values_are_written_in_their_json_form(value, shown):
    assert await outputs(stage("{{ x }}"), x=value) == {"y": shown}


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("{{ x.items }}", {"items": [1]}, "[1]"),
        ("{{ x.a.b }}", {"a": {"b": 2}}, "2"),
        ("{{ x['__class__'] }}", {"__class__": "key"}, "key"),
        ("{{ x[0] }}{{ x[1:] }}", ["a", "b"], 'a["b"]'),
        ("{{ x | default('-') }}", None, "-"),
        ("{{ x.y | default }}", {}, ""),
        ("{{ x | upper }} {{ x | lower }} {{ x | title }}", "aB c", "AB C ab c Ab C"),
        ("{{ x | capitalize | replace('b', 'xx') }}", "ab", "Axx"),
        ("{{ x | trim | truncate(3) }}", " abcdef ", "ab…"),
        ("{{ x | truncate(9, '') }}", "abc", "abc"),
        ("{{ x | join(', ') }}", ["a", 1], "a, 1"),
        ("{{ x | first }}{{ x | last }}{{ x | length }}", [3, 1], "312"),
        ("{{ x | sort | reverse | join }}", [3, 1, 2], "321"),
        ("{{ x | sort(attribute='n') | map(attribute='n') | join }}", [{"n": 2}], "2"),
        ("{{ x | unique | length }}", ["a", "A", "b"], "2"),
        ("{{ x | max }}{{ x | min }}{{ x | sum }}", [1, 5], "516"),
        ("{{ x | map('upper') | join }}", ["a"], "A"),
        ("{{ x | select('gt', 1) | tojson }}", [1, 2], "[2]"),
        ("{{ x | reject('odd') | tojson }}", [1, 2], "[2]"),
        ("{{ x | selectattr('n', 'eq', 1) | length }}", [{"n": 1}, {"n": 2}], "1"),
        ("{{ x | rejectattr('n') | length }}", [{"n": 0}], "1"),
        ("{% for k, v in x | items %}{{ k }}={{ v }};{% endfor %}", {"a": 1}, "a=1;"),
        ("{{ x | urlencode }}", "a/b c&é", "a%2Fb%20c%26%C3%A9"),
        ("{{ x | urlencode }}", {"q": "a b", "n": 1}, "q=a%20b&n=1"),
        ("{{ x | escape }}", "<a>", "&lt;a&gt;"),
        ("{{ x | indent(2) }}", "a\nb", "a\n  b"),
        ("{{ x | round }} {{ x | round(1) }} {{ x | abs }}", -2.55, "-3 -2.5 2.55"),
        ("{{ x | int + 1 }} {{ x | float }} {{ x | string }}", "7", "8 7.0 7"),
        ("{{ x | wordcount }}", "a b c", "3"),
        ("{{ x * 2 + 1 - 3 // 2 }} {{ x % 2 }} {{ x / 2 }}", 3, "6 1 1.5"),
        ("{{ 'yes' if x > 1 and not x == 3 else 'no' }}", 2, "yes"),
        ("{% set n = x + 1 %}{{ n }}{% with m = 2 %}{{ m }}{% endwith %}", 1, "22"),
        ("{% for a in x if a %}{{ a }}{% else %}none{% endfor %}", [0], "none"),
        ("{% if x is none %}none{% elif x is string %}text{% endif %}", "", "text"),
        ("{# a note #}{% raw %}{{ x }}{% endraw %}", 1, "{{ x }}"),
    ],
)
async def test_what_templates_can_do(text, value, written):
    assert await outputs(stage(text), x=value) == {"y": written}


FORBIDDEN = [
    ("{{ x.__class__ }}", "column 6: __class__ begins with an underscore"),
    ("{{ _x }}", "column 4: _x begins with an underscore"),
    ("{% set _x = 1 %}", "column 8: _x begins with an underscore"),
    ("{{ x.upper() }}", "column 1: a template calls nothing: neither functions nor m"),
    ("{{ range(3) }}", "column 1: a template calls nothing"),
    ("{{ ''.format(x) }}", "column 1: a template calls nothing"),
    ("{% include 'x' %}", "column 4: a template includes nothing"),
    ("{% import 'x' as y %}", "column 4: a template imports nothing"),
    ("{% from 'x' import y %}", "column 1: a template imports nothing"),
    ("{% extends 'x' %}", "column 4: a template extends nothing"),
    ("{% macro f() %}{% endmacro %}", "column 4: a template has no macro"),
    ("{% block b %}{% endblock %}", "column 4: a template has no block"),
    ("{% filter upper %}{% endfilter %}", "column 1: a template has no filterblock"),
    ("{% set a %}b{% endset %}", "column 1: a template has no assignblock"),
    ("{% for a in x recursive %}{% endfor %}", "column 15: a loop cannot be recursive"),
    ("{{ x ~ x }}", "column 1: a template has no ~: write the values side by side"),
    ("{{ x ** 9 }}", "column 1: a template has no **"),
    ("{{ self }}", "column 4: self is a word of templates"),
    ("{% for a in x %}{{ loop.cycle }}{% endfor %}", "column 25: a loop has no cycle"),
    ("{{ x | attr('a') }}", "column 8: no filter is called attr; known: abs, c"),
    ("{{ x | uper }}", "column 8: no filter is called uper; did you mean upper?"),
    ("{{ x is callable }}", "column 9: no test is called callable; known: bool"),
    ("{{ x | map('attr', 'a') }}", "column 13: no filter is called attr; known"),
    ("{{ x | select('callable') }}", "column 16: no test is called callable"),
    ("{{ x | rejectattr('a', 'in', x) }}", "column 25: no test is called in"),
    ("{% autoescape true %}{% endautoescape %}", "column 1: a template has no scope"),
    ("{% call x() %}{% endcall %}", "column 1: a template has no callblock"),
    ("{% set x.a = 1 %}", "column 1: a template has no nsref"),
    ("{{ z }}", "column 4: no input is called z; known: x"),
    ("{{ range }}", "column 4: no input is called range; known: x"),
    ("{{ x }", "column 1: unexpected '}'"),
    ("{{ 'a", "column 1: unexpected char"),
    ("{% if x %}", "column 1: Unexpected end of template"),
    ("{% do x %}", "column 1: Encountered unknown tag 'do'"),
    ("{{ " + "(" * 20_000 + " }}", "is nested too deep"),
    ("{% if x %}" * 200 + "{% endif %}" * 200, "is nested too deep"),
    ("a" * (MAX_SOURCE + 1), f"is longer than {MAX_SOURCE} characters"),
]


@pytest.mark.parametrize(("text", "sentence"), FORBIDDEN, ids=range(len(FORBIDDEN)))
def test_what_templates_cannot_do_is_a_problem_of_the_file(text, sentence):
    entry = f"{{template: 'x -> y', text: {_quoted(text)}}}"
    (problem, *_) = problems_of(entry)
    assert problem.startswith(f"text: {sentence}")


def test_all_problems_of_a_text_are_named_with_their_lines():
    entry = 'template: "x -> y"\ntext: |\n  {{ a }}\n  and {{ b.c }} {{ a }}\n'
    assert problems_of(entry) == [
        "text: line 1, column 4: no input is called a; known: x",
        "text: line 2, column 8: no input is called b; known: x",
    ]


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        ("{template: 'x -> y'}", ["text: is missing"]),
        ("{template: 'x -> y', text: 3}", ["text: must be text, and not empty"]),
        ("{template: 'x -> y', text: {}}", ["text.y: is missing"]),
        ("{template: 'x -> y', txt: a}", ["txt: is unknown; did", "text: is missing"]),
        ("{template: 'x ->', text: a}", ["template: column 5: a signature needs"]),
        ("{template: 'x -> y, z', text: a}", ["text: must have one for each of y, z"]),
        (
            "{template: 'x -> y, z', text: {y: '{{', a: ''}}",
            ["text.y: column 1: un", "text.a: must be text, and not empty"],
        ),
        (
            "{template: 'x -> y, z', text: {y: a, a: b}}",
            ["text.a: is no output", "text.z: is missing"],
        ),
        (
            "{template: 'x -> y, z', text: {y: '{{ a }}', z: '{{ b }}'}}",
            ["text.y: column 4: no input is called a", "text.z: column 4: no input"],
        ),
        (
            "{template: 'x -> y: str | int', text: a}",
            ["text: y may be text or something else, and must be one of them"],
        ),
    ],
)
def test_every_mistake_has_its_path(entry, problems):
    found = problems_of(entry)
    assert len(found) == len(problems), found
    for problem, beginning in zip(found, problems, strict=True):
        assert problem.startswith(beginning)


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("{{ x.nothing }}", {}, "line 1: UndefinedError"),
        ("{{ x.upper }}", "secret", "line 1: UndefinedError"),
        ("{{ x | map(attribute='__class__') }}", ["secret"], "line 1: TypeError"),
        ("{{ x['__class__'] }}", "secret", "line 1: UndefinedError"),
        ("a\n{{ 1 / x }}", 0, "line 2: ZeroDivisionError"),
        ("{{ x * 2 }}", "secret", "line 1: TypeError"),
        ("{{ x + x }}", ["secret"], "line 1: TypeError"),
        ("{{ x % 3 }}", "%d", "line 1: TypeError"),
        ("{{ x | sum }}", [["secret"]], "line 1: TypeError"),
        ("{{ 3 | round(x) }}", -(10**9), "line 1: ValueError"),
        ("{{ x | float }}", "nan", "line 1: ValueError"),
        ("{{ x | int }}", "secret", "line 1: ValueError"),
        ("{% for a in x %}{{ loop }}{% endfor %}", [1], "line 1: TypeError"),
        ("{{ x * x }}", 2**40, "line 1: a number would be larger than 64 bits"),
    ],
)
async def test_what_cannot_be_written_says_where_and_quotes_nothing(
    text, value, reason
):
    with pytest.raises(TemplateError) as caught:
        await outputs(stage(text), x=value)
    assert str(caught.value) == f"s: y: {reason}"
    assert not caught.value.retryable


BIG = "a" * 1_000_000
MANY = list(range(100_000))
WHOLE = f"it would be longer than {MAX_CHARACTERS} characters"
LONGER = f"line 1: {WHOLE}"
TOO_MUCH = "line 1: it would look at too much"


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("{{ x }}{{ x }}", BIG, WHOLE),
        ("{{ x | replace('a', x) }}", BIG, LONGER),
        ("{{ x | urlencode }}", "é" * 300_000, LONGER),
        ("{{ [x, x] | join }}", BIG, LONGER),
        ("{{ x | indent(1000000000) }}", "a\nb", LONGER),
        ("{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}", MANY, TOO_MUCH),
        ("{% for a in x %}{% if a in x %}{% endif %}{% endfor %}", MANY, TOO_MUCH),
        ("{% for a in x %}{% if x == x %}{% endif %}{% endfor %}", MANY, TOO_MUCH),
        ("{% for a in x %}{% set b = x[1:] %}{% endfor %}", MANY, TOO_MUCH),
        ("{% for a in x %}{% set b = x | sort %}{% endfor %}", MANY, TOO_MUCH),
        ("{% for a in x %}{% set b = x | tojson %}{% endfor %}", MANY, TOO_MUCH),
    ],
)
async def test_the_work_of_a_template_and_its_text_are_bounded(text, value, reason):
    with pytest.raises(TemplateError) as caught:
        await outputs(stage(text), x=value)
    assert str(caught.value) == f"s: y: {reason}"


async def test_ordinary_work_is_within_the_bounds():
    text = (
        "{% for a in x %}{{ a.n }} of {{ x | length }}: {{ a.t | upper }}\n{% endfor %}"
    )
    lines = [{"n": n, "t": "things to do"} for n in range(10_000)]
    written = (await outputs(stage(text), x=lines))["y"]
    assert written.count("THINGS") == len(lines)
    assert BUDGET > 0


NESTED = (
    "{% for l in x.lines if l.a %}{% for p in l.parts %}{{ p.nam }}{% endfor %}"
    "{% else %}{{ x.b }}{% endfor %}"
)
ORDER = {
    "Line": "sku: str, parts: list[Line2] | None",
    "Line2": "name: str",
    "Order": "lines: list[Line, 1..], by_day: dict[str, Line]",
}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("{{ x.lines[0].sku }}{{ x['by_day'].monday.sku }}{{ x.lines | length }}", []),
        ("{{ x.liness }}", ["column 6: Order has no liness; did you mean lines?"]),
        ("{{ x['line'] }}", ["column 7: Order has no line; did you mean lines?"]),
        ("{{ x.lines[0].skuu }}", ["column 15: Line has no skuu; did you mean sku?"]),
        ("{{ x.by_day.monday.no }}", ["column 20: Line has no no; known: parts, sku"]),
        (
            NESTED,
            [
                "column 26: Line has no a; known: parts, sku",
                "column 57: Line2 has no nam; did you mean name?",
                "column 90: Order has no b; known: by_day, lines",
            ],
        ),
        ("{% for x in x.lines %}{{ x.sku }}{% endfor %}", []),
        ("{% for l in x.lines %}{% set l = x %}{{ l.lines }}{% endfor %}", []),
        ("{% for a, x in x.by_day | items %}{{ x.any }}{% endfor %}", []),
        ("{% set x = {'a': 1} %}{{ x.a }}", []),
        ("{% with x = {'a': 1} %}{{ x.a }}{% endwith %}", []),
        ("{{ (x.lines | first).any }}{{ x.lines[1:].any }}", []),
    ],
)
def test_keys_that_no_record_has_are_problems_of_the_file(text, problems):
    entry = f"{{template: 'x: Order -> y', text: {_quoted(text)}}}"
    found = problems_of(entry, types=ORDER)
    assert sorted(found) == sorted(f"text: {problem}" for problem in problems)


def test_no_filter_of_templates_is_one_of_jinjas_dangerous_ones():
    assert not {"attr", "format", "pprint", "xmlattr", "filesizeformat"} & set(FILTERS)


def test_the_version_changes_with_the_text_and_the_types():
    versions = {
        stage("a").version,
        stage("b").version,
        stage("1", "x -> y: int").version,
        stage("1", "x -> y: float").version,
    }
    assert len(versions) == 4
    assert stage("a").version == stage("a").version
    assert stage("a").version.startswith("template@")
