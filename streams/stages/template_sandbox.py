"""Jinja's sandbox, in which there is nothing but values and our filters.

A dot looks up a key and never an attribute, calculations are with numbers only, and
loops, comparisons and slices pay for what they look at.
"""

from collections.abc import Iterable
from typing import Final

from jinja2 import StrictUndefined, nodes
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS as JINJA_TESTS
from jinja2.visitor import NodeTransformer

from streams.signatures.scalars import is_int64
from streams.stages.template_filters import FILTERS, number, shown
from streams.stages.template_work import ELEMENT, NODE, TooMuchError, Value, paid

TESTS: Final = frozenset(
    {
        *("boolean", "defined", "divisibleby", "eq", "even", "false", "float", "ge"),
        *("gt", "integer", "le", "lt", "mapping", "ne", "none", "number", "odd"),
        *("sequence", "string", "true", "undefined"),
    }
)
LOOP: Final = frozenset(
    {"first", "index", "index0", "last", "length", "revindex", "revindex0"}
)
"""What a template may ask of its loop."""

_PAID: Final = "_paid"
"""The filter that this file puts in; no template can name it."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which there is nothing but values and our filters."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined,
            finalize=shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.globals.clear()
        self.filters = {**FILTERS, _PAID: paid}
        self.tests = {name: JINJA_TESTS[name] for name in TESTS}

    def getattr(self, obj: Value, attribute: str) -> Value:
        """Look up a key: attributes are Python's, and only a loop has some."""
        if isinstance(obj, LoopContext) and attribute in LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Value, argument: Value) -> Value:
        """Look up a key or an index, and nothing else."""
        try:
            return obj[argument]
        except (TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)

    def call_binop(
        self, context: Context, operator: str, left: Value, right: Value
    ) -> Value:
        """Calculate with numbers only: texts and lists would grow without bound."""
        made = self.binop_table[operator](number(left), number(right))
        if isinstance(made, int) and not is_int64(int(made)):
            reason = "a number would be larger than 64 bits"
            raise TooMuchError(reason)
        return made


SANDBOX: Final = Sandbox()
"""One for all templates: it holds nothing of any of them."""


def paying(tree: nodes.Template) -> nodes.Template:
    """Return *tree* with everything paying that looks at a whole value."""
    made: nodes.Template = _Paying().visit(tree)
    return made


class _Paying(NodeTransformer):
    """Lets everything pay that looks at a whole value, and is no filter."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - Jinja's names
        inside = _nodes_of(node)
        self.generic_visit(node)
        node.iter = _pays(node.iter, NODE * inside)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802
        self.generic_visit(node)
        node.expr = _pays(node.expr)
        for operand in node.ops:
            operand.expr = _pays(operand.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _pays(node.node)
        return node


def _pays(node: nodes.Node, units: int = ELEMENT) -> nodes.Expr:
    """Return *node*, of which each element costs so many *units*."""
    each = nodes.Const(units, lineno=node.lineno)
    filtered = nodes.Filter(node, _PAID, [each], [], None, None, lineno=node.lineno)
    filtered.set_environment(SANDBOX)
    return filtered


def _nodes_of(loop: nodes.For) -> int:
    """Return how many nodes one round of *loop* runs; loops inside pay themselves."""
    body = [n for each in loop.iter_child_nodes() for n in (each, *_inside(each))]
    return len(body)


def _inside(node: nodes.Node) -> Iterable[nodes.Node]:
    if not isinstance(node, nodes.For):
        for child in node.iter_child_nodes():
            yield child
            yield from _inside(child)
