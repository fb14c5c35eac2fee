"""Says what is wrong with a shell line: commands, options and targets must exist."""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

import click

from agents.cli.invocation import Invocation
from agents.cli.nouns import Nouns
from agents.cli.verbs import verbose_option
from tests.docs.pages import ROOT

_ASSIGNMENT: Final = re.compile(r"[A-Z_]+=.*")
_BREAKS: Final = frozenset({"&&", "||", "|", ";", "&", "(", ")", ">", ">>", "<"})


def problems_of(text: str) -> list[str]:
    """Return what is wrong with the commands in *text*, as sentences."""
    joined = text.replace("\\\n", " ")
    # What a command substitution runs is checked like the rest.
    inner = re.findall(r"\$\((.*)\)", joined)
    lines = [*joined.splitlines(), *inner]
    return [p for line in lines for words in _commands(line) for p in _wrong(words)]


def penstock_problem(arguments: Sequence[str], *, whole: bool = True) -> str | None:
    """Return what is wrong with ``penstock`` followed by *arguments*.

    A text may name a noun alone, or a verb without what it is about (*whole* is
    False); a shell may not.
    """
    context = click.Context(
        Nouns(name="penstock", params=[verbose_option()]), obj=Invocation(env={})
    )
    command: click.Command = context.command
    left = list(arguments)
    while isinstance(command, click.Group):
        if not left:
            if command.invoke_without_command or not whole:
                return None
            return f"penstock {' '.join(arguments)}: a verb is missing"
        found = command.get_command(context, left[0])
        if found is None:
            if left[0] == "-v" or left[0].startswith("--"):
                left.pop(0)
                continue
            return f"penstock {' '.join(arguments)}: there is no {left[0]}"
        command = found
        context = click.Context(found, parent=context)
        left.pop(0)
    problem = _option_problem(command, context, left, whole=whole)
    return problem and f"penstock {' '.join(arguments)}: {problem}"


def _option_problem(
    command: click.Command, context: click.Context, left: Sequence[str], *, whole: bool
) -> str | None:
    try:
        options, rest, _ = command.make_parser(context).parse_args(list(left))
    except click.UsageError as error:
        return error.format_message()
    if rest:
        return f"takes no {rest}"
    for parameter in command.params:
        given = options.get(str(parameter.name))
        if isinstance(parameter.type, click.Choice) and isinstance(given, str):
            if given not in parameter.type.choices:
                return f"{given} is none of {parameter.type.choices}"
        elif whole and parameter.required and given in (None, ()):
            return f"{parameter.name} is missing"
    return None


def _commands(line: str) -> Iterator[list[str]]:
    """Cut a line into its simple commands, without variables and comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _BREAKS:
            words.append(word)
            continue
        while words and _ASSIGNMENT.fullmatch(words[0]):
            words.pop(0)
        if words:
            yield words
        words = []


def _wrong(words: Sequence[str]) -> Iterator[str]:
    words = _inside(words)
    match words:
        case ["penstock", *arguments]:
            problem = penstock_problem(arguments)
            if problem:
                yield problem
        case ["make", *targets]:
            yield from (f"make {t}: no such target" for t in targets if t not in MAKE)
        case ["python", path, *arguments] if not path.startswith("-"):
            yield from _script_problems(path, arguments)


def _inside(words: Sequence[str]) -> Sequence[str]:
    """Return the command that runs in a container, where *words* say so."""
    if list(words[:3]) in (["docker", "compose", "exec"], ["docker", "compose", "run"]):
        return words[4:]
    if words[0] == "kubectl" and "--" in words:
        return words[list(words).index("--") + 1 :]
    name = words[0].removeprefix(".venv/bin/")
    return [name, *words[1:]]


def _script_problems(path: str, arguments: Sequence[str]) -> Iterator[str]:
    script = ROOT / path
    if not script.is_file():
        yield f"{path} does not exist"
        return
    text = script.read_text(encoding="utf-8")
    for option in arguments:
        if option.startswith("--") and f'"{option}"' not in text:
            yield f"{path} has no option {option}"


def _targets() -> frozenset[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


MAKE: Final = _targets()
