"""The map in docs/architecture.md has one line for every file of the rooms."""

import re

from tests.docs.pages import ROOT

ROOMS = ("agents", "streams", "schemas")


def test_the_map_has_every_file_once_and_no_other() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    mapped = re.findall(r"^- `([\w/]+\.py)` · \S", page, re.MULTILINE)
    there = [
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if path.name != "__init__.py"
    ]
    assert sorted(set(there) - set(mapped)) == [], "not in the map"
    assert sorted(mapped) == sorted(there)
