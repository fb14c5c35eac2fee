"""Keys that a template looks up in records, and that no such record has.

A name that the template sets itself may be anything: only inputs have types here, and
what loops over them finds.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from jinja2 import nodes

from streams.language.problems import meant
from streams.signatures.types import (
    Field,
    FieldType,
    Limited,
    ListOf,
    MapOf,
    Maybe,
    RecordOf,
)
from streams.stages.template_checks import place

Types = Mapping[str, FieldType]
"""Of the names that stand for a value of a known type."""


def unknown_keys(
    source: str, tree: nodes.Template, inputs: Sequence[Field]
) -> list[str]:
    """Return a problem for every look-up in *tree* of a key that is never there."""
    loops = {id(name) for loop in tree.find_all(nodes.For) for name in _targets(loop)}
    assigned = {
        name.name
        for name in tree.find_all(nodes.Name)
        if name.ctx != "load" and id(name) not in loops
    }
    types = {f.name: f.type for f in inputs if f.name not in assigned}
    return [
        f"{place(source, line, key)}: {record.name} has no {key}; "
        f"{meant(key, [field.name for field in record.fields])}"
        for line, record, key in _missing(tree, types, assigned)
    ]


def _missing(
    node: nodes.Node, types: Types, assigned: Collection[str]
) -> Iterator[tuple[int, RecordOf, str]]:
    """Yield line, record and key of every such look-up below *node*."""
    key = _key(node)
    if key is not None and isinstance(node, nodes.Getattr | nodes.Getitem):
        record = _plain(_type_of(node.node, types))
        if isinstance(record, RecordOf) and _field(record, key) is None:
            yield node.lineno, record, key
    outside: Iterable[nodes.Node] = node.iter_child_nodes()
    if isinstance(node, nodes.For):
        outside = (node.iter, *node.else_)
        inside = _inside(node, types, assigned)
        for child in (*node.body, *([node.test] if node.test else [])):
            yield from _missing(child, inside, assigned)
    for child in outside:
        yield from _missing(child, types, assigned)


def _inside(loop: nodes.For, types: Types, assigned: Collection[str]) -> Types:
    """Return what is known in the body of *loop*."""
    over = _plain(_type_of(loop.iter, types))
    hidden = {"loop", *(name.name for name in _targets(loop))}
    known = {name: kind for name, kind in types.items() if name not in hidden}
    target = loop.target
    if isinstance(over, ListOf) and isinstance(target, nodes.Name):
        known |= {} if target.name in assigned else {target.name: over.item}
    return known


def _targets(loop: nodes.For) -> list[nodes.Name]:
    """Return the names that *loop* gives to its elements."""
    target = loop.target
    return (
        [target] if isinstance(target, nodes.Name) else [*target.find_all(nodes.Name)]
    )


def _type_of(node: nodes.Node, types: Types) -> FieldType | None:
    """Return the type of what *node* says, if it is known."""
    if isinstance(node, nodes.Name):
        return types.get(node.name)
    if not isinstance(node, nodes.Getattr | nodes.Getitem):
        return None
    match _plain(_type_of(node.node, types)), _key(node):
        case RecordOf() as record, str(key):
            field = _field(record, key)
            return None if field is None else field.type
        case MapOf() as map_, _:
            return map_.value
        case ListOf() as list_, None if not isinstance(_arg(node), nodes.Slice):
            return list_.item
        case _:
            return None


def _plain(kind: FieldType | None) -> FieldType | None:
    """Return *kind* without bounds, and without the None that it may be."""
    while isinstance(kind, Limited | Maybe):
        kind = kind.inner
    return kind


def _key(node: nodes.Node) -> str | None:
    match node:
        case nodes.Getattr():
            return node.attr
        case nodes.Getitem(arg=nodes.Const(value=str(key))):
            return key
        case _:
            return None


def _arg(node: nodes.Getattr | nodes.Getitem) -> nodes.Node | None:
    return node.arg if isinstance(node, nodes.Getitem) else None


def _field(record: RecordOf, key: str) -> Field | None:
    return next((field for field in record.fields if field.name == key), None)
