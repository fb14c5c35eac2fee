"""Does what stands in for a failed stage leave what the stage would have left?"""

from collections.abc import Iterable, Iterator, Sequence

from streams.language.problems import Problems, meant
from streams.language.stage_file import StageText
from streams.planned import UseDefault
from streams.signatures.fitting import fits
from streams.signatures.types import Field
from streams.signatures.validate import Validator


def checked_default(
    text: StageText, outputs: Sequence[Field], problems: Problems, *, whole: bool
) -> UseDefault:
    """Return the outputs that the file states, as the stage would have left them.

    Unless *outputs* are the *whole* of them, others may be right.
    """
    path = f"stages.{text.name}.on_failure.default"
    given = text.on_failure.default
    clean, wrong = Validator(outputs)(given)
    for name, sentence in wrong:
        problems.add(f"{path}.{name}", sentence)
    known = [field.name for field in outputs]
    for name in given:
        if whole and name not in known:
            told = f"is no output of {text.name}; {meant(name, known)}"
            problems.add(f"{path}.{name}", told, key=True)
    return UseDefault(outputs=clean)


def uncovered(
    needed: Iterable[Field], made: Iterable[Field], maker: str
) -> Iterator[str]:
    """Give a sentence for each field *needed* that *maker*, of these, does not make."""
    kinds = {field.name: field.type for field in made}
    for wanted in needed:
        kind = kinds.get(wanted.name)
        if kind is None:
            yield f"{maker} does not make {wanted.name}"
        elif not fits(kind, wanted.type):
            yield f"{maker} makes {wanted.name} {kind}, and not {wanted.type}"
