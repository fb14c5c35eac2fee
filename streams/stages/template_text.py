"""A Jinja template that can neither reach Python nor hold up the event loop.

The language is Jinja's sandbox, made smaller: only listed nodes are compiled
(``template_checks.py``), there is nothing in it but values (``template_sandbox.py``),
and whatever looks at a value pays for its size (``template_work.py``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.environment import Template

from streams.signatures.types import Field
from streams.stages.template_checks import (
    TOO_DEEP,
    TemplateTextError,
    parsed,
    unknown_names,
)
from streams.stages.template_keys import unknown_keys
from streams.stages.template_sandbox import SANDBOX, paying
from streams.stages.template_work import WORK, Budget, TooMuchError, sized


class RenderError(Exception):
    """A template has no text for these values. Says where and why, and quotes none."""


class TemplateText:
    """One template, compiled; safe to render any number of times."""

    def __init__(self, source: str, inputs: Sequence[Field]) -> None:
        """Compile *source*, which may read *inputs*.

        Raises:
            TemplateTextError: with every problem, ``line 2, column 7: ...``.
        """
        self.source = source
        tree = parsed(source)
        names = unknown_names(source, tree, [field.name for field in inputs])
        problems = names + unknown_keys(source, tree, inputs)
        if problems:
            raise TemplateTextError(problems)
        try:
            code = SANDBOX.compile(paying(tree))
        except (RecursionError, SyntaxError, MemoryError) as error:
            raise TemplateTextError([TOO_DEEP]) from error  # for Python's compiler
        self._template = Template.from_code(SANDBOX, code, {})

    def render(self, fields: Mapping[str, Any]) -> str:
        """Return the text for *fields*.

        Raises:
            RenderError: it has none, or one that takes too long or is too large.
        """
        context = self._template.new_context({**fields, WORK: Budget()})
        pieces, size = [], 0
        try:
            for piece in self._template.root_render_func(context):
                size += len(piece)
                sized(size)
                pieces.append(piece)
        except TooMuchError as error:
            reason = f"{self._where(error)}{error}"
            raise RenderError(reason) from error
        except Exception as error:
            # Whatever the values made of an expression. Its own words may quote them.
            reason = f"{self._where(error)}{type(error).__name__}"
            raise RenderError(reason) from error
        return "".join(pieces)

    def _where(self, error: Exception) -> str:
        """Return the line of the template that *error* came from."""
        line, trace = 0, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<template>":
                line = self._template.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return f"line {line}: " if line else ""
