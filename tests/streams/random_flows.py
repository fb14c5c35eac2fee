"""Random pipelines of every kind of item, for tests that hold for any of them.

Every field is a text, every stage makes a field of its own, and reads what is surely
there. Ways that meet again make the same field last.
"""

from dataclasses import dataclass, field
from random import Random

from tests.streams.flows import file_of

POLICIES = ("skip", "{default: {%s: none}}", "{stage: %s}")
DEPTH = 2


@dataclass
class RandomFlow:
    """Draws the items of one file."""

    rng: Random
    wild: bool = False
    """Whether stages may also fail without a policy."""
    stages: list = field(default_factory=list)
    makes: dict = field(default_factory=dict)
    """Field by stage."""
    failing: set = field(default_factory=set)
    """Stages that fail on some inputs."""
    numbers: int = 0

    def text(self):
        """Return a pipeline file."""
        items, there = self.sequence({"ticket", "tone"}, DEPTH)
        outputs = ", ".join(sorted(there - {"ticket", "tone"}))
        return file_of(
            f"[{', '.join(items)}]",
            *self.stages,
            output=outputs,
            takes="ticket: str, tone: str, parts: list[str]",
            progress=self.rng.choice(["finished", "all"]),
        )

    def sequence(self, there, depth, makes=None):
        """Return items, and what is there behind them; the last makes *makes*."""
        kinds = ["stage", "stage", "stage", "parallel", "when", "map", "loop"]
        kinds += ["fallback"]
        items, there = [], set(there)
        for _ in range(self.rng.randint(1, 3)):
            kind = self.rng.choice(kinds) if depth else "stage"
            item, made = getattr(self, kind)(there, depth - 1)
            items.append(item)
            there |= made
        if makes is not None:
            items.append(self.stage(there, 0, makes)[0])
            there.add(makes)
        return items, there

    def stage(self, there, _depth, makes=None):
        name, takes = self.name("s"), sorted(there)
        makes = makes or self.name("f")
        takes = self.rng.sample(takes, min(len(takes), self.rng.randint(1, 2)))
        self.add(name, takes, makes, *self.policy(name, takes, makes))
        return name, {makes}

    def parallel(self, there, depth):
        drawn = [self.sequence(there, depth) for _ in range(self.rng.randint(2, 3))]
        branches = (f"b{n}: [{', '.join(i)}]" for n, (i, _) in enumerate(drawn))
        made = set().union(*(behind - there for _, behind in drawn))
        return f"{{parallel: {{{', '.join(branches)}}}}}", made

    def when(self, there, depth):
        makes = self.name("f")
        then, _ = self.sequence(there, depth, makes)
        other, _ = self.sequence(there, depth, makes)
        asked = f"when: {self.condition(there)}"
        ways = f"then: [{', '.join(then)}], else: [{', '.join(other)}]"
        return f"{{{asked}, {ways}}}", {makes}

    def map(self, there, depth):
        each, makes, notes, joined = map(self.name, "pfnf")
        body, _ = self.sequence(there | {each}, depth, makes)
        self.add(f"j{joined}", [notes], joined)
        width = self.rng.randint(1, 3)
        return (
            f"{{map: [{', '.join(body)}], over: parts, each: {each}, width: {width}, "
            f"collect: {{{makes}: {notes}}}}}, j{joined}"
        ), {joined}

    def loop(self, there, depth):
        makes, first, begun = self.name("f"), self.name("s"), self.name("f")
        self.add(first, [self.rng.choice(sorted(there)), f"{makes}: str = ''"], begun)
        body, _ = self.sequence(there | {begun}, depth, makes)
        bound = f"max_iterations: {self.rng.randint(1, 3)}"
        until = f"until: {self.condition({makes})}"
        return f"{{loop: [{', '.join([first, *body])}], {until}, {bound}}}", {makes}

    def fallback(self, there, depth):
        makes, broken = self.name("f"), self.name("s")
        first, behind = self.sequence(there, depth)
        self.add(broken, [self.rng.choice(sorted(behind))], makes)
        self.failing.add(broken)
        other, _ = self.sequence(there, depth, makes)
        ways = f"[{', '.join([*first, broken])}], [{', '.join(other)}]"
        return f"{{fallback: [{ways}]}}", {makes}

    def condition(self, there):
        return f"{self.rng.choice(sorted(there))} < '8'"

    def policy(self, name, takes, makes):
        """Return what else is said of a stage; some may fail."""
        if self.rng.random() < 0.7:
            return ()
        self.failing.add(name)
        policy = self.rng.choice(POLICIES)
        if self.wild and self.rng.random() < 0.3:
            return ()
        if "stage" in policy:
            other = self.name("s")
            self.add(other, takes, makes)
            return (f"on_failure: {policy % other}",)
        return (f"on_failure: {policy % makes if '%' in policy else policy}",)

    def add(self, name, takes, makes, *said):
        calls = f"instructions: '{self.rng.randint(1, 2)}'"
        options = ", ".join([calls, "attempts: 20", *said])
        self.stages.append(f"{name}: {', '.join(takes)} -> {makes} & {options}")
        self.makes[name] = makes

    def name(self, letter):
        self.numbers += 1
        return f"{letter}{self.numbers}"
