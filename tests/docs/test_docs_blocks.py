"""What the documentation says is there: its code compiles, its commands exist."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from agents.metrics import names as metric_names
from streams.catalog import toolbox
from streams.clock import SystemClock
from streams.config import PREFIX, RESERVED, Settings
from streams.lms.opening import key_env
from streams.metrics import NullRecorder
from streams.pipeline import Toolbox, compile_text
from streams.signatures.parse import parse_signature
from tests.docs.commands import penstock_problem, problems_of
from tests.docs.pages import (
    PAGES,
    ROOT,
    Block,
    anchors_of,
    blocks_of,
    inline_of,
    links_of,
)

ROOMS = ("agents", "streams", "schemas")
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
SHELL = ("sh", "")
LANGUAGES = {*SHELL, "yaml", "python", "text", "dockerfile", "signature", "refused"}

NOT_OURS = {PREFIX, "PENSTOCK_PORT"}
"""All of them; and what Kubernetes sets for a Service named penstock."""

KEYS = (
    "OPENAI_API_KEY",
    "PENSTOCK_SECRET_WEATHER",
    key_env("small"),
    key_env("gpu"),
)
FILE = re.compile(r"# (\w+)\.py\n")
"""First line of a Python block that is a file of the user's."""

pages = pytest.mark.parametrize(
    "page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES]
)


def written_in(*languages: str) -> pytest.MarkDecorator:
    found = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", found, ids=map(str, found))


def test_every_block_says_what_it_is_written_in() -> None:
    assert not [str(block) for block in BLOCKS if block.language not in LANGUAGES]


@written_in("yaml")
def test_yaml_is_a_pipeline_or_a_part_of_one_that_compiles(
    block: Block, tmp_path: Path
) -> None:
    said = yaml.safe_load(block.text)
    tools = _toolbox(block.page, tmp_path)
    if "pipeline" in said:
        compile_text(block.text, str(block), tools)
        return
    assert set(said) == {"lms"}, "a fragment of a pipeline shows its lms, or is whole"
    for name, options in said["lms"].items():
        tools.open_lm(name, options)


@written_in("signature")
def test_every_line_is_a_signature(block: Block) -> None:
    for line in block.text.splitlines():
        assert parse_signature(line).problems == (), line


@written_in("refused")
def test_every_line_is_refused_with_the_problems_below_it(block: Block) -> None:
    rows = re.findall(r"^(\S.*)\n((?: {4}.*\n)+)", block.text, re.MULTILINE)
    assert "".join(map("\n".join, rows)) == block.text
    for line, below in rows:
        problems = parse_signature(line).problems
        for problem, said in zip(problems, below.splitlines(), strict=True):
            assert problem.startswith(said.strip().removesuffix("…"))


@written_in("python")
def test_python_compiles_and_imports_what_there_is(block: Block) -> None:
    tree = ast.parse(block.text, str(block))
    for module, name in _our_imports(tree):
        assert hasattr(import_module(module), name), f"{module} has no {name}"


@written_in(*SHELL)
def test_commands_exist(block: Block) -> None:
    assert not problems_of(block.text)


@pages
def test_commands_in_the_text_exist(page: Path) -> None:
    named = [code.split() for code in inline_of(page) if re.match(r"penstock \w", code)]
    said = [[word for word in words if "|" not in word] for words in named]
    assert not _nameless(words[1:] for words in said)
    for code in inline_of(page):
        if code.startswith("make "):
            assert not problems_of(code)


@pages
def test_settings_exist(page: Path) -> None:
    known = {f"{PREFIX}{f.name.upper()}" for f in fields(Settings)}
    found = set(re.findall(r"PENSTOCK_[A-Z_]+", page.read_text(encoding="utf-8")))
    assert not {
        name for name in found - known - NOT_OURS if not name.startswith(RESERVED)
    }


@pages
def test_metrics_exist(page: Path) -> None:
    found = {code for code in inline_of(page) if re.fullmatch(r"penstock_\w+", code)}
    assert found <= set(metric_names())


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for link in links_of(page):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@pages
def test_files_that_are_named_exist(page: Path) -> None:
    top = {path.name for path in ROOT.iterdir() if path.is_dir()}
    for code in inline_of(page):
        name = code.removesuffix("/")
        if not re.fullmatch(r"[\w.*-]+(/[\w.*-]+)+", name) or "…" in name:
            continue
        if name.split("/")[0] in top:
            assert list(ROOT.glob(name)), f"{name} does not exist"


@pytest.mark.parametrize(
    "wrong",
    [
        "penstock work",
        "penstock dev broker",
        "penstock topics plan --everything",
        "penstock config show -o xml",
        "penstock config show && penstock pipeline ls a b",
        "docker compose exec worker penstock heal",
        "X=$(penstock dev brokers status)",
        "make haste",
        "python examples/nothing.py",
        "python examples/confluent_producer.py --tickets x",
    ],
)
def test_a_command_that_is_not_there_is_noticed(wrong: str) -> None:
    assert problems_of(wrong)


def test_commands_that_the_code_names_exist() -> None:
    named = _in_code(r"`penstock ([^`{}|]+)`")
    assert not _nameless(command.split() for command in sorted(named))


def test_files_that_the_code_names_exist() -> None:
    top = "|".join([*ROOMS, "tests", "docs", "examples", "helm", "benchmarks"])
    named = _in_code(rf"\b((?:{top})/[\w/-]+\.\w+)")
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]


def test_codes_that_the_guarantees_name_exist() -> None:
    named = {
        code
        for code in inline_of(ROOT / "docs/guarantees.md")
        if re.fullmatch(r"(request|stage|model|result|route|journal)\.\w+", code)
    }
    assert named - _in_code(r'"([a-z]+\.[a-z_]+)"') == set()


def _in_code(pattern: str) -> set[str]:
    """Return what *pattern* finds in the rooms."""
    return {
        found
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for found in re.findall(pattern, path.read_text(encoding="utf-8"))
    }


def _nameless(named: Iterable[Sequence[str]]) -> list[str]:
    """Return what is wrong with commands that a text names."""
    problems = [penstock_problem(words, whole=False) for words in named]
    return [problem for problem in problems if problem]


def _our_imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        if node.module.split(".")[0] in ROOMS:
            yield from ((node.module, alias.name) for alias in node.names)


def _toolbox(page: Path, folder: Path) -> Toolbox:
    """Return a toolbox whose user code is that of the page, and the examples."""
    modules = ["examples"]
    for block in blocks_of(page):
        match = FILE.match(block.text)
        if block.language == "python" and match:
            modules.append(match[1])
            (folder / f"{match[1]}.py").write_text(block.text, encoding="utf-8")
    settings = Settings(
        code_paths=f"{folder}:{ROOT}",
        code_modules=",".join(modules),
        http_hosts="api.example.org",
    )
    env = dict.fromkeys(KEYS, "a key")
    return toolbox(settings, env, NullRecorder(), SystemClock())
