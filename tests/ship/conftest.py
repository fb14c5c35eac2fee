"""What the tests of image, compose file and chart share: the repository, rendered."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

REPO = Path(__file__).parents[2]
CI_VALUES = sorted((REPO / "helm" / "ci").glob("*-values.yaml"))


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error, not a silent loss."""


def _mapping(loader: StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice, f"{node.start_mark}: given twice: {twice}"
    return loader.construct_mapping(node, deep=True)


StrictLoader.add_constructor(yaml.resolver.Resolver.DEFAULT_MAPPING_TAG, _mapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What Helm would send to Kubernetes for some values."""

    objects: tuple[dict[str, Any], ...]
    notes: str

    def kind(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of *kind*, hooks among them."""
        return [found for found in self.objects if found["kind"] == kind]

    @property
    def workers(self) -> dict[str, Any]:
        """The StatefulSet."""
        (found,) = self.kind("StatefulSet")
        return found

    @property
    def pods(self) -> list[dict[str, Any]]:
        """Pod templates: the workers', and the topics job's where there is one."""
        return [
            found["spec"]["template"]
            for found in self.objects
            if "template" in found.get("spec", {})
        ]

    @property
    def containers(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Every container, after its pod's spec."""
        specs = [pod["spec"] for pod in self.pods]
        return [(spec, one) for spec in specs for one in spec["containers"]]


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Lay *change* over *base*, map by map, as Helm does with values files."""
    result = dict(base)
    for key, value in change.items():
        deep = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if deep else value
    return result


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def stop_margin_s() -> float:
    """What a worker may take to stop beyond its drain budget.

    Read and not imported: of all modules, the worker's may have effects.
    """
    text = (REPO / "agents" / "worker.py").read_text()
    (found,) = re.findall(r"(?m)^STOP_MARGIN_S: Final = ([\d.]+)$", text)
    return float(found)


@pytest.fixture(scope="session")
def load() -> Callable[[str], Any]:
    """Read a YAML or JSON file of the repository, strictly."""

    def read(path: str) -> Any:
        text = (REPO / path).read_text()
        return (
            json.loads(text)
            if path.endswith(".json")
            else StrictLoader(text).get_single_data()
        )

    return read


@pytest.fixture(scope="session")
def render() -> Iterator[Callable[..., Release]]:
    """Render the chart with the smallest values that work, and changes to them."""
    smallest = yaml.safe_load((REPO / "helm/ci/files-values.yaml").read_text())
    with helm.Chart.load(REPO / "helm") as chart:

        def rendered(
            changes: Mapping[str, Any] | None = None, *, name: str = "pen"
        ) -> Release:
            files = chart.render(
                merged(smallest, changes or {}), name=name, namespace="ns"
            )
            return release_of(files)

        yield rendered


def release_of(files: Mapping[str, str]) -> Release:
    """Parse what Helm rendered, file by file."""
    documents = [
        document
        for path, text in sorted(files.items())
        if not path.endswith("NOTES.txt")
        for document in yaml.load_all(text, StrictLoader)
    ]
    (notes,) = (text for path, text in files.items() if path.endswith("NOTES.txt"))
    return Release(objects=tuple(filter(None, documents)), notes=notes)


@pytest.fixture(scope="session", params=CI_VALUES, ids=lambda path: path.stem)
def ci_values(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each of the chart's own test values in turn."""
    return yaml.safe_load(request.param.read_text())


@pytest.fixture(scope="session")
def ci_release(ci_values: dict[str, Any]) -> Release:
    with helm.Chart.load(REPO / "helm") as chart:
        return release_of(chart.render(ci_values, name="pen", namespace="ns"))
