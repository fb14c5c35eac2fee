"""Values that cannot work are refused before anything is installed, in plain words."""

from pathlib import Path

import helm_python as helm
import pytest

STATIC = "settings.session_timeout_s: must exceed terminationGracePeriodSeconds"

WRONG_TOGETHER = [
    ("settings.bootstrap=", "settings.bootstrap: required"),
    ("pipelines.inImage=true", "pipelines: give exactly one of"),
    ("replicas=25", "replicas: 25 workers, but 24 partitions"),
    ("settings.replication=1", "settings.min_insync_replicas: must not exceed"),
    ("settings.commit_interval_s=6", "settings.commit_interval_s: must be below"),
    ("settings.commit_timeout_s=15", "settings.commit_timeout_s: must be below"),
    ("settings.transaction_timeout_s=90", "settings.transaction_timeout_s: must be"),
    ("settings.drain_s=30", "terminationGracePeriodSeconds: must exceed"),
    ("settings.instance=me", "settings.instance: must contain $(POD_NAME)"),
    ("settings.session_timeout_s=45", STATIC),
    ("settings.registry_url=http://u:secret@r", "settings.registry_url: holds a pass"),
    (
        "secrets.env.PENSTOCK_APP.secret=s,secrets.env.PENSTOCK_APP.key=k",
        "secrets.env.PENSTOCK_APP: settings.app gives it, too",
    ),
]

WRONG_ALONE = [
    ("settings.max_runing=3", "additional properties 'max_runing' not allowed"),
    ("replica=3", "additional properties 'replica' not allowed"),
    ("settings.partitions=many", "'/settings/partitions': got string, want integer"),
    ("settings.partitions=0", "'/settings/partitions': minimum: got 0, want 1"),
    ("settings.bootstrap=kafka", "'/settings/bootstrap': 'kafka' does not match"),
    ("settings.log_level=loud", "must be one of 'debug', 'info', 'warning', 'error'"),
    ("settings.new_app=maybe", "'/settings/new_app': got string, want boolean"),
    ("settings.state_dir=state", "'/settings/state_dir': 'state' does not match"),
    ("settings.instance=null", "missing property 'instance'"),
    ("pipelines.files.a\\.txt=x", "additional properties 'a.txt' not allowed"),
    ("secrets.env.KEY=hunter2", "'/secrets/env/KEY': got string, want object"),
    ("image.digest=latest", "'/image/digest': 'latest' does not match"),
    ("persistence.size=lots", "'/persistence/size': 'lots' does not match"),
    ("updateStrategy=Recreate", "must be one of 'RollingUpdate', 'OnDelete'"),
]


@pytest.mark.parametrize(("change", "sentence"), WRONG_TOGETHER)
def test_values_that_contradict_each_other_are_refused(render, change, sentence):
    with pytest.raises(helm.HelmRenderError) as refused:
        render(helm.parse_set_string(change))
    assert str(refused.value).count("\n  - ") == 1
    assert f"\n  - {sentence}" in str(refused.value)


@pytest.mark.parametrize(("change", "sentence"), WRONG_ALONE)
def test_values_of_the_wrong_kind_are_refused_by_their_path(render, change, sentence):
    with pytest.raises(helm.HelmValuesError) as refused:
        render(helm.parse_set_string(change))
    assert sentence in str(refused.value)


def test_all_contradictions_are_reported_at_once(repo: Path):
    """Without any values two things are missing, and both are said."""
    with (
        helm.Chart.load(repo / "helm") as chart,
        pytest.raises(helm.HelmRenderError) as refused,
    ):
        chart.render({}, name="pen")
    assert str(refused.value).count("\n  - ") == 2


def test_a_release_name_that_no_service_can_have_is_refused(render):
    with pytest.raises(helm.HelmRenderError, match="letter first and no dots"):
        render(name="1.2")
    assert render({"fullnameOverride": "penstock"}, name="1.2").workers


def test_the_grace_period_covers_what_a_worker_takes_to_stop(render, stop_margin_s):
    enough = 1 + int(stop_margin_s)
    settings = {"drain_s": 100, "session_timeout_s": 300}
    kept = {"settings": settings, "terminationGracePeriodSeconds": 100 + enough}
    assert render(kept).workers
    with pytest.raises(helm.HelmRenderError, match="terminationGracePeriodSeconds"):
        render(kept | {"terminationGracePeriodSeconds": 99 + enough})


def test_dynamic_members_may_have_a_short_session(render):
    changes = {"settings": {"instance": "", "session_timeout_s": 20}}
    (container,) = render(changes).workers["spec"]["template"]["spec"]["containers"]
    assert "PENSTOCK_INSTANCE" not in {entry["name"] for entry in container["env"]}


def test_a_parent_chart_may_pass_its_globals(render):
    assert render({"global": {"storageClass": "fast"}}).workers
