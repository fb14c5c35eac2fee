"""Settings: read from a mapping, checked against each other, all problems at once."""

from pathlib import Path

import pytest

from streams.config import Settings
from streams.errors import ConfigError


def problems(**env):
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({f"PENSTOCK_{name.upper()}": v for name, v in env.items()})
    return list(caught.value.problems)


def test_the_defaults_are_sound():
    assert Settings.from_env({"HOME": "/", "PATH": ""}) == Settings()
    assert Settings().problems() == []


def test_every_type_is_read_from_text():
    read = Settings.from_env(
        {
            "PENSTOCK_APP": "desk",
            "PENSTOCK_PARTITIONS": "24",
            "PENSTOCK_COMMIT_INTERVAL_S": "0.05",
            "PENSTOCK_NEW_APP": "Yes",
            "PENSTOCK_REGISTRY_REGISTER": "0",
            "PENSTOCK_STATE_DIR": "/data",
        }
    )
    assert (read.app, read.partitions, read.commit_interval_s) == ("desk", 24, 0.05)
    assert (read.new_app, read.registry_register) == (True, False)
    assert read.state_dir == Path("/data")


def test_an_empty_variable_is_an_unset_one():
    assert Settings.from_env({"PENSTOCK_PARTITIONS": ""}) == Settings()


def test_the_group_is_made_of_prefix_and_app():
    assert Settings(prefix="p", app="a").group == "p-a"


def test_all_mistakes_of_one_environment_are_reported_at_once():
    assert problems(
        partitions="many", new_app="maybe", commit_timeout_s="x", partition="3"
    ) == [
        "PENSTOCK_PARTITIONS: 'many' is not a number",
        "PENSTOCK_COMMIT_TIMEOUT_S: 'x' is not a number",
        "PENSTOCK_NEW_APP: 'maybe' is neither true nor false",
        "PENSTOCK_PARTITION: no such setting; see `penstock config show`",
    ]


@pytest.mark.parametrize(
    "name", ["LM_SMALL_API_KEY", "FAILPOINTS", "TEST_X", "CACHE_DIR"]
)
def test_variables_that_are_read_elsewhere_are_no_mistakes(name):
    assert Settings.from_env({f"PENSTOCK_{name}": "x"}) == Settings()


@pytest.mark.parametrize(
    ("env", "about"),
    [
        ({"partitions": "0"}, "PENSTOCK_PARTITIONS"),
        ({"max_running": "0"}, "PENSTOCK_MAX_RUNNING"),
        ({"max_waiting": "0"}, "PENSTOCK_MAX_WAITING"),
        ({"commit_interval_s": "5"}, "PENSTOCK_COMMIT_INTERVAL_S"),
        ({"commit_timeout_s": "15"}, "PENSTOCK_COMMIT_TIMEOUT_S"),
        ({"transaction_timeout_s": "30"}, "PENSTOCK_TRANSACTION_TIMEOUT_S"),
        ({"min_insync_replicas": "2"}, "PENSTOCK_MIN_INSYNC_REPLICAS"),
        ({"auto_offset_reset": "none"}, "PENSTOCK_AUTO_OFFSET_RESET"),
        ({"log_level": "loud"}, "PENSTOCK_LOG_LEVEL"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(env, about):
    (problem,) = problems(**env)
    assert problem.startswith(f"{about}: ")


def test_names_must_not_be_empty():
    assert Settings(prefix="").problems() == [
        "PENSTOCK_PREFIX, PENSTOCK_APP: must not be empty"
    ]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://registry:8081", "http://registry:8081"),
        ("https://me:secret@registry:8081/x", "https://me:***@registry:8081/x"),
        ("https://me:secret@registry", "https://me:***@registry"),
    ],
)
def test_what_people_see_has_no_password(url, shown):
    masked = Settings(registry_url=url).masked()
    assert masked["registry_url"] == shown
    assert masked["state_dir"] == ".cache/state"
    assert list(masked) == sorted(masked)
