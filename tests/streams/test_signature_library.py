"""The library: named signatures are found, searched, composed, and named by stages."""

import sys

import pytest

from streams.errors import ConfigError
from streams.language.library_file import read_library
from streams.pipeline import compile_file, compile_folder
from streams.signatures.canonical import fields_text
from streams.signatures.composition import Signature, compose, joint
from streams.signatures.library import Library, NamedSignature
from streams.signatures.parse import parse_signature


def entry(key, text, **said):
    name, _, version = key.partition("@")
    return NamedSignature(name=name, version=int(version), text=text, **said)


LIBRARY = Library(
    [
        entry("triage@1", "ticket -> category", tags=frozenset({"support"})),
        entry(
            "triage@2",
            "ticket -> category: Literal['billing', 'bug']",
            aliases=("classify",),
            tags=frozenset({"support", "short"}),
            description="Sort a ticket.",
            instructions="Think of the customer.",
        ),
        entry("triage@10", "ticket: str[..9] -> category", tags=frozenset({"support"})),
        entry("reply@1", "ticket, category -> reply 'for the ticket'"),
    ]
)


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("@triage@2", "triage@2"),
        ("@triage", "triage@10"),
        ("@classify", "triage@10"),
        ("@classify@1", "triage@1"),
        ("@reply", "reply@1"),
    ],
)
def test_a_signature_is_found_by_name_alias_and_version(reference, key):
    assert LIBRARY.find(reference).key == key


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("@triag", "no signature is called triag; did you mean triage?"),
        ("@zzz", "no signature is called zzz"),
        ("@triage@3", "triage has no version 3; the newest is 10"),
        ("@triage@0", "'@triage@0' is not written @name or @name@version"),
        ("@", "'@' is not written @name or @name@version"),
        ("@triage@2@3", "'@triage@2@3' is not written @name or @name@version"),
        ("triage", "'triage' is not written @name or @name@version"),
    ],
)
def test_what_is_not_there_is_named(reference, sentence):
    with pytest.raises(ConfigError) as caught:
        LIBRARY.find(reference)
    assert caught.value.problems == (sentence,)


def test_a_reading_has_the_instructions_of_its_entry():
    reading = LIBRARY.find("@triage@2").reading()
    assert reading.instructions == "Think of the customer."
    assert reading.outputs == parse_signature(LIBRARY.find("@triage@2").text).outputs


@pytest.mark.parametrize(
    ("text", "tags", "keys"),
    [
        ("", (), ["reply@1", "triage@10"]),
        ("ticket", (), ["reply@1", "triage@10"]),
        ("TRI", (), ["triage@10"]),
        ("reply ticket", (), ["reply@1"]),
        ("", ("support",), ["triage@10"]),
        ("", ("support", "short"), []),
        ("nothing of it", (), []),
    ],
)
def test_the_newest_versions_are_searched_by_words_and_tags(text, tags, keys):
    assert [found.key for found in LIBRARY.search(text, tags)] == keys


def test_what_has_a_word_in_its_name_is_found_first():
    library = Library([entry("a@1", "x -> z_y"), entry("z@1", "x -> y")])
    assert [found.name for found in library.search("z")] == ["z", "a"]


def test_mistakes_of_a_library_are_named():
    library = Library(
        [
            entry("a@1", "x -> y", aliases=("b", "shared", "no-name")),
            entry("b@1", "x -> y: nope", aliases=("shared",)),
            entry("a@1", "x -> other"),
        ]
    )
    found = [list(library.problems_of(each)) for each in library.entries]
    assert found[0][:1] == ["alias b is the name of a signature"]
    assert found[0][1].startswith("alias 'no-name' is no name")
    assert found[1][0] == "alias shared is one of a"
    assert found[1][1].startswith("column 9: unknown type nope")
    assert found[2] == ["there is another a@1"]


def of(text):
    return Signature.of(parse_signature(text))


JOINTS = [
    ("a -> b", "b -> c", "a -> b, c"),
    ("a -> b", "a, b -> c", "a -> b, c"),
    ("a -> b", "b, d: int = 3 -> c", "a, d: int = 3 -> b, c"),
    ("a -> b: int", "b: float -> c", "a -> b: int, c"),
    ("a -> b: Literal['x', 'y']", "b -> c", "a -> b: Literal['x', 'y'], c"),
    ("a -> b: int", "b -> c", "a -> b: int, c"),
    ("a -> b", "b -> b", "a -> b"),
    ("a: int -> b", "a: float, b -> c", "a: int -> b, c"),
    ("a: float -> b", "a: int, b -> c", "a: int -> b, c"),
    ("a -> b", "a: int, b -> c", "a: int -> b, c"),
    ("a: str | None -> b", "a: str -> c", "a: str -> b, c"),
    ("a: int = 1 -> b", "a: int = 1 -> c", "a: int = 1 -> b, c"),
    ("a: int = 1 -> b", "a: int -> c", "a: int -> b, c"),
    ("a, history -> b", "b, history -> c", "a, history -> b, c"),
    ("a 'first' -> b", "a 'second' -> c", "a 'first' -> b, c"),
]


@pytest.mark.parametrize(("first", "second", "both"), JOINTS)
def test_signatures_are_composed_by_name_and_type(first, second, both):
    made = of(first) >> of(second)
    text = f"{fields_text(made.inputs)} -> {fields_text(made.outputs)}"
    assert text == both


CLASHES = [
    ("a -> b", "b: int -> c", ["b is made str, and wanted int"]),
    ("a -> b: float", "b: int -> c", ["b is made float, and wanted int"]),
    ("a: int -> b", "a: str -> c", ["a is wanted int, and wanted str"]),
    ("a -> b: int", "a -> b: str", ["b is made str, where it was int"]),
    ("a: int -> b", "b -> a: str", ["a is made str, where it was int"]),
    ("a: int = 1 -> b", "a: int = 2 -> c", ["a has two defaults"]),
    (
        "a, history -> b",
        "b, chat: History -> c",
        ["a session has one history, under one name"],
    ),
    (
        "a: int -> b: int",
        "a: str, b: str -> c",
        ["a is wanted int, and wanted str", "b is made int, and wanted str"],
    ),
]


@pytest.mark.parametrize(("first", "second", "sentences"), CLASHES)
def test_what_keeps_signatures_apart_is_named(first, second, sentences):
    with pytest.raises(ConfigError) as caught:
        compose(of(first), of(second))
    assert list(caught.value.problems) == sentences


def test_a_joint_says_what_feeds_what_is_shared_and_what_is_missing():
    found = joint(of("a, b -> c, d"), of("b, c, e: int -> f"))
    assert (found.feeds, found.shared, found.missing) == (("c",), ("b",), ("e",))
    assert found.clashes == ()


def test_composition_goes_on_and_keeps_the_instructions():
    one, two = LIBRARY.find("@triage@2").signature(), LIBRARY.find("@reply").signature()
    made = one >> two >> of("reply -> rating: int[1..5]")
    assert made.instructions == "Think of the customer."
    assert [field.name for field in made.inputs] == ["ticket"]
    assert [field.name for field in made.outputs] == ["category", "reply", "rating"]


def test_a_signature_with_problems_is_not_composed():
    with pytest.raises(ConfigError, match="unknown type nope"):
        entry("a@1", "x: nope -> y").signature()


FILE = """
pipeline: desk
version: 1
input: "ticket"
output: "category, reply"
types:
  Line: "sku: str"
signatures:
  triage@1: "ticket -> category"
  triage@2:
    signature: "ticket -> category: Literal['billing', 'bug'], lines: list[Line]"
    aliases: [classify]
    tags: [support]
    description: Sort a ticket.
    instructions: "2"
lms: {small: {model: scripted}}
stages:
  sort: {ask: "@classify"}
  write: {ask: "ticket, category -> reply"}
flow: [sort, write]
"""


def test_a_stage_names_a_signature_of_its_file(bench):
    pipeline = bench.compile(FILE)
    sort = pipeline.stages[0].spec
    assert fields_text(sort.outputs) == (
        "category: Literal['billing', 'bug'], lines: list[Line]"
    )
    assert sort.instructions == "2"


def test_the_instructions_of_a_stage_come_before_those_of_its_signature(bench):
    text = FILE.replace('ask: "@classify"', 'ask: "@classify", instructions: "3"')
    assert bench.compile(text).stages[0].spec.instructions == "3"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "@classify",
            "@clasify",
            "stages.sort.ask: no signature is called clasify; did you mean classify?",
        ),
        ("@classify", "@triage@7", "stages.sort.ask: triage has no version 7"),
        ("triage@1:", "triage:", "signatures.triage: 'triage' is not written name@"),
        ("triage@1:", "_a@1:", "signatures._a@1: '_a@1' is not written name@version"),
        ("tags: [support]", "tags: 3", "signatures.triage@2.tags: must be a list"),
        ("tags: [support]", "tag: [a]", "signatures.triage@2.tag: is unknown"),
        ('@1: "ticket ->', '@1: "ticket: s ->', "signatures.triage@1: column 9: unk"),
        ("[classify]", "[classify, write-it]", "signatures.triage@2: alias 'write-it"),
        ('@1: "ticket -> category"', "@1: 3", "signatures.triage@1: must be a mapping"),
    ],
)
def test_mistakes_around_named_signatures_have_their_place(bench, old, new, problem):
    assert old in FILE
    (found,) = bench.problems(FILE.replace(old, new))
    assert found.startswith(problem)


def test_a_signature_with_problems_is_told_once(bench):
    text = FILE.replace("Literal['billing', 'bug']", "nope")
    first, second = bench.problems(text)
    assert first.startswith("signatures.triage@2: column 21: unknown type nope")
    assert second == "stages.sort.ask: triage@2 has problems of its own"


SHARED = """
types:
  Line: "sku: str"
signatures:
  triage@2: {signature: "ticket -> category, lines: list[Line]", aliases: [classify]}
"""
DESK = """
pipeline: desk
version: 1
input: "ticket"
output: "category"
lms: {small: {model: scripted}}
stages: {sort: {ask: "@classify"}}
flow: [sort]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "signatures").mkdir()
    (tmp_path / "signatures" / "support.yaml").write_text(SHARED)
    (tmp_path / "desk.yaml").write_text(DESK)
    return tmp_path


def test_the_folder_beside_pipeline_files_is_for_all_of_them(bench, folder):
    (desk,) = compile_folder(folder, bench.toolbox).values()
    assert desk.stages[0].spec.outputs[1].name == "lines"
    alone = compile_file(folder / "desk.yaml", bench.toolbox)
    assert alone.fingerprint == desk.fingerprint


def test_a_record_of_the_library_is_no_other_than_that_of_the_file(bench, folder):
    (folder / "desk.yaml").write_text(DESK + 'types: {Line: "other: int"}\n')
    with pytest.raises(ConfigError, match="its Line is another type than that of"):
        compile_file(folder / "desk.yaml", bench.toolbox)


def test_a_file_cannot_say_what_the_library_says_already(bench, folder):
    more = 'signatures: {triage@2: "ticket -> category"}\n'
    (folder / "desk.yaml").write_text(DESK + more)
    with pytest.raises(ConfigError, match=r"signatures\.triage@2: there is another"):
        compile_file(folder / "desk.yaml", bench.toolbox)


def test_mistakes_of_the_folder_are_reported_with_those_of_the_pipelines(bench, folder):
    (folder / "signatures" / "a.yaml").write_text("signatures: {x@1: 'a -> b: nope'}")
    (folder / "signatures" / "b.yaml").write_text("- 1")
    (folder / "signatures" / "c.yaml").write_text("a: [")
    (folder / "signatures" / "d.yaml").write_bytes(b"\xff")
    (folder / "signatures" / "t.yaml").write_text(
        "types: {Line: 'x: int', A: 'b: nope'}\nsignatures: {y@1: 'a -> b: Line'}"
    )
    (folder / "desk.yaml").write_text(DESK.replace("version: 1", ""))
    for compiled in (compile_folder, lambda f, t: compile_file(f / "desk.yaml", t)):
        with pytest.raises(ConfigError) as caught:
            compiled(folder, bench.toolbox)
        said = [p.removeprefix(str(folder)) for p in caught.value.problems]
        assert [text.split(": ")[0] for text in said] == [
            "/signatures/a.yaml",
            "/signatures/b.yaml",
            "/signatures/c.yaml",
            "/signatures/d.yaml",
            "/signatures/t.yaml",
            "/signatures/t.yaml",
            "/desk.yaml",
        ]
    (folder / "desk.yaml").write_text(DESK)
    with pytest.raises(ConfigError):
        compile_file(folder / "desk.yaml", bench.toolbox)


def test_a_folder_without_signatures_has_an_empty_library(tmp_path):
    library, problems = read_library(tmp_path)
    assert (library.entries, problems) == ((), [])


CLASSES = '''
import dspy

class Triage(dspy.Signature):
    """2"""

    ticket: str = dspy.InputField()
    category: str = dspy.OutputField(max_length=9)

class Bad(dspy.Signature):
    ticket: str = dspy.InputField()
    category: set = dspy.OutputField()
'''


def test_a_stage_names_a_class_in_an_allowed_module(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    (tmp_path / "streams_user_code_classes.py").write_text(CLASSES)
    (tmp_path / "streams_user_code").mkdir()
    (tmp_path / "streams_user_code" / "__init__.py").write_text("")
    (tmp_path / "streams_user_code" / "desk.py").write_text(CLASSES)

    def desk(target):
        return DESK.replace("@classify", target)

    spec = bench.compile(desk("streams_user_code.desk:Triage")).stages[0].spec
    assert fields_text(spec.outputs) == "category: str[..9]"
    assert spec.instructions == "2"
    for target, problem in [
        ("streams_user_code.desk:Bad", "Bad.category: a set has no order to keep"),
        ("streams_user_code.desk:Nobody", "streams_user_code.desk has no class Nobody"),
        ("os:PathLike", "module os is not allowed"),
        ("streams_user_code_classes:Triage", "module streams_user_code_classes is not"),
    ]:
        (found,) = bench.problems(desk(target))
        assert found.startswith(f"stages.sort.ask: {problem}")
