"""What schemas cannot say: each pod is safe, complete, and keeps our promises."""

import re

# What the restricted profile of Pod Security Standards allows as a volume, for us.
ALLOWED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


def test_all_that_is_mounted_exists(ci_release):
    claims = ci_release.workers["spec"].get("volumeClaimTemplates", [])
    claimed = {claim["metadata"]["name"] for claim in claims}
    for pod, container in ci_release.containers:
        volumes = [volume["name"] for volume in pod["volumes"]]
        mounts = [mount["name"] for mount in container["volumeMounts"]]
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert set(volumes) <= set(mounts) <= set(volumes) | claimed
        assert len(set(volumes)) == len(volumes)
        assert len(set(paths)) == len(paths)


def test_no_secret_is_in_any_object(ci_release):
    """The chart takes names of Secrets, never what is in them."""
    assert not ci_release.kind("Secret")
    for _, container in ci_release.containers:
        for entry in container["env"]:
            if re.search("KEY|TOKEN|PASSWORD|SECRET|CREDENTIAL", entry["name"]):
                assert "value" not in entry
    for found in ci_release.kind("ConfigMap"):
        assert all(name.endswith((".yaml", ".yml")) for name in found["data"])


def test_pods_satisfy_the_restricted_profile(ci_release):
    for pod, container in ci_release.containers:
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
    assert all(pod["enableServiceLinks"] is False for pod, _ in ci_release.containers)


def test_a_read_only_pod_has_a_temporary_folder(ci_release):
    """Importing DSPy fails without one."""
    for pod, container in ci_release.containers:
        mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert "emptyDir" in volumes[mounts["/tmp"]]  # noqa: S108 - the pod's own


def test_variables_are_given_once_and_before_they_are_used(ci_release):
    for _, container in ci_release.containers:
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


def test_a_digest_wins_over_the_tag_and_a_tag_over_the_version(render, load):
    digest = "sha256:" + "0" * 64
    for image, wanted in (
        ({}, f"penstock:{load('helm/Chart.yaml')['appVersion']}"),
        ({"tag": "2"}, "penstock:2"),
        ({"tag": "2", "digest": digest}, f"penstock@{digest}"),
    ):
        for _, container in render({"image": image}).containers:
            assert container["image"] == wanted


def test_large_user_ids_stay_numbers(render):
    """As on OpenShift; printed with an exponent Kubernetes would refuse them."""
    pod = render({"podSecurityContext": {"runAsUser": 1_000_650_000}}).pods[0]
    assert pod["spec"]["securityContext"]["runAsUser"] == 1_000_650_000
