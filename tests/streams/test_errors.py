"""Errors: one tree, one code each, and sentences made of facts."""

import inspect

from streams import errors
from streams.errors import StreamsError

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, StreamsError)
]


def test_every_error_has_a_code_of_its_own():
    codes = [each.code for each in CLASSES]
    assert sorted(set(codes)) == sorted(codes)


def test_the_tree_at_the_top_of_the_file_names_every_class():
    for each in CLASSES:
        assert each.__name__ in errors.__doc__


def test_only_what_another_try_may_cure_is_retryable():
    assert {each.code for each in CLASSES if each.retryable} == {
        "stage.output",
        "stage.timeout",
        "model.unavailable",
        "model.busy",
        "http.unreachable",
        "http.busy",
        "http.answer",
    }


def test_inputs_name_every_field():
    error = errors.InputsError([("ticket", "is missing"), ("tier", "is odd")])
    assert str(error) == "ticket: is missing; tier: is odd"
    assert (error.field, error.code) == ("ticket", "request.inputs")


def test_a_missed_deadline_says_where():
    assert str(errors.DeadlineError("draft", 5)).startswith("deadline passed before")
    assert "before its run" in str(errors.DeadlineError(None, 5))
