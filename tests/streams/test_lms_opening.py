"""Opening an LM: every wrong option is named at once, and no key goes astray."""

import pytest

from streams.clock import ManualClock
from streams.errors import ConfigError
from streams.lms.opening import chat_url, key_env, open_lm
from streams.lms.options import LIMIT
from streams.lms.providers import PROVIDERS
from streams.metrics import NullRecorder
from streams.stage import LMCall


class Recorded(NullRecorder):
    def __init__(self):
        self.counts = []
        self.seconds = []

    def count(self, name, amount=1, **labels):
        self.counts.append((name, amount, labels))

    def observe(self, name, value, **labels):
        self.seconds.append(name)


def opened(options, env=None, recorder=None):
    return open_lm("small", options, env or {}, recorder or Recorded(), ManualClock())


def problems(options, env=None):
    with pytest.raises(ConfigError) as caught:
        opened(options, env)
    return caught.value.problems


def endpoint(options, env=None):
    lm = opened(options, env)
    return lm._inner._inner._endpoint  # noqa: SLF001 - what will be asked, and with which key


def test_the_demo_lm_needs_nothing():
    lm = opened({"model": "local/demo"})
    assert (lm.name, lm.available()) == ("small", True)
    assert lm.fingerprint.startswith("local/demo")


def test_all_problems_are_reported_at_once_each_under_its_option():
    wrong = {
        "model": "opnai/gpt",
        "temperatures": 1,
        "max_tokens": 0,
        "limit": True,
        "timeout": 8,
        "params": {1: 2},
        "api_base": 7,
        "api_key_env": "",
        "temperature": float("nan"),
    }
    found = problems(wrong)
    named = [problem.partition(":")[0] for problem in found]
    assert sorted(named) == sorted(wrong)
    assert "temperatures: no such option; did you mean temperature?" in found


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        (None, "is missing"),
        ("", "is missing"),
        (7, "is missing"),
        ("gpt-4o", "is none of"),
        ("openai/", "is none of"),
        ("local/other", "is none of"),
        ("opnai/x", "did you mean openai/?"),
    ],
)
def test_a_model_that_nobody_serves_is_refused_with_a_hint(model, hint):
    (problem,) = problems({"model": model} if model is not None else {})
    assert hint in problem


def test_a_key_in_the_file_is_refused():
    (problem,) = problems({"model": "local/demo", "api_key": "sk-1"})
    assert "api_key_env" in problem
    assert "sk-1" not in problem


def test_a_missing_key_names_the_variables_to_set():
    (problem,) = problems({"model": "openai/m"})
    assert "PENSTOCK_LM_SMALL_API_KEY or OPENAI_API_KEY" in problem
    (problem,) = problems({"model": "openai/m", "api_key_env": "MINE"})
    assert "set MINE to it" in problem


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "own"),
        ({"api_key_env": "MINE"}, "mine"),
        ({"api_base": "http://a"}, "own"),
    ],
)
def test_the_lms_own_variable_comes_first(options, key):
    env = {
        "PENSTOCK_LM_SMALL_API_KEY": "own",
        "OPENAI_API_KEY": "usual",
        "MINE": "mine\n",
    }
    assert endpoint({"model": "openai/m"} | options, env).key == key


def test_the_providers_key_goes_to_the_provider_only():
    env = {"OPENAI_API_KEY": "usual"}
    assert endpoint({"model": "openai/m"}, env).key == "usual"
    assert endpoint({"model": "openai/m", "api_base": "http://a"}, env).key == ""


def test_a_key_that_no_header_can_carry_is_refused():
    (problem,) = problems({"model": "openai/m"}, {"OPENAI_API_KEY": "a\nb"})
    assert "no header can carry" in problem


def test_a_server_of_ones_own_needs_an_address_and_no_key():
    (problem,) = problems({"model": "hosted_vllm/m"})
    assert problem.startswith("api_base:")
    asked = endpoint({"model": "hosted_vllm/org/m", "api_base": "http://gpu:8000"})
    assert asked.url == "http://gpu:8000/v1/chat/completions"
    assert asked.model == "org/m"


@pytest.mark.parametrize(
    "address", ["gpu:8000", "ftp://gpu", "http://", "http://u:p@g"]
)
def test_a_bad_address_is_refused(address):
    (problem,) = problems({"model": "hosted_vllm/m", "api_base": address})
    assert problem.startswith("api_base:")


def test_bad_address_and_missing_key_are_reported_together():
    found = problems({"model": "openai/m", "api_base": "x", "api_key_env": "MINE"})
    assert len(found) == 2


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://a", "http://a/v1/chat/completions"),
        ("http://a/", "http://a/v1/chat/completions"),
        ("http://a/v1", "http://a/v1/chat/completions"),
        ("http://a/api/paas/v4/", "http://a/api/paas/v4/chat/completions"),
        ("http://a/v1/chat/completions", "http://a/v1/chat/completions"),
    ],
)
def test_an_address_is_completed(base, url):
    assert chat_url(base) == url


@pytest.mark.parametrize("prefix", PROVIDERS)
def test_every_provider_opens(prefix):
    asked = endpoint(
        {
            "model": f"{prefix}/m",
            "api_base": "http://a",
            "temperature": 0.5,
            "max_tokens": 9,
            "params": {"seed": 1},
        },
    )
    assert asked.params == {"temperature": 0.5, "max_tokens": 9, "seed": 1}
    assert asked.timeout_s == 120
    home = PROVIDERS[prefix].api_base
    assert home is None or chat_url(home).startswith(home)


def test_limits_are_bounded_by_default():
    lm = opened({"model": "ollama/m"})
    assert lm._limiter.slots == LIMIT  # noqa: SLF001 - the default is the point


def test_the_variable_of_a_key_follows_from_the_name():
    assert key_env("big-one") == "PENSTOCK_LM_BIG_ONE_API_KEY"


async def test_calls_are_counted_whether_they_go_well_or_not():
    recorder = Recorded()
    lm = opened({"model": "local/demo"}, recorder=recorder)
    await lm.complete("s", LMCall(messages=({"role": "user", "content": "hello"},)))
    await lm.aclose()
    calls = [labels for name, _, labels in recorder.counts if "calls" in name]
    tokens = {
        labels["kind"]: n for name, n, labels in recorder.counts if "tokens" in name
    }
    assert calls == [{"lm": "small", "code": ""}]
    assert tokens.keys() == {"input", "output"}
    assert recorder.seconds == ["penstock_lm_call_seconds"]


async def test_a_refusal_is_counted_under_its_code():
    recorder = Recorded()
    lm = opened({"model": "ollama/m"}, recorder=recorder)
    call = LMCall(messages=({"role": "user", "content": "\ud800"},))
    with pytest.raises(Exception, match="LM small"):
        await lm.complete("s", call)
    await lm.aclose()
    assert recorder.counts == [
        ("penstock_lm_calls_total", 1, {"lm": "small", "code": "model.refused"})
    ]
    assert recorder.seconds == ["penstock_lm_wait_seconds", "penstock_lm_call_seconds"]
    assert lm.available()
    assert lm.fingerprint.startswith("m@")
