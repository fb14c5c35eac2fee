"""A permission that is taken away: the task holds, says so, and loses nothing."""

import time
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from agents.broker import BrokerOptions, DevBroker
from agents.exit_codes import ExitCode
from agents.routing import home_partition
from tests.integration.eventually import eventually
from tests.integration.lab import PARTITIONS, Ask
from tests.integration.texts import ECHO
from tests.integration.verdict import Verdict

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    # Nobody who is here: on a plain connection everybody is ANONYMOUS, and what is
    # denied to a super user is not denied.
    "super.users": "User:nobody",
}
EVERYBODY = "User:*"
TRIES_AT_ONCE = 8
"""A held task tries after 0.1 s, then twice as late each time, up to 5 s."""


@pytest.fixture(scope="module")
def bootstrap(kafka):
    """A broker of this file's own, which asks whether one may."""
    with DevBroker.start(kafka, BrokerOptions(properties=AUTHORIZER)) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="module")
def lab(new_shared_lab):
    other = ECHO.replace("pipeline: echo", "pipeline: other")
    return new_shared_lab({"echo": ECHO, "other": other})


@pytest.fixture(scope="module")
def worker(lab):
    return lab.worker().ready()


def rule(kind, name, operation, permission):
    place = ResourcePatternType.LITERAL
    return kind, name, place, EVERYBODY, "*", operation, permission


@contextmanager
def denied(lab, kind, name, operation):
    """Take *operation* on one resource away from everybody; give it back at the end."""
    # Without the first, the second would deny everything else as well.
    allow = rule(kind, name, AclOperation.ALL, AclPermissionType.ALLOW)
    deny = rule(kind, name, operation, AclPermissionType.DENY)
    made = lab.admin.create_acls([AclBinding(*allow), AclBinding(*deny)])
    for future in made.values():
        future.result(20)
    # The broker that asks is not the controller that was told.
    this = AclBindingFilter(*deny)
    eventually(
        lambda: lab.admin.describe_acls(this).result(20), within_s=10, what="the rule"
    )
    try:
        yield
    finally:
        for future in lab.admin.delete_acls([this]).values():
            future.result(20)


def asks_at(partitions, name, *, sessions=True):
    """Return requests whose home is one of *partitions*."""
    names = [f"{name}{i}" for i in range(60)]
    at_home = [n for n in names if home_partition(n, PARTITIONS) in partitions]
    return [
        Ask(request_id=n, session_id=n if sessions else None, inputs={"ticket": "hi"})
        for n in at_home[:12]
    ]


def wait_for(lab, pipeline, asks):
    """Wait until all of *asks* are answered; check that each is, once and well."""
    names = {ask.request_id for ask in asks}

    def all_there(seen):
        return names <= {lab.decode(pipeline, "results", s)["request_id"] for s in seen}

    with lab.tail(lab.topic(pipeline, "results")) as results:
        results.until(all_there, within_s=30, what="answers")
    terminals = [
        t for t in Verdict.of(lab, pipeline).terminals if t.request_id in names
    ]
    assert sorted(t.request_id for t in terminals) == sorted(names)
    assert {t.status for t in terminals} == {"OK"}


def unanswered(lab, pipeline, asks):
    """Check that none of *asks* has an answer."""
    codes = Verdict.of(lab, pipeline).codes()
    assert not {ask.request_id for ask in asks} & set(codes)


def complaints(worker):
    """Return why commits failed, or could not be begun, so far."""
    lines = worker.log.read_text().splitlines()
    return [ln for ln in lines if "commit.failed" in ln or "commit.broker_away" in ln]


@pytest.mark.parametrize("lost", ["results", "stages", "sessions", "transactions"])
def test_what_may_not_be_written_holds_its_task_and_no_other(lab, worker, lost):
    group = lab.settings.group
    kind, name = {
        "results": (ResourceType.TOPIC, lab.topic("echo", "results")),
        "stages": (ResourceType.TOPIC, lab.topic("echo", "stages")),
        "sessions": (ResourceType.TOPIC, f"{group}-sessions-changelog"),
        "transactions": (ResourceType.TRANSACTIONAL_ID, f"{group}-0"),
    }[lost]
    here = asks_at({0}, f"{lost}-here")
    there = asks_at({1, 2, 3}, f"{lost}-there", sessions=False)
    before = len(complaints(worker))
    with denied(lab, kind, name, AclOperation.WRITE):
        began_s = time.perf_counter()
        lab.send("echo", here)
        eventually(lambda: worker.metric("penstock_held"), within_s=20, what="held")
        lab.send("other", there)
        wait_for(lab, "other", there)
        assert worker.metric("penstock_held") == 1
        unanswered(lab, "echo", here)
        assert worker.get("/livez")[0] == 200
        made = complaints(worker)[before:]
        assert len(made) <= TRIES_AT_ONCE + time.perf_counter() - began_s
        assert any(name in complaint for complaint in made)
    wait_for(lab, "echo", here)
    eventually(lambda: not worker.metric("penstock_held"), within_s=10, what="free")


def test_a_topic_that_may_not_be_read_waits_and_the_others_go_on(lab, worker):
    topic = lab.topic("echo", "requests")
    asks = asks_at({0, 1, 2, 3}, "unread")
    others = asks_at({0, 1, 2, 3}, "read", sessions=False)
    with denied(lab, ResourceType.TOPIC, topic, AclOperation.READ):
        eventually(
            lambda: worker.events("source.unreadable"), within_s=20, what="a complaint"
        )
        lab.send("echo", asks)
        lab.send("other", others)
        wait_for(lab, "other", others)
        assert worker.metric("penstock_paused_partitions") == PARTITIONS
        assert worker.get("/livez")[0] == 200
        unanswered(lab, "echo", asks)
    wait_for(lab, "echo", asks)


def test_without_its_group_a_worker_ends_and_says_what_it_lacks(lab, worker):
    group = lab.settings.group
    asks = asks_at({0, 1, 2, 3}, "group")
    with denied(lab, ResourceType.GROUP, group, AclOperation.READ):
        assert worker.wait(within_s=60) == ExitCode.USAGE
        assert "does not let us" in worker.last_words()
        assert group in worker.last_words()
        assert lab.worker().wait(within_s=60) == ExitCode.USAGE
        lab.send("echo", asks)
    again = lab.worker().ready()
    wait_for(lab, "echo", asks)
    assert again.terminate() == 0
    Verdict.of(lab, "echo").check_sessions()
