"""Every file of the repository ends well, parses as what it is, and is not huge."""

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT

LARGEST_BYTES = 500_000
"""What a person may have to read. Data and locks are well below."""

IGNORED = {
    line.strip("/\n")
    for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
} | {".git"}

TEMPLATES = ROOT / "helm/templates"
"""No YAML before they are rendered."""

PARSERS: dict[str, Callable[[str], object]] = {
    ".avsc": json.loads,
    ".json": json.loads,
    ".toml": tomllib.loads,
    ".yaml": lambda text: list(yaml.safe_load_all(text)),
    ".yml": lambda text: list(yaml.safe_load_all(text)),
}


def files_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        is_cache = path.name.startswith(".") and path.name.endswith("cache")
        if is_cache or path.name in IGNORED or path.suffix == ".egg-info":
            continue
        if path.is_dir():
            yield from files_in(path)
        else:
            yield path


FILES = list(files_in(ROOT))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_texts_end_with_one_newline_and_lines_with_none_too_many() -> None:
    wrong = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            wrong.append(f"{named(path)}: its end")
        wrong += [
            f"{named(path)}:{number}: blanks at the end"
            for number, line in enumerate(text.split("\n"), 1)
            if line != line.rstrip()
        ]
    assert not wrong


@pytest.mark.parametrize("suffix", sorted(PARSERS))
def test_files_are_what_their_names_say(suffix: str) -> None:
    for path in FILES:
        if path.suffix == suffix and TEMPLATES not in path.parents:
            PARSERS[suffix](path.read_text(encoding="utf-8"))


def test_no_file_is_huge() -> None:
    assert not [named(path) for path in FILES if path.stat().st_size > LARGEST_BYTES]
