"""One setting is one field, one variable and one Helm value, with one meaning."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest

from streams.config import PREFIX, Settings

TYPES = {
    str: "string",
    Path: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
}

# Where a cluster wants something else than a laptop, and why.
CHART_DEFAULTS = {
    "pipelines_dir": Path("/etc/penstock/pipelines"),  # as in the image
    "state_dir": Path("/var/lib/penstock"),
    "http_host": "0.0.0.0",  # noqa: S104 - probes come from outside the pod
    "partitions": 24,  # design 5
    "replication": 3,  # design 4: production
    "min_insync_replicas": 2,
    "instance": "$(POD_NAME)",  # static membership
    "session_timeout_s": 90.0,  # a pod is back before its session ends
}


def variables(pod: dict[str, Any]) -> dict[str, str]:
    """Return the plain variables of *pod*'s one container, as Kubernetes sets them."""
    (container,) = pod["spec"]["containers"]
    plain = {e["name"]: e["value"] for e in container["env"] if "value" in e}
    return {
        name: value.replace("$(POD_NAME)", "pen-penstock-0")
        for name, value in plain.items()
    }


@pytest.fixture(scope="module")
def properties(load):
    """The values schema of `settings`, by name, references resolved."""
    schema = load("helm/values.schema.json")
    given = schema["properties"]["settings"]["properties"]
    return {
        name: schema["definitions"][spec["$ref"].rpartition("/")[2]]
        if "$ref" in spec
        else spec
        for name, spec in given.items()
    }


def test_fields_values_and_schema_name_the_same_settings(load):
    known = {field.name for field in fields(Settings)}
    schema = load("helm/values.schema.json")["properties"]["settings"]
    places = {
        "helm/values.yaml, settings": set(load("helm/values.yaml")["settings"]),
        "helm/values.schema.json, settings.properties": set(schema["properties"]),
        "helm/values.schema.json, settings.required": set(schema["required"]),
    }
    problems = [
        f"{place}: {verb} {name}"
        for place, names in places.items()
        for verb, difference in (("add", known - names), ("remove", names - known))
        for name in sorted(difference)
    ]
    assert not problems, "\n".join(problems)


def test_every_value_becomes_its_variable(render):
    known = {PREFIX + field.name.upper() for field in fields(Settings)}
    release = render(
        {
            "settings": {
                "code_paths": "/code",
                "http_hosts": "h",
                "registry_url": "http://r",
            }
        }
    )
    assert set(variables(release.workers["spec"]["template"])) == known


def test_schema_and_field_agree_on_the_type(properties):
    for field in fields(Settings):
        spec = properties[field.name]
        choices = {type(choice) for choice in spec.get("enum", ())}
        wanted = TYPES[field.type]
        assert spec.get("type") == wanted or choices == {field.type}, (
            f"helm/values.schema.json, settings.{field.name}: should be a {wanted}"
        )


def test_defaults_differ_only_where_a_cluster_wants_it(load):
    values = load("helm/values.yaml")["settings"]
    for field in fields(Settings):
        wanted = CHART_DEFAULTS.get(field.name, field.default)
        assert field.type(values[field.name]) == wanted, (
            f"helm/values.yaml, settings.{field.name}: should be {wanted!r}"
        )


def test_every_pod_starts_with_variables_that_penstock_accepts(ci_release):
    for pod in ci_release.pods:
        settings = Settings.from_env(variables(pod))
        assert settings.bootstrap.startswith("kafka")


def test_workers_get_the_values_unchanged(render, load):
    changes = {"ledger_max_entries": 123_456_789_012, "commit_interval_s": 0.0001}
    changes |= {"new_app": True, "bootstrap": "[::1]:9092,kafka:9092", "drain_s": 1.5}
    release = render({"settings": changes})
    got = Settings.from_env(variables(release.workers["spec"]["template"]))
    wanted = load("helm/values.yaml")["settings"] | changes
    for field in fields(Settings):
        value = wanted[field.name]
        if field.name == "instance":
            value = "pen-penstock-0"
        assert getattr(got, field.name) == field.type(value), field.name


def test_numbers_from_the_command_line_arrive_as_well(render):
    changes = helm.parse_set_string("settings.max_waiting_bytes=50000000,replicas=2")
    release = render(changes)
    env = variables(release.workers["spec"]["template"])
    assert env["PENSTOCK_MAX_WAITING_BYTES"] == "50000000"
    assert release.workers["spec"]["replicas"] == 2


def test_settings_left_empty_are_left_to_secrets(render):
    secret = {"PENSTOCK_REGISTRY_URL": {"secret": "registry", "key": "url"}}
    release = render({"secrets": {"env": secret}})
    for pod in release.pods:
        (container,) = pod["spec"]["containers"]
        given = [e for e in container["env"] if e["name"] == "PENSTOCK_REGISTRY_URL"]
        reference = {"secretKeyRef": {"name": "registry", "key": "url"}}
        assert given == [{"name": "PENSTOCK_REGISTRY_URL", "valueFrom": reference}]


def test_every_value_is_documented(repo):
    """Each by a ``# --`` of its own, or by that of the group it stands in."""
    undocumented, comment, group_documented = [], "", False
    for line in (repo / "helm" / "values.yaml").read_text().splitlines():
        if line.lstrip().startswith("#"):
            comment += line.lstrip()
            continue
        documented, comment = comment.startswith("# --"), ""
        if re.match(r"\w+:", line):
            group_documented = documented
        is_value = re.match(r"( {2})?\w+: \S", line)
        if is_value and not documented and not group_documented:
            undocumented.append(line)
    assert not undocumented, f"helm/values.yaml: say what these are: {undocumented}"
