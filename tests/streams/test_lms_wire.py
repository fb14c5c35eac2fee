"""The OpenAI protocol in bytes: what is sent, what is read, what a refusal means."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Usage
from streams.errors import (
    ModelBusyError,
    ModelRefusedError,
    ModelUnavailableError,
)
from streams.lms.openai_wire import (
    UnreadableAnswerError,
    answer_of,
    body_of,
    error_of,
    header_id,
    retry_after_s,
)
from streams.stage import LMCall

NOW_MS = 1_700_000_000_000


def refusal(status, body=b"", retry_after=None, secret=""):
    return error_of(
        "draft",
        "small",
        status=status,
        retry_after=retry_after,
        body=body,
        now_ms=NOW_MS,
        secret=secret,
    )


def completion(content, **rest):
    return orjson.dumps({"choices": [{"message": {"content": content}}], **rest})


def test_a_call_overrides_the_parameters_of_its_lm():
    call = LMCall(messages=({"role": "user", "content": "hé"},), params={"seed": 2})
    assert orjson.loads(body_of("m", {"seed": 1, "top_p": 0.5}, call)) == {
        "model": "m",
        "seed": 2,
        "top_p": 0.5,
        "messages": [{"role": "user", "content": "hé"}],
    }


def test_the_format_that_an_lm_is_described_with_is_before_that_of_a_call():
    messages = ({"role": "user", "content": "hé"},)
    json = {"response_format": {"type": "json_object"}}
    call = LMCall(messages=messages, params=json)
    assert json.items() <= orjson.loads(body_of("m", {}, call)).items()
    text = {"response_format": {"type": "text"}}
    assert orjson.loads(body_of("m", text, call)) == {
        "model": "m",
        **text,
        "messages": [*messages],
    }


def test_an_answer_is_its_text_and_what_it_cost():
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    answer = answer_of(completion("hello", usage=usage))
    assert answer.text == "hello"
    assert answer.usage == Usage(calls=1, input_tokens=7, output_tokens=3)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([{"type": "text", "text": "a"}, {"type": "other"}, {"text": "b"}], "ab"),
    ],
)
def test_content_may_be_empty_or_come_in_parts(content, text):
    assert answer_of(completion(content)).text == text


@pytest.mark.parametrize(
    "usage", [None, 7, {"prompt_tokens": "x"}, {"prompt_tokens": -1}]
)
def test_a_strange_usage_counts_as_none(usage):
    assert answer_of(completion("a", usage=usage)).usage == Usage(calls=1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {}}]}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b'{"choices": [{"message": {"content": [7]}}]}',
        b'{"choices": [{"message": {"content": [{"text": 7}]}}]}',
        b'{"choices": "x"}',
        b'{"choices": [{"message": {"content": "cut of',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
    ],
)
def test_a_body_of_another_shape_is_unreadable(body):
    with pytest.raises(UnreadableAnswerError):
        answer_of(body)


@given(st.binary())
def test_no_body_raises_anything_else(body):
    try:
        answer_of(body)
    except UnreadableAnswerError as error:
        assert str(len(body)) in str(error)  # noqa: PT017 - either way is fine


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, ModelBusyError),
        (500, ModelUnavailableError),
        (503, ModelUnavailableError),
        (529, ModelUnavailableError),
        (408, ModelUnavailableError),
        (409, ModelUnavailableError),
        (400, ModelRefusedError),
        (401, ModelRefusedError),
        (403, ModelRefusedError),
        (404, ModelRefusedError),
        (422, ModelRefusedError),
        (307, ModelRefusedError),
    ],
)
def test_a_status_says_whether_asking_again_may_help(status, kind):
    error = refusal(status)
    assert type(error) is kind
    assert (error.stage, error.lm) == ("draft", "small")
    assert str(status) in str(error)


def test_an_empty_account_is_a_refusal_although_it_says_429():
    body = b'{"error": {"code": "insufficient_quota", "message": "pay first"}}'
    assert type(refusal(429, body)) is ModelRefusedError


def test_what_the_server_says_is_passed_on_without_the_key_and_not_endlessly():
    said = orjson.dumps({"error": {"message": "wrong key sk-123\n" + "x" * 10_000}})
    text = str(refusal(401, said, secret="sk-123"))  # noqa: S106 - made up
    assert "wrong key ***" in text
    assert "sk-123" not in text
    assert len(text) < 300


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"error": "plain words"}', "plain words"),
        (b'{"error": {"type": "overloaded"}}', "overloaded"),
        (b'{"error": null}', ""),
        (b"[1]", ""),
        (b"not json", ""),
    ],
)
def test_error_bodies_of_all_sorts_are_read(body, shown):
    assert str(refusal(500, body)).endswith(shown or "500")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("2.5", 2.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("Tue, 99 Nov 2023 22:13:10 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert retry_after_s(header, NOW_MS) == seconds


def test_a_busy_lm_says_when_to_come_back():
    error = refusal(429, retry_after="7")
    assert isinstance(error, ModelBusyError)
    assert error.retry_after_s == 7.0


@given(st.text(max_size=400))
def test_any_request_id_fits_a_header(request_id):
    known_as = header_id(request_id)
    assert known_as.isascii()
    assert known_as.isprintable() or known_as == ""
    assert len(known_as) <= 200


@given(st.sets(st.text(alphabet="aé\n%", min_size=190, max_size=210), max_size=5))
def test_different_request_ids_stay_different(ids):
    assert len({header_id(each) for each in ids}) == len(ids)


def test_an_ordinary_request_id_travels_as_it_is():
    assert header_id("order-7/draft/0") == "order-7/draft/0"


@pytest.mark.parametrize(
    "error",
    [
        {"code": "context_length_exceeded", "message": "shorten it"},
        {"type": "BadRequestError", "message": "maximum context length is 8192 tokens"},
    ],
)
def test_messages_that_are_too_long_for_the_lm_are_an_error_of_their_own(error):
    refused = refusal(400, orjson.dumps({"error": error}))
    assert refused.code == "model.context"
    assert not refused.retryable
    assert refusal(400, orjson.dumps({"error": {"code": "x"}})).code == "model.refused"
