"""What schemas cannot say: the objects fit together, now and after an upgrade."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm

HOOK = "helm.sh/hook"


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_selectors_find_the_workers_and_nothing_else(ci_release):
    spec = ci_release.workers["spec"]
    selectors = [spec["selector"]["matchLabels"]]
    selectors += [found["spec"]["selector"] for found in ci_release.kind("Service")]
    selectors += [
        found["spec"]["selector"]["matchLabels"]
        for found in ci_release.kind("PodDisruptionBudget")
    ]
    selectors += [
        constraint["labelSelector"]["matchLabels"]
        for constraint in spec["template"]["spec"]["topologySpreadConstraints"]
    ]
    jobs = [found["spec"]["template"]["metadata"] for found in ci_release.kind("Job")]
    for selector in selectors:
        assert selects(selector, spec["template"]["metadata"]["labels"])
        assert not any(selects(selector, job["labels"]) for job in jobs)


def rendered_twice(
    repo: Path, newer: Path, values: dict[str, Any], changed: str
) -> Iterator[dict[str, Any]]:
    """Return the StatefulSet of this chart and of one with newer *changed* fields."""
    shutil.copytree(repo / "helm", newer)
    metadata = newer / "Chart.yaml"
    text = re.sub(rf"(?m)^({changed}): .*", r"\1: 9.9.9", metadata.read_text())
    metadata.write_text(text)
    for path in (repo / "helm", newer):
        with helm.Chart.load(path) as chart:
            files = chart.render(values, name="pen", namespace="ns", is_upgrade=True)
        yield helm.values_from_yaml(files["penstock/templates/statefulset.yaml"])


def test_an_upgrade_changes_nothing_immutable(repo, tmp_path, ci_values):
    """Kubernetes refuses to change these: a version in them would end all upgrades."""
    immutable = ("selector", "serviceName", "podManagementPolicy")
    old, new = (
        [workers["spec"].get(name) for name in (*immutable, "volumeClaimTemplates")]
        for workers in rendered_twice(
            repo, tmp_path / "helm", ci_values, "version|appVersion"
        )
    )
    assert old == new


def test_a_new_chart_version_alone_restarts_no_worker(repo, tmp_path, ci_values):
    old, new = rendered_twice(repo, tmp_path / "helm", ci_values, "version")
    assert old["metadata"] != new["metadata"]
    assert old["spec"]["template"] == new["spec"]["template"]


def test_workers_restart_when_a_pipeline_changes(render):
    def checksum(text: str) -> str:
        release = render({"pipelines": {"files": {"echo.yaml": text}}})
        template = release.workers["spec"]["template"]
        return template["metadata"]["annotations"]["checksum/pipelines"]

    assert checksum("pipeline: a") != checksum("pipeline: b")


def test_config_maps_are_rendered_or_the_users_own(ci_release, ci_values):
    ours = {found["metadata"]["name"] for found in ci_release.kind("ConfigMap")}
    theirs = {ci_values["pipelines"].get("existingConfigMap")}
    for pod, _ in ci_release.containers:
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in ours | theirs


def test_the_topics_job_needs_nothing_that_is_installed_after_it(ci_release):
    later = {
        (found["kind"], found["metadata"]["name"])
        for found in ci_release.objects
        if HOOK not in found["metadata"].get("annotations", {})
    }
    hooks = [
        f for f in ci_release.objects if HOOK in f["metadata"].get("annotations", {})
    ]
    weights = {"ConfigMap": "-5", "Job": "0"}
    for hook in hooks:
        assert (
            hook["metadata"]["annotations"]["helm.sh/hook-weight"]
            == weights[hook["kind"]]
        )
    for job in ci_release.kind("Job"):
        pod = job["spec"]["template"]["spec"]
        assert ("ServiceAccount", pod.get("serviceAccountName")) not in later
        for volume in pod["volumes"]:
            assert ("ConfigMap", volume.get("configMap", {}).get("name")) not in later


def test_the_topics_job_and_the_workers_see_the_same(render):
    """Same image, settings and pipelines; only workers are members of a group."""
    secret = {"PENSTOCK_LM_SMALL_API_KEY": {"secret": "lms", "key": "small"}}
    release = render({"secrets": {"envFrom": ["keys"], "env": secret}})
    (job,) = release.kind("Job")
    (_, worker), (_, topics) = sorted(
        release.containers, key=lambda pair: pair[1]["name"], reverse=True
    )
    members_only = {"POD_NAME", "PENSTOCK_INSTANCE"}
    assert topics["env"] == [e for e in worker["env"] if e["name"] not in members_only]
    assert topics["envFrom"] == worker["envFrom"]
    assert topics["image"] == worker["image"]
    pipelines, copy = (found["data"] for found in release.kind("ConfigMap"))
    assert pipelines == copy
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == [
        "topics",
        "apply",
    ]


def test_without_the_job_no_hook_is_left(render):
    release = render({"topics": {"enabled": False}})
    assert not release.kind("Job")
    assert HOOK not in str(release.objects)


def test_names_leave_room_for_what_kubernetes_appends(ci_release):
    for found in ci_release.objects:
        assert len(found["metadata"]["name"]) <= 63
    assert len(ci_release.workers["metadata"]["name"]) <= 52


def test_the_notes_warn_of_settings_for_one_start_only(render):
    assert "Turn it off" not in render().notes
    notes = render({"settings": {"new_app": True, "accept_loss": True}}).notes
    assert notes.count("Turn it off") == 2


def test_the_chart_is_released_with_the_project(repo, load):
    project = (repo / "pyproject.toml").read_text()
    (version,) = re.findall(r'(?m)^version = "(.*)"$', project)
    assert load("helm/Chart.yaml")["appVersion"] == version
