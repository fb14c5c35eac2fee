"""A disk of a few megabytes for a worker's state: a tmpfs, if one may be mounted."""

import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

MOUNT: Final = 'mount -t tmpfs -o size="$1" tmpfs "$2" && echo up && exec sleep inf'
BALLAST: Final = "ballast"


class NoMountsError(Exception):
    """This machine lets nobody mount anything."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A tmpfs at *folder*, in a mount namespace that a process of its own holds."""

    folder: Path
    holder: "subprocess.Popen[str]"

    @classmethod
    def mounted(cls, folder: Path, *, size_mib: int) -> Self:
        """Mount it; *folder* shows it only to who enters the holder's namespace.

        Raises:
            NoMountsError: it is not allowed here.
        """
        folder.mkdir(parents=True)
        command = ["unshare", "--user", "--map-root-user", "--mount"]
        command += ["sh", "-c", MOUNT, "sh", f"{size_mib}m", str(folder)]
        try:
            holder = subprocess.Popen(  # noqa: S603 - our own command line
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except FileNotFoundError as error:
            raise NoMountsError from error
        assert holder.stdout is not None
        if holder.stdout.readline() != "up\n":
            holder.wait()
            raise NoMountsError
        return cls(folder, holder)

    @property
    def seen_from_here(self) -> Path:
        """The disk, as who has not entered reaches it."""
        return Path(f"/proc/{self.holder.pid}/root{self.folder}")

    def fill(self) -> None:
        """Take all the space that is left."""
        path = self.seen_from_here / BALLAST
        with path.open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(4_096))

    def free(self) -> None:
        """Give it back."""
        (self.seen_from_here / BALLAST).unlink()

    def close(self) -> None:
        """Unmount it, by ending who holds it."""
        self.holder.kill()
        self.holder.communicate()
