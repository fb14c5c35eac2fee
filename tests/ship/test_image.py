"""The image: locked, without root, without tools, and built from what exists.

There may be no container engine where tests run: these read the Dockerfile.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from streams.config import PREFIX, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction of a Dockerfile, in the stage it belongs to."""

    stage: int
    verb: str
    rest: str

    @property
    def words(self) -> list[str]:
        return self.rest.split()


def instructions(text: str) -> list[Instruction]:
    """Parse a Dockerfile: comments gone, continued lines joined, stages counted."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    parsed: list[Instruction] = []
    stage = -1
    for line in filter(str.strip, joined.splitlines()):
        verb, _, rest = line.partition(" ")
        stage += verb == "FROM"
        parsed.append(Instruction(stage=stage, verb=verb, rest=rest.strip()))
    return parsed


@pytest.fixture(scope="module")
def dockerfile(repo):
    return instructions((repo / "Dockerfile").read_text())


@pytest.fixture(scope="module")
def final(dockerfile):
    """The stage that is shipped."""
    last = dockerfile[-1].stage
    return [step for step in dockerfile if step.stage == last]


@pytest.fixture(scope="module")
def project(repo):
    return tomllib.loads((repo / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def allowed(repo):
    """What .dockerignore lets through: it names everything and takes back a few."""
    lines = (repo / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    return {line.removeprefix("!") for line in patterns if line.startswith("!")}


def value_of(steps: list[Instruction], verb: str) -> str:
    (found,) = [step.rest for step in steps if step.verb == verb]
    return found


def environment(steps: list[Instruction]) -> dict[str, str]:
    words = [word for step in steps if step.verb == "ENV" for word in step.words]
    return dict(word.split("=", 1) for word in words)


def pip_installs(dockerfile: list[Instruction]) -> list[str]:
    runs = [step.rest for step in dockerfile if step.verb == "RUN"]
    parts = [part for run in runs for part in run.split("&&")]
    return [part for part in parts if re.search(r"\bpip\b.*\b(install|wheel)\b", part)]


def test_every_file_that_is_copied_exists_and_reaches_the_builder(
    dockerfile, repo, allowed
):
    copies = [step.words for step in dockerfile if step.verb == "COPY"]
    local = [words[:-1] for words in copies if not words[0].startswith("--from")]
    sources = {source for words in local for source in words}
    assert all((repo / source).exists() for source in sources)
    assert sources == allowed


def test_stages_copy_from_stages_that_exist(dockerfile):
    named = {
        step.words[-1]
        for step in dockerfile
        if step.verb == "FROM" and "AS" in step.words
    }
    used = {
        word.removeprefix("--from=")
        for step in dockerfile
        for word in step.words
        if step.verb == "COPY" and word.startswith("--from=")
    }
    assert used == named


def test_the_rooms_are_all_in_it(dockerfile, project):
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = {word for step in dockerfile if step.verb == "COPY" for word in step.words}
    assert set(wheel["packages"]) <= copied
    assert {
        project["project"]["readme"],
        *project["project"]["license-files"],
    } <= copied


def test_every_install_is_by_hash_or_of_what_was_just_built(dockerfile):
    installs = pip_installs(dockerfile)
    assert any("-r /src/requirements-runtime.lock" in install for install in installs)
    for install in installs:
        if " -r " in install:
            assert "--require-hashes" in install
            assert "--only-binary :all:" in install  # no code of others runs here
        else:
            assert "--no-deps" in install
            assert "--no-index" in install or "--no-build-isolation" in install
            # A bare name would be looked up in a registry.
            assert install.split()[-1].startswith((".", "/"))


def test_the_build_backend_is_complete_and_locked(dockerfile, repo, project):
    """The names that awk takes from the lock are the backend and all that it needs."""
    (listed,) = re.findall(r"keep = /\^\(([^)]*)\)", str(dockerfile))
    (backend,) = project["build-system"]["requires"]
    needed, wanted = set(), {Requirement(backend).name}
    while wanted:
        name = wanted.pop()
        needed.add(name)
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted |= {requirement.name} - needed
    assert set(listed.split("|")) == needed
    lock = (repo / "requirements.lock").read_text()
    for name in needed:
        assert re.search(rf"(?m)^{name}==\S+ \\\n +--hash=sha256:", lock)


def test_what_is_shipped_installs_nothing(final):
    for step in final:
        if step.verb == "RUN":
            assert not re.search(r"\b(pip|apt|apt-get|curl|wget|gcc)\b", step.rest)


def test_it_never_runs_as_root(final):
    user, _, group = value_of(final, "USER").partition(":")
    assert user.isdecimal()
    assert group.isdecimal()
    assert int(user) > 0
    assert int(group) > 0
    after = [step.verb for step in final][[s.verb for s in final].index("USER") :]
    assert "RUN" not in after


def test_it_starts_penstock_itself_so_that_signals_arrive(final, project):
    entry = json.loads(value_of(final, "ENTRYPOINT"))
    assert len(entry) == 1
    assert entry[0] in project["project"]["scripts"]
    assert json.loads(value_of(final, "CMD")) == ["worker"]


def test_its_variables_are_settings_that_penstock_accepts(final):
    env = environment(final)
    Settings.from_env(env)
    assert env["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
    assert env["MALLOC_ARENA_MAX"] == "2"
    assert env["HOME"] == "/tmp"  # noqa: S108 - the one folder it may write to
    assert env["PYTHONDONTWRITEBYTECODE"] == "1"


def test_its_folders_and_user_are_those_of_the_chart(final, load):
    env, values = environment(final), load("helm/values.yaml")
    for name in ("pipelines_dir", "state_dir", "http_host"):
        assert env[PREFIX + name.upper()] == values["settings"][name]
    assert value_of(final, "VOLUME") == values["settings"]["state_dir"]
    assert int(value_of(final, "EXPOSE")) == values["settings"]["http_port"]
    security = values["podSecurityContext"]
    ids = f"{security['runAsUser']}:{security['runAsGroup']}"
    assert value_of(final, "USER") == ids
    made = value_of(final, "RUN")
    assert f"-o {security['runAsUser']} -g {security['runAsGroup']}" in made
    assert env["PENSTOCK_STATE_DIR"] in made
    assert env["PENSTOCK_PIPELINES_DIR"] in made


def test_its_python_is_one_that_the_project_supports(dockerfile, project):
    (default,) = [s.rest for s in dockerfile if s.verb == "ARG"]
    version = re.search(r"python:(\d+\.\d+)-slim$", default)
    assert version
    assert project["project"]["requires-python"] == f">={version[1]}"


def test_secrets_and_state_never_reach_the_builder(allowed, repo: Path):
    secret = {".env", ".git", ".cache", ".venv", "tests", "helm"}
    assert not allowed & secret
    assert all(not name.startswith((".", "*")) for name in allowed)
    assert all((repo / name).exists() for name in allowed)
