"""What schemas cannot say: the rendered objects fit together and keep our promises."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm

HOOK = "helm.sh/hook"
# What the restricted profile of Pod Security Standards allows as a volume, for us.
ALLOWED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


def containers(release: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Return every container beside its pod."""
    for pod in release.pods:
        for container in pod["spec"]["containers"]:
            yield pod["spec"], container


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


def test_all_that_is_mounted_exists(ci_release):
    claims = ci_release.workers["spec"].get("volumeClaimTemplates", [])
    claimed = {claim["metadata"]["name"] for claim in claims}
    for pod, container in containers(ci_release):
        volumes = [volume["name"] for volume in pod["volumes"]]
        mounts = [mount["name"] for mount in container["volumeMounts"]]
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert set(volumes) <= set(mounts) <= set(volumes) | claimed
        assert len(set(volumes)) == len(volumes)
        assert len(set(paths)) == len(paths)


def test_config_maps_are_rendered_or_the_users_own(ci_release, ci_values):
    ours = {found["metadata"]["name"] for found in ci_release.kind("ConfigMap")}
    theirs = {ci_values["pipelines"].get("existingConfigMap")}
    for pod, _ in containers(ci_release):
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
        containers(release), key=lambda pair: pair[1]["name"], reverse=True
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


def test_no_secret_is_in_any_object(ci_release):
    """The chart takes names of Secrets, never what is in them."""
    assert not ci_release.kind("Secret")
    for _, container in containers(ci_release):
        for entry in container["env"]:
            if re.search("KEY|TOKEN|PASSWORD|SECRET|CREDENTIAL", entry["name"]):
                assert "value" not in entry
    for found in ci_release.kind("ConfigMap"):
        assert all(name.endswith(".yaml") for name in found["data"])


def test_pods_satisfy_the_restricted_profile(ci_release):
    for pod, container in containers(ci_release):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        kinds = {kind for volume in pod["volumes"] for kind in volume} - {"name"}
        assert kinds <= ALLOWED_VOLUMES
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert pod["automountServiceAccountToken"] is False


def test_kubernetes_adds_no_variables_of_its_own(ci_release):
    """A Service named penstock would make PENSTOCK_PORT, which is no setting."""
    assert all(pod["enableServiceLinks"] is False for pod, _ in containers(ci_release))


def test_a_read_only_pod_has_a_temporary_folder(ci_release):
    """Importing DSPy fails without one."""
    for pod, container in containers(ci_release):
        mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert "emptyDir" in volumes[mounts["/tmp"]]  # noqa: S108 - the pod's own


def test_variables_are_given_once_and_before_they_are_used(ci_release):
    for _, container in containers(ci_release):
        seen: set[str] = set()
        for entry in container["env"]:
            assert entry["name"] not in seen
            assert set(re.findall(r"\$\((\w+)\)", entry.get("value", ""))) <= seen
            seen.add(entry["name"])


def test_every_worker_is_a_static_member_under_its_pods_name(render):
    (container,) = render().workers["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry for entry in container["env"]}
    field = {"fieldRef": {"fieldPath": "metadata.name"}}
    assert env["POD_NAME"]["valueFrom"] == field
    assert env["PENSTOCK_INSTANCE"]["value"] == "$(POD_NAME)"


def test_probes_and_services_meet_the_port_that_penstock_serves(render):
    release = render({"settings": {"http_port": 9999}})
    (container,) = release.workers["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 9999}]
    paths = {
        probe: container[probe]["httpGet"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert paths == {
        "startupProbe": {"path": "/readyz", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
        "livenessProbe": {"path": "/livez", "port": "http"},
    }
    for service in release.kind("Service"):
        (port,) = service["spec"]["ports"]
        assert port == {"name": "http", "port": 9999, "targetPort": "http"}


def test_a_long_restore_is_not_taken_for_a_dead_worker(render):
    """Liveness is not asked before the first restore is over."""
    (container,) = render().workers["spec"]["template"]["spec"]["containers"]
    startup = container["startupProbe"]
    assert startup["httpGet"]["path"] == container["readinessProbe"]["httpGet"]["path"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 1_800


def test_the_state_is_on_a_volume_or_says_how_large_it_may_grow(render):
    lasting = render().workers["spec"]
    (claim,) = lasting["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    passing = render({"persistence": {"enabled": False}}).workers["spec"]
    assert "volumeClaimTemplates" not in passing
    assert "persistentVolumeClaimRetentionPolicy" not in passing
    volumes = {v["name"]: v for v in passing["template"]["spec"]["volumes"]}
    assert volumes["state"]["emptyDir"] == {"sizeLimit": "10Gi"}


def test_names_leave_room_for_what_kubernetes_appends(ci_release):
    for found in ci_release.objects:
        assert len(found["metadata"]["name"]) <= 63
    assert len(ci_release.workers["metadata"]["name"]) <= 52


def test_a_digest_wins_over_the_tag_and_a_tag_over_the_version(render, load):
    digest = "sha256:" + "0" * 64
    for image, wanted in (
        ({}, f"penstock:{load('helm/Chart.yaml')['appVersion']}"),
        ({"tag": "2"}, "penstock:2"),
        ({"tag": "2", "digest": digest}, f"penstock@{digest}"),
    ):
        for _, container in containers(render({"image": image})):
            assert container["image"] == wanted


def test_large_user_ids_stay_numbers(render):
    """As on OpenShift; printed with an exponent Kubernetes would refuse them."""
    pod = render({"podSecurityContext": {"runAsUser": 1_000_650_000}}).pods[0]
    assert pod["spec"]["securityContext"]["runAsUser"] == 1_000_650_000


def test_the_notes_warn_of_settings_for_one_start_only(render):
    assert "Turn it off" not in render().notes
    notes = render({"settings": {"new_app": True, "accept_loss": True}}).notes
    assert notes.count("Turn it off") == 2


def test_the_chart_is_released_with_the_project(repo, load):
    project = (repo / "pyproject.toml").read_text()
    (version,) = re.findall(r'(?m)^version = "(.*)"$', project)
    assert load("helm/Chart.yaml")["appVersion"] == version
