"""Whatever the chart renders is what Kubernetes accepts, by Kubernetes' own schemas."""

import copy
import json
from importlib import resources
from typing import Any

import helm_python as helm
import jsonschema
import kubernetes_validate
import pytest

# The oldest that Chart.yaml allows, and the newest whose schemas we have.
OLDEST, NEWEST = "1.27", kubernetes_validate.latest_version().removesuffix(".0")


class KubernetesSchemas:
    """The schemas that kubernetes-validate ships, to report all errors and not one.

    One document per version holds every definition, so no reference leaves it.
    """

    def __init__(self, version: str) -> None:
        shipped = resources.files(kubernetes_validate) / "kubernetes-json-schema"
        name = f"v{version}.0-local-strict"
        self.definitions = json.loads(
            (shipped / name / "_definitions.json").read_text()
        )
        self.kinds = {
            (f"{k['group']}/{k['version']}".lstrip("/"), k["kind"]): definition
            for definition, schema in self.definitions["$defs"].items()
            for k in schema.get("x-kubernetes-group-version-kind", ())
        }

    def errors(self, found: dict[str, Any]) -> list[str]:
        """Return every error of one object, as ``path: sentence``."""
        definition = self.kinds[found["apiVersion"], found["kind"]]
        schema = self.definitions | {"$ref": f"#/$defs/{definition}"}
        validator = jsonschema.Draft202012Validator(schema)
        return [
            f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
            for error in validator.iter_errors(found)
        ]


@pytest.fixture(scope="module", params=[OLDEST, NEWEST])
def schemas(request):
    return KubernetesSchemas(request.param)


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return every leaf of *value* with its path."""
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        return [(path, value)]
    return [leaf for key, child in inner for leaf in leaves(child, f"{path}.{key}")]


def test_lint_has_nothing_to_say(repo, ci_values):
    for version in (OLDEST, NEWEST):
        report = helm.lint(
            repo / "helm", ci_values, strict=True, kube_version=f"v{version}.0"
        )
        assert report["errors"] == []
        assert {message["error"] for message in report["messages"]} <= {
            "icon is recommended"
        }


def test_every_object_satisfies_its_schema(ci_release, schemas):
    for found in ci_release.objects:
        assert schemas.errors(found) == [], found["metadata"]["name"]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_satisfies_kubernetes_validate(ci_release, version):
    for found in ci_release.objects:
        kubernetes_validate.validate(found, version, strict=True)


def test_nothing_is_rendered_empty(ci_release):
    """The schemas allow null nearly everywhere; it is a value that Helm lost."""
    for found in ci_release.objects:
        empty = [path for path, value in leaves(found) if value is None]
        assert not empty, found["metadata"]["name"]


def _misspell(workers: dict[str, Any]) -> None:
    pod = workers["spec"]["template"]["spec"]
    pod["containers"][0]["readynessProbe"] = pod["containers"][0].pop("readinessProbe")


def _mistype(workers: dict[str, Any]) -> None:
    workers["spec"]["replicas"] = "three"


def _forget(workers: dict[str, Any]) -> None:
    del workers["spec"]["template"]["spec"]["containers"][0]["name"]


def _misplace(workers: dict[str, Any]) -> None:
    workers["spec"]["terminationGracePeriodSeconds"] = 45


SEEDS = (_misspell, _mistype, _forget, _misplace)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seeded_error_is_caught(render, schemas, seed):
    wrong = copy.deepcopy(render().workers)
    assert schemas.errors(wrong) == []
    seed(wrong)
    assert len(schemas.errors(wrong)) == 1


def test_of_several_errors_all_are_caught(render, schemas):
    """kubernetes-validate alone stops at one: hence a second look with jsonschema."""
    wrong = copy.deepcopy(render().workers)
    for seed in SEEDS:
        seed(wrong)
    assert len(schemas.errors(wrong)) == len(SEEDS)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)
