"""The compose file: everything it refers to exists, and it needs no key."""

import re
from typing import Any

import pytest

from streams.config import PREFIX, Settings

# Of the Compose specification, what we use: a mistyped name would do nothing.
KNOWN = {
    "build", "cap_drop", "command", "depends_on", "environment", "healthcheck",
    "image", "init", "ports", "pull_policy", "read_only", "restart",
    "security_opt", "stop_grace_period", "tmpfs", "volumes",
}  # fmt: skip
KNOWN_PROBE = {
    "test", "start_period", "start_interval", "interval", "timeout", "retries"
}  # fmt: skip
OURS = ("topics", "worker", "fake-lm")


@pytest.fixture(scope="module")
def compose(load):
    return load("docker-compose.yml")


@pytest.fixture(scope="module")
def services(compose):
    return compose["services"]


def seconds(text: str) -> float:
    value = re.fullmatch(r"(\d+)s", text)
    assert value
    return float(value[1])


def settings_of(service: dict[str, Any]) -> Settings:
    given = service.get("environment", {})
    return Settings.from_env({k: v for k, v in given.items() if k.startswith(PREFIX)})


def listeners(service: dict[str, Any], variable: str) -> dict[str, str]:
    entries = service["environment"][variable].split(",")
    return dict(entry.split("://") for entry in entries)


def test_it_is_the_four_services_and_names_only_known_options(compose, services):
    assert set(services) == {"kafka", *OURS}
    assert "version" not in compose
    for service in services.values():
        assert set(service) <= KNOWN
        assert set(service.get("healthcheck", {})) <= KNOWN_PROBE


def test_nothing_asks_for_a_key_or_for_the_callers_environment(repo, services):
    assert "${" not in (repo / "docker-compose.yml").read_text()
    names = {name for s in services.values() for name in s.get("environment", {})}
    assert not [name for name in names if re.search("KEY|TOKEN|SECRET|PASSW", name)]


def test_every_setting_is_one_that_penstock_accepts(services):
    for name in OURS:
        settings_of(services[name])


def test_topics_and_worker_run_with_the_same_settings(services):
    assert settings_of(services["topics"]) == settings_of(services["worker"])


def test_every_dependency_exists_and_can_come_true(services):
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            needed = services[name]
            if how["condition"] == "service_healthy":
                assert "test" in needed["healthcheck"]
            else:
                assert how["condition"] == "service_completed_successfully"
                assert needed["restart"] == "no"


def test_every_volume_is_declared_and_used_and_every_folder_exists(
    compose, services, repo
):
    mounts = [v for s in services.values() for v in s.get("volumes", ())]
    sources = {mount.split(":")[0] for mount in mounts}
    folders = {source for source in sources if source.startswith("./")}
    assert sources - folders == set(compose["volumes"])
    assert all((repo / folder).is_dir() for folder in folders)
    assert all(m.endswith(":ro") for m in mounts if m.startswith("./"))


def test_the_worker_finds_pipelines_code_and_state_where_they_are_mounted(services):
    worker = services["worker"]
    targets = {mount.split(":")[1]: mount.split(":")[0] for mount in worker["volumes"]}
    settings = settings_of(worker)
    assert targets[str(settings.pipelines_dir)] == "./pipelines"
    assert targets[f"{settings.code_paths}/{settings.code_modules}"] == "./examples"
    assert targets["/var/lib/penstock"] == "state"  # the image's PENSTOCK_STATE_DIR


def test_ports_are_open_to_this_machine_only_and_do_not_collide(services):
    ports = [port for s in services.values() for port in s.get("ports", ())]
    host_ports = [port.split(":")[1] for port in ports]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len(set(host_ports)) == len(host_ports)


def test_clients_inside_and_outside_reach_the_address_that_kafka_advertises(services):
    """The two listeners on which everybody trips."""
    kafka = services["kafka"]
    listening = listeners(kafka, "KAFKA_LISTENERS")
    advertised = listeners(kafka, "KAFKA_ADVERTISED_LISTENERS")
    protocols = kafka["environment"]["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]
    assert {pair.split(":")[0] for pair in protocols.split(",")} == set(listening)
    for name, address in advertised.items():
        assert address.endswith(listening[name])
    (port,) = kafka["ports"]
    _, outside, inside = port.split(":")
    assert advertised["HOST"] == f"localhost:{outside}"
    assert listening["HOST"] == f":{inside}"
    for name in ("topics", "worker"):
        assert settings_of(services[name]).bootstrap == advertised["NETWORK"]


def test_one_broker_is_asked_for_one_copy(services):
    env = services["kafka"]["environment"]
    copies = {k: v for k, v in env.items() if k.endswith(("_FACTOR", "_MIN_ISR"))}
    assert len(copies) == 5
    assert set(copies.values()) == {"1"}
    settings = settings_of(services["topics"])
    assert (settings.replication, settings.min_insync_replicas) == (1, 1)


def test_kafka_keeps_its_data_on_its_volume(services):
    kafka = services["kafka"]
    assert kafka["volumes"] == [f"kafka:{kafka['environment']['KAFKA_LOG_DIRS']}"]


def test_every_service_that_stays_says_whether_it_is_well(services):
    for name, service in services.items():
        assert ("healthcheck" in service) == (name != "topics")


def test_probes_ask_where_the_service_listens(services):
    ports = {
        name: s["ports"][0].split(":")[2]
        for name, s in services.items()
        if "ports" in s
    }
    for name in ("worker", "fake-lm"):
        assert re.search(
            rf"\b{ports[name]}\b", services[name]["healthcheck"]["test"][-1]
        )
        compile(services[name]["healthcheck"]["test"][-1], name, "exec")
    assert f":{ports['kafka']}" in " ".join(services["kafka"]["healthcheck"]["test"])
    assert services["fake-lm"]["command"][-1] == ports["fake-lm"]
    assert settings_of(services["worker"]).http_port == int(ports["worker"])


def test_a_stop_leaves_time_to_drain(services, stop_margin_s):
    settings = settings_of(services["worker"])
    grace_s = seconds(services["worker"]["stop_grace_period"])
    assert grace_s > settings.drain_s + stop_margin_s


def test_containers_hold_no_more_rights_than_they_need(services):
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        if name in OURS:
            assert service["read_only"] is True
            assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - the container's own


def test_our_image_is_built_and_never_pulled(services):
    for name in OURS:
        assert services[name]["build"] == "."
        assert services[name]["pull_policy"] == "build"
        assert services[name]["image"] == "penstock:local"
    assert services["kafka"]["image"] == "apache/kafka:4.3.1"
