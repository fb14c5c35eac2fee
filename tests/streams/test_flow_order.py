"""What has to wait for what is derived from the fields, and from nothing else."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.compiling.flow_order import is_chain, order_of
from streams.planned import StageNode
from tests.streams.flows import file_of


def closure(order):
    """Return for each node all that have ended before it begins."""
    before = []
    for after in order:
        before.append(frozenset(after).union(*(before[index] for index in after)))
    return before


def in_conflict(one, other):
    """Say whether the order of two nodes matters."""
    (reads, makes), (later_reads, later_makes) = one, other
    return bool(makes & (later_reads | later_makes) or reads & later_makes)


def true_closure(nodes):
    direct = [
        frozenset(j for j in range(i) if in_conflict(nodes[j], node))
        for i, node in enumerate(nodes)
    ]
    return closure(direct)


@pytest.mark.parametrize(
    ("nodes", "order"),
    [
        ([], ()),
        ([("", "x"), ("", "y"), ("xy", "z")], (set(), set(), {0, 1})),
        ([("", "x"), ("x", "y"), ("x", "z"), ("", "x")], (set(), {0}, {0}, {0, 1, 2})),
        ([("", "x"), ("x", "x"), ("x", "y")], (set(), {0}, {1})),
        ([("", "x"), ("", "x")], (set(), {0})),
        ([("a", "b"), ("c", "a")], (set(), {0})),
    ],
)
def test_readers_wait_for_makers_and_makers_for_readers(nodes, order):
    assert order_of(nodes) == tuple(map(frozenset, order))


def test_a_chain_is_what_has_one_order_only():
    assert is_chain(())
    assert is_chain(order_of([("", "x"), ("x", "y"), ("xy", "z")]))
    assert not is_chain(order_of([("", "x"), ("", "y"), ("xy", "z")]))


fields = st.frozensets(st.sampled_from("abcdef"), max_size=3)


@given(st.lists(st.tuples(fields, fields), max_size=12))
def test_the_order_is_the_true_one_and_no_stricter(nodes):
    assert closure(order_of(nodes)) == true_closure(nodes)


@pytest.mark.parametrize("seed", range(40))
def test_random_pipelines_wait_for_what_they_need(bench, seed):
    chance = random.Random(seed)  # noqa: S311 - no secret
    names = [f"s{number}" for number in range(chance.randint(2, 14))]
    nodes, made = [], ["ticket"]
    for name in names:
        reads = chance.sample(made, chance.randint(1, min(3, len(made))))
        makes = [f"f_{name}"]
        if len(made) > 1 and chance.random() < 0.3:
            # Polishes what is there: it reads it too, so nothing is shadowed.
            makes.append(chance.choice(made[1:]))
            reads.append(makes[1])
        nodes.append((frozenset(reads), frozenset(makes)))
        made += makes[:1]
    stages = [
        f"{name}: {', '.join(sorted(reads))} -> {', '.join(sorted(makes))}"
        for name, (reads, makes) in zip(names, nodes, strict=True)
    ]
    chance.shuffle(stages)
    text = file_of(f"[{', '.join(names)}]", *stages, output=made[-1])
    flow = bench.compile(text).flow
    assert [node.stage.name for node in flow.nodes] == names
    assert all(isinstance(node, StageNode) for node in flow.nodes)
    assert closure(flow.after) == true_closure(nodes)
    assert flow.chain == all(i - 1 in flow.after[i] for i in range(1, len(names)))
