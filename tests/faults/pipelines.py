"""The pipelines of a campaign: one asks an LM twice, the others are functions only."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.integration.lab import Lab

ECHO: Final = """
pipeline: echo
version: 1
input: "ticket: str"
output: "reply: str"
session: {ttl: 30d, history: 3}
stages:
  note: {transform: "labcode:note", signature: "ticket -> note: str", inline: true}
  reply: {transform: "labcode:reply", signature: "ticket, note -> reply: str"}
flow: [note, reply]
"""

ASK: Final = """
pipeline: ask
version: 1
input: "ticket: str"
output: "category: str, reply: str"
session: {ttl: 30d, history: 3}
lms:
  small: {model: openai/fake, api_base: "%s", limit: 256}
stages:
  classify:
    predict: "ticket -> category: Literal['billing', 'bug', 'other']"
    lm: small
    timeout: 6s
    attempts: 4
  draft:
    predict: "ticket, category -> reply: str"
    lm: small
    timeout: 6s
    attempts: 4
flow: [classify, draft]
"""

EXTRA: Final = ECHO.replace("pipeline: echo", "pipeline: extra")
"""One that comes and goes; nobody asks it anything."""

STAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "ask": ("classify", "draft"),
    "echo": ("note", "reply"),
}
"""Stages of each pipeline, in the order in which an answer leaves their records."""

HISTORY: Final = 3
"""Answered requests that a session remembers."""


def texts(api_base: str) -> dict[str, str]:
    """Return the pipeline files, by name; the LM is at *api_base*."""
    return {"ask": ASK % api_base, "echo": ECHO}


def with_extra(lab: Lab) -> Path:
    """Return a folder with :data:`EXTRA` beside the pipelines; its topics are there."""
    folder = lab.folder / "more"
    if not folder.exists():
        shutil.copytree(lab.folder / "pipelines", folder)
        (folder / "extra.yaml").write_text(EXTRA)
        lab.provision([*lab.pipelines, "extra"])
    return folder
