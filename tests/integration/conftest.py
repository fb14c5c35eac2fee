"""Labs on the session's broker; each test, or file of tests, has its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.lab import Lab


@contextmanager
def labs(bootstrap: str, folder: Path) -> Iterator[Callable[..., Lab]]:
    """Make labs; they are closed at the end."""
    made: list[Lab] = []

    def new(
        pipelines: dict[str, str],
        beside: dict[str, str] | None = None,
        **settings: object,
    ) -> Lab:
        env = {f"PENSTOCK_{k.upper()}": str(v) for k, v in settings.items()}
        made.append(Lab(bootstrap, folder, pipelines, env, beside))
        return made[-1]

    yield new
    for lab in made:
        lab.close()


@pytest.fixture
def new_lab(bootstrap: str, tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Make labs for one test: apps with topics of their own."""
    with labs(bootstrap, tmp_path) as new:
        yield new


@pytest.fixture(scope="module")
def new_shared_lab(
    bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Lab]]:
    """Make labs for the tests of one file."""
    with labs(bootstrap, tmp_path_factory.mktemp("shared")) as new:
        yield new


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Note figures that people want to see: ``pytest -rP`` shows them."""

    def note(**found: object) -> None:
        for name, value in found.items():
            record_property(name, value)
        print(*(f"{name}={value}" for name, value in found.items()))  # noqa: T201

    return note
