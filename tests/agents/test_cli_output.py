"""Output of the command line: one shape of rows, three formats."""

import orjson
import pytest
import yaml

from agents.cli.endings import ending_of
from agents.cli.output import render
from agents.exit_codes import ExitCode
from agents.failures import BrokerUnreachableError, OutOfMemoryError, TopicError
from streams.errors import ConfigError, DeadlineError

ROWS = [
    {"topic": "a.requests", "partitions": 8, "ok": True, "lms": ["small", "big"]},
    {"topic": "b", "partitions": 12, "ok": False, "lms": []},
]


def test_a_table_lines_its_columns_up():
    assert render(ROWS, "table").splitlines() == [
        "TOPIC       PARTITIONS  OK   LMS",
        "a.requests  8           yes  small, big",
        "b           12          no   -",
    ]


def test_a_table_without_rows_says_so_and_json_is_empty():
    assert render([], "table") == "nothing"
    assert orjson.loads(render([], "json")) == []


def test_a_cell_stays_on_its_line():
    assert render([{"a": "one\n  two"}], "table").splitlines() == ["A", "one two"]


def test_programs_get_the_values_themselves():
    assert orjson.loads(render(ROWS, "json")) == ROWS
    assert yaml.safe_load(render(ROWS, "yaml")) == ROWS


def test_one_object_stays_one_object():
    assert orjson.loads(render({"a": None}, "json")) == {"a": None}
    assert yaml.safe_load(render({"a": "ü"}, "yaml")) == {"a": "ü"}


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (ConfigError(["one", "two"]), ExitCode.USAGE, ["one", "two"]),
        (TopicError(["wrong", "missing"]), ExitCode.USAGE, ["wrong", "missing"]),
        (KeyboardInterrupt(), ExitCode.STOPPED, ["stopped"]),
        (
            TimeoutError(),
            ExitCode.UNREACHABLE,
            ["the broker does not answer any more; is it up? try again"],
        ),
        (MemoryError(), ExitCode.FAILED, [str(OutOfMemoryError())]),
        (
            SystemError("error return without exception set"),
            ExitCode.FAILED,
            [
                (
                    "SystemError: error return without exception set; "
                    "as a rule no memory is left: give it more; -v shows where"
                )
            ],
        ),
        (KeyError("x\ny"), ExitCode.FAILED, [r"KeyError: 'x\ny'; -v shows where"]),
        (
            DeadlineError("draft", 5),
            ExitCode.FAILED,
            ["deadline passed before stage draft, 5 ms ago"],
        ),
    ],
)
def test_every_error_ends_in_lines_and_a_code(error, code, lines):
    assert ending_of(error) == (code, tuple(lines))


def test_no_broker_means_exit_3():
    code, (line,) = ending_of(BrokerUnreachableError("kafka:9092"))
    assert code == ExitCode.UNREACHABLE == 3
    assert line.startswith("no broker answers at kafka:9092: is it up?")


def test_exit_codes_never_change():
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "UNREACHABLE": 3,
        "STOPPED": 4,
    }
