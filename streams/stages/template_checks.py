"""Which templates are compiled: those that say nothing but what is listed here.

Problems are sentences that begin with their place in the text, as those of signatures
do: ``line 2, column 7: ...``.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from jinja2 import TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables

from streams.language.problems import meant
from streams.stages.template_filters import FILTERS
from streams.stages.template_sandbox import LOOP, SANDBOX, TESTS

MAX_SOURCE: Final = 65_536
"""Characters of a template: nobody reads a longer one."""

TOO_DEEP: Final = "is nested too deep"

_REFUSED: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Call: "calls nothing: neither functions nor methods, only filters",
    nodes.Concat: "has no ~: write the values side by side",
    nodes.Pow: "has no **",
    nodes.Include: "includes nothing",
    nodes.Import: "imports nothing",
    nodes.FromImport: "imports nothing",
    nodes.Extends: "extends nothing",
}
_ALLOWED: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name),
    *(nodes.If, nodes.For, nodes.With, nodes.Assign, nodes.CondExpr),
    *(nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.Test),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
    *(nodes.Neg, nodes.Pos, nodes.Filter, nodes.Keyword, nodes.Pair),
    *(nodes.List, nodes.Tuple, nodes.Dict, nodes.Getattr, nodes.Getitem, nodes.Slice),
)
_CALLS: Final[Mapping[str, tuple[int, str, Collection[str]]]] = {
    "map": (0, "filter", FILTERS.keys()),
    "select": (0, "test", TESTS),
    "reject": (0, "test", TESTS),
    "selectattr": (1, "test", TESTS),
    "rejectattr": (1, "test", TESTS),
}
"""Filters that call another filter or a test, and which argument names it."""


NO_INPUT: Final = "no input is called"
"""How a sentence begins about a name that nobody gives the template."""


class TemplateTextError(Exception):
    """A text is no template that we compile; *problems* names every reason."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def parsed(source: str) -> nodes.Template:
    """Return *source* as a tree; nothing in it is compiled.

    Raises:
        TemplateTextError: with every problem but names that nobody gives it.
    """
    if len(source) > MAX_SOURCE:
        raise TemplateTextError([f"is longer than {MAX_SOURCE} characters"])
    try:
        tree = SANDBOX.parse(source)
    except TemplateSyntaxError as error:
        said = f"{place(source, error.lineno)}: {error.message}"
        raise TemplateTextError([said]) from error
    except RecursionError as error:
        raise TemplateTextError([TOO_DEEP]) from error
    complaints = [
        f"{place(source, node.lineno, word)}: {sentence}"
        for node in tree.find_all(nodes.Node)
        for word, sentence in _complaints(node)
    ]
    if complaints:
        raise TemplateTextError(dict.fromkeys(complaints))
    return tree


def unfiltered(source: str, last: str) -> list[str]:
    """Return a problem for every value that *source* writes without the filter *last*.

    It has been compiled before.
    """
    written = [
        node
        for output in SANDBOX.parse(source).find_all(nodes.Output)
        for node in output.nodes
        if not isinstance(node, nodes.TemplateData)
    ]
    return [
        f"{place(source, node.lineno)}: what is written here must end in `| {last}`"
        for node in written
        if not (isinstance(node, nodes.Filter) and node.name == last)
    ]


def unknown_names(
    source: str, tree: nodes.Template, fields: Iterable[str]
) -> list[str]:
    """Return a problem for every name in *tree* that is none of *fields*."""
    known = frozenset(fields)
    unknown = find_undeclared_variables(tree) - known
    lines: dict[str, int] = {}
    for name in tree.find_all(nodes.Name):
        if name.name in unknown:
            lines.setdefault(name.name, name.lineno)
    return [
        f"{place(source, line, name)}: {NO_INPUT} {name}; {meant(name, known)}"
        for name, line in lines.items()
    ]


def place(source: str, line: int | None, word: str = "") -> str:
    """Return where *word* is in a line of *source*, as signatures say it."""
    line = line or 1  # Jinja gives some nodes none
    text = source.split("\n")[line - 1]
    found = re.search(rf"\b{re.escape(word)}\b", text) if word else None
    column = f"column {found.start() + 1 if found else 1}"
    return f"line {line}, {column}" if "\n" in source.rstrip("\n") else column


def _complaints(node: nodes.Node) -> Iterable[tuple[str, str]]:
    """Yield what *node* may not be: a word that it is found by, and a sentence."""
    match node:
        case nodes.Filter():
            yield from _of_filter(node)
        case nodes.Test() if node.name not in TESTS:
            yield node.name, _unknown("test", node.name, TESTS)
        case nodes.Getattr() if _is_loop(node.node) and node.attr not in LOOP:
            yield node.attr, f"a loop has no {node.attr}; {meant(node.attr, LOOP)}"
        case nodes.Getattr():
            yield from _underscore(node.attr)
        case nodes.Name():
            yield from _underscore(node.name)
        case nodes.For() if node.recursive:
            yield "recursive", "a loop cannot be recursive"
        case _:
            if not isinstance(node, _ALLOWED):
                name = type(node).__name__.lower()
                yield name, f"a template {_REFUSED.get(type(node), f'has no {name}')}"


def _of_filter(node: nodes.Filter) -> Iterable[tuple[str, str]]:
    # One without a node is of a {% filter %} block, which is refused as a whole.
    if node.node is not None and node.name not in FILTERS:
        yield node.name, _unknown("filter", node.name, FILTERS)
    index, what, known = _CALLS.get(node.name, (len(node.args), "", ()))
    named = node.args[index] if index < len(node.args) else None
    if isinstance(named, nodes.Const) and named.value not in known:
        yield str(named.value), _unknown(what, str(named.value), known)


def _underscore(name: str) -> Iterable[tuple[str, str]]:
    if name.startswith("_"):
        yield name, f"{name} begins with an underscore"
    if name == "self":
        yield name, "self is a word of templates"


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"no {what} is called {name}; {meant(name, known)}"


def _is_loop(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "loop"
