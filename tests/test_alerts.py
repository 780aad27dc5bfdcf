"""Rules, recipients, the log and a round over them: on the store of a box, and of a centre with either database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.accounts.audit_chain import problems
from appliance.accounts.people import Role
from appliance.alerts import changes, kinds
from appliance.alerts.judge import What
from appliance.alerts.kinds import ALL, Of, Subject
from appliance.alerts.log import KEPT_S, Outcome
from appliance.alerts.recipients import Way
from appliance.alerts.rounds import Finding, Rounds, forget_old
from appliance.alerts.rules import Quiet, Rule
from appliance.alerts.sending import Undelivered
from appliance.alerts.trial import send_test
from appliance.errors import InputError, NameTaken, NotFound
from appliance.store import Store
from appliance.time_zone import UTC
from appliance.times import Now
from tests.postgres import Cluster
from tests.site import new_store

AT = 1_795_521_600.0  # noon
HOOK = "https://hooks.example.org/a-secret-path"
BOTH = (*kinds.OF_BOX, *kinds.OF_CENTRE)


@pytest.fixture(params=["box", "sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """What alerts are kept in."""
    if request.param == "box":
        store = new_store(tmp_path / "mb9k.db")
        yield store
        store.close()
        return
    from appliance.central.opening import open_database
    from appliance.central.postgresql import close_pools
    from appliance.central.store.centre import CentralStore

    cluster: Cluster | None = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    address = cluster.new_database() if cluster else str(tmp_path / "central.db")
    open_database(address).close()
    central = CentralStore.open_existing(address)
    yield central
    central.close()
    close_pools()
    if cluster:
        cluster.drop(address)


def moment(at_s: float) -> Now:
    return Now(AT + at_s, "a", 50.0 + at_s)


def offline(store: Any, minutes: int = 5, **more: Any) -> Rule:
    numbers = {"minutes": minutes}
    recipient_ids = more.pop("recipient_ids", None)
    rule_id = changes.add_rule(store, "offline", numbers, ALL, "all streams", recipient_ids, AT, BOTH, **more)
    return changes.find_rule(store, rule_id)


def hook(store: Any, name: str = "ops", secret: str = "") -> int:
    return changes.add_recipient(store, Way.WEBHOOK, name, HOOK, secret, AT)


def seen(*findings: tuple[int, bool | None]) -> Callable[[Rule, object], Iterable[Finding]]:
    """A look that finds streams (by id) offline, or not."""
    return lambda _rule, _raised: [
        Finding(kinds.stream(each), holds, f"ann:{each}", f"ann:{each} is {'offline' if holds else 'LIVE again'}.")
        for each, holds in findings
    ]


def test_what_was_set_is_read_again_and_stands_in_the_audit_without_secrets(kept: Any) -> None:
    ops = hook(kept, secret="a long enough secret")
    mail = changes.add_recipient(kept, Way.EMAIL, "ann", "ann@example.org", "", AT)
    rule = offline(kept, 7, recipient_ids=[mail])
    assert (rule.words, rule.subject, rule.recipient_ids) == ("Stream offline for 7 min", ALL, (mail,))
    assert not rule.is_for(ops) and rule.is_for(mail)
    changes.change_rule(kept, rule, {"minutes": 9}, "all streams", None, BOTH, 30, active=False)
    changed = changes.find_rule(kept, rule.id)
    assert (changed.words, changed.active, changed.cool_down_minutes) == ("Stream offline for 9 min", False, 30)
    assert changed.is_for(ops)
    changes.set_quiet(kept, Quiet(1320, 420))
    assert kept.alerts.rules.quiet() == Quiet(1320, 420)
    changes.set_quiet(kept, None)
    assert kept.alerts.rules.quiet() is None
    there = changes.find_recipient(kept, ops)
    assert there.has_secret and "a long enough secret" not in repr(there)
    changes.change_recipient(kept, there, "ops", f"{HOOK}/2", None)
    assert changes.find_recipient(kept, ops).has_secret
    changes.change_recipient(kept, there, "ops", "https://elsewhere.example.org/", None)
    assert not changes.find_recipient(kept, ops).has_secret, "a secret is not shown to another server"
    changes.remove_recipient(kept, changes.find_recipient(kept, mail))
    changes.remove_rule(kept, changed, "all streams")
    entries = list(kept.audit.db.query("select action, subject, details from audit order by number"))
    assert [row["action"] for row in entries] == [
        "recipient_added", "recipient_added", "alert_rule_added", "alert_rule_changed", "quiet_hours_changed",
        "quiet_hours_changed", "recipient_changed", "recipient_changed", "recipient_removed", "alert_rule_removed",
    ]  # fmt: skip
    assert not [row for row in entries if "secret" in row["details"]]
    assert problems(kept.audit, {}) == []


def test_recommended_rules_are_those_that_are_missing(kept: Any) -> None:
    rule = offline(kept, 60)
    made = changes.add_recommended(kept, "this box", AT)
    assert len(made) == len(changes.RECOMMENDED) - 1
    assert changes.add_recommended(kept, "this box", AT) == []
    assert changes.find_rule(kept, rule.id).words == "Stream offline for 60 min"


@pytest.mark.parametrize(
    ("kind", "numbers", "subject", "words"),
    [
        ("tea", {}, ALL, "There is no rule of this kind"),
        ("gone", {}, ALL, "There is no rule of this kind"),  # which is a centre's
        ("rate", {"percent": 0}, ALL, "Under: a whole number from 1 to 100 "),
        ("rate", {"percent": True}, ALL, "Under: a whole number"),
        ("rate", {"minutes": "15"}, ALL, "Over the last: a whole number"),
        ("rate", {"hours": 1}, ALL, "has no hours"),
        ("disk", {}, kinds.stream(1), "A rule of this kind is about all"),
        ("offline", {}, Subject(Of.STREAM), "A rule of this kind is about all or stream"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(kind: str, numbers: Any, subject: Subject, words: str) -> None:
    store = Store.in_memory()
    with pytest.raises(InputError, match=words):
        changes.add_rule(store, kind, numbers, subject, "x", None, AT, kinds.OF_BOX)
    assert store.alerts.rules.all() == []


@pytest.mark.parametrize(
    ("way", "address", "words"),
    [
        (Way.WEBHOOK, "hooks.example.org", "is like https://"),
        (Way.WEBHOOK, "ftp://hooks.example.org", "is like https://"),
        (Way.WEBHOOK, "https://ann:secret@example.org/", "no user, password"),
        (Way.WEBHOOK, "https://example.org:99999/", "is like https://"),
        (Way.WEBHOOK, "https://exa mple.org/", "is like https://"),
        (Way.WEBHOOK, "https://example.org/\r\nX: y", "Give the recipient an address"),
        (Way.EMAIL, "ann@example.org\nbcc: eve@example.org", "Give the recipient an address"),
        (Way.EMAIL, "ann, eve@example.org", "no e-mail address"),
        (Way.MQTT, "mb9k/#", "A topic is"),
        (Way.MQTT, "$SYS/x", "A topic is"),
        (Way.MQTT, "", "Give the recipient an address"),
    ],
)
def test_an_address_that_cannot_be_told_is_refused(way: Way, address: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        changes.add_recipient(Store.in_memory(), way, "ops", address, "", AT)


def test_names_are_given_once_and_secrets_are_long(kept: Any) -> None:
    hook(kept)
    with pytest.raises(NameTaken):
        hook(kept)
    with pytest.raises(InputError, match="16 to 200 characters"):
        hook(kept, "more", secret="short")
    with pytest.raises(InputError, match="leave the secret empty"):
        changes.add_recipient(kept, Way.MQTT, "x", "mb9k/alerts", "a long enough secret", AT)
    with pytest.raises(NotFound, match="removed meanwhile"):
        offline(kept, recipient_ids=[4711])


def test_a_round_notes_and_tells_in_one_transaction_and_only_what_changed(kept: Any) -> None:
    hook(kept)
    rule, rounds = offline(kept), Rounds()
    for at_s in range(0, 320, 10):
        rounds.step(kept, seen((1, True), (2, False)), moment(at_s), UTC)
    (alert,) = kept.alerts.log.open()
    event = alert.raised.event
    assert (alert.subject, event.title, event.words) == (kinds.stream(1), "ann:1", "ann:1 is offline.")
    assert (event.at_utc, event.since_utc) == (AT + 300, AT)
    assert [(each.recipient, each.outcome) for each in alert.raised.deliveries] == [("ops", Outcome.WAITING)]
    before = changed(kept)
    rounds.step(kept, seen((1, True), (2, False)), moment(330), UTC)
    rounds.step(kept, seen((1, None), (2, True)), moment(340), UTC)
    assert changed(kept) == before, "what goes on, what is not known and what is only pending is not written"
    rounds.step(kept, seen((1, False), (2, False)), moment(350), UTC)
    assert kept.alerts.log.open() == []
    over, raised = kept.alerts.log.page(10)
    assert (over.event.what, raised.event.what) == (What.OVER, What.RAISED)
    assert over.event.alert == raised.event.alert and over.event.uid != raised.event.uid
    assert len(over.deliveries) == 1 and over.event.since_utc == AT
    assert kept.alerts.log.page(10, before_id=over.id) == [raised]
    assert kept.alerts.log.page(10, subjects=[kinds.stream(2)]) == [] == kept.alerts.log.page(10, subjects=[])
    assert len(kept.alerts.log.page(10, subjects=[kinds.stream(1), *map(kinds.stream, range(5000, 7000))])) == 2
    assert rule.id == raised.event.rule_id


def changed(kept: Any) -> list[Any]:
    """All rows of the alerts."""
    tables = ("alert_states", "alert_log", "alert_deliveries")
    return [[tuple(row.values()) for row in kept.audit.db.query(f"select * from {table}")] for table in tables]


def test_a_disk_that_cannot_be_asked_keeps_no_other_rule_from_being_judged(kept: Any) -> None:
    changes.add_rule(kept, "disk", {}, ALL, "box", None, AT, BOTH)
    offline(kept)
    rounds = Rounds()

    def look(rule: Rule, is_raised: object) -> Iterable[Finding]:
        if rule.kind.name == "disk":
            raise OSError("Input/output error")
        return seen((1, True))(rule, is_raised)

    for at_s in (0, 300):
        with pytest.raises(OSError, match="Input/output"):
            rounds.step(kept, look, moment(at_s), UTC)
    assert len(kept.alerts.log.open()) == 1


def test_a_restart_forgets_nothing_that_was_raised_or_told(kept: Any) -> None:
    hook(kept)
    offline(kept)
    rounds = Rounds()
    for at_s in (0, 300):
        rounds.step(kept, seen((1, True)), moment(at_s), UTC)
    Rounds().step(kept, seen((1, True)), moment(310), UTC)
    Rounds().step(kept, seen((1, False)), moment(320), UTC)
    again = Rounds()
    for at_s in (330, 640, 650):  # within the cool-down
        again.step(kept, seen((1, True)), moment(at_s), UTC)
    assert [each.is_held_back for each in kept.alerts.log.open()] == [True]
    Rounds().step(kept, seen((1, True)), moment(3900), UTC)
    assert [each.is_held_back for each in kept.alerts.log.open()] == [False]
    told = [(entry.event.what, len(entry.deliveries)) for entry in reversed(kept.alerts.log.page(10))]
    assert told == [(What.RAISED, 1), (What.OVER, 1), (What.RAISED, 1)]


def test_quiet_hours_go_by_the_clocks_of_the_site(kept: Any) -> None:
    from appliance.time_zone import named

    berlin = named("Europe/Berlin")
    assert berlin
    hook(kept)
    offline(kept)
    changes.set_quiet(kept, Quiet(13 * 60, 13 * 60 + 30))  # AT is one o'clock in Berlin
    rounds = Rounds()
    for at_s in range(0, 1830, 30):
        if at_s < 1800:
            assert not any(entry.deliveries for entry in kept.alerts.log.page(10))
        rounds.step(kept, seen((1, True)), moment(at_s), berlin)
    assert [len(entry.deliveries) for entry in kept.alerts.log.page(10)] == [1]


def test_a_rule_that_changes_begins_again_and_what_is_gone_is_over_untold(kept: Any) -> None:
    hook(kept)
    rule = offline(kept)
    rounds = Rounds()
    for at_s in (0, 300):
        rounds.step(kept, seen((1, True), (2, True)), moment(at_s), UTC)
    rounds.step(kept, seen((1, True)), moment(310), UTC)  # stream 2 was deactivated
    over = kept.alerts.log.page(1)[0]
    assert over.event.words == "ann:2 is not watched for this any more." and not over.deliveries
    changes.change_rule(kept, rule, {"minutes": 60}, "all streams", None, BOTH, 60, active=True)
    assert kept.alerts.log.open() == []
    rounds.step(kept, seen((1, True)), moment(320), UTC)
    assert kept.alerts.log.open() == [], "it must hold for an hour from now on"
    changes.change_rule(kept, changes.find_rule(kept, rule.id), {"minutes": 1}, "", None, BOTH, 60, active=False)
    rounds.step(kept, seen((1, True)), moment(9000), UTC)
    rounds.step(kept, seen((1, True)), moment(9100), UTC)
    assert kept.alerts.log.open() == []


def test_what_is_old_is_forgotten_but_not_what_is_still_open(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hook(kept)
    offline(kept)
    rounds = Rounds()
    for at_s in (0, 300):
        rounds.step(kept, seen((1, True), (2, True)), moment(at_s), UTC)
    rounds.step(kept, seen((1, True), (2, False)), moment(310), UTC)
    forget_old(kept, AT + KEPT_S)
    assert len(kept.alerts.log.page(10)) == 3
    forget_old(kept, AT + KEPT_S + 400)
    assert [entry.event.title for entry in kept.alerts.log.page(10)] == ["ann:1"]
    monkeypatch.setattr("appliance.alerts.log.MAX_ENTRIES", 3)
    for number in range(10):
        for holds, at_s in ((True, 0), (True, 300), (False, 310)):
            rounds.step(kept, seen((1, True), (2, holds)), moment(10_000 * (number + 1) + at_s), UTC)
    forget_old(kept, AT)
    assert len(kept.alerts.log.page(100)) == 4, "the newest, and what is open"
    assert len(kept.alerts.log.open()) == 1


def test_a_test_says_what_came_of_it_and_stands_in_the_log(kept: Any) -> None:
    ops = changes.find_recipient(kept, hook(kept))
    sent: list[object] = []
    ways = {Way.WEBHOOK: lambda recipient, event: sent.append((recipient, event.what))}
    assert "see whether it has come to ops" in send_test(kept, ways, ops, "Hall", AT)
    assert sent == [(ops, What.TEST)]

    def refuse(_recipient: object, _event: object) -> None:
        raise Undelivered("hooks.example.org answers 404 (Not Found): see the address, and what it expects.")

    with pytest.raises(Undelivered, match="answers 404"):
        send_test(kept, {Way.WEBHOOK: refuse}, ops, "Hall", AT)
    failed, worked = kept.alerts.log.page(10)
    assert [each.outcome for entry in (worked, failed) for each in entry.deliveries] == [Outcome.SENT, Outcome.FAILED]
    assert "404" in failed.deliveries[0].problem
    actions = [row["action"] for row in kept.audit.db.query("select action from audit order by number")]
    assert actions == ["recipient_added", "recipient_tested", "recipient_tested"]


def test_nothing_of_a_stream_that_is_deleted_stays_behind(tmp_path: Path) -> None:
    store = new_store(tmp_path / "mb9k.db")
    store.people.add("ann", "hash", Role.ADMIN, AT)
    stream_id = store.streams.add_with_key(1, "door", "digest", AT)
    hook(store)
    offline(store)
    changes.add_rule(store, "rate", {}, kinds.stream(stream_id), "ann:door", [1], AT, kinds.OF_BOX)
    rounds = Rounds()
    for at_s in (0, 300):
        rounds.step(store, seen((stream_id, True)), moment(at_s), UTC)
    assert store.alerts.log.open() and len(store.alerts.rules.all()) == 2
    with store.writing():
        store.db.execute("delete from streams where id = ?", [stream_id])
    assert [rule.subject for rule in store.alerts.rules.all()] == [ALL]
    assert store.alerts.log.page(10) == [] == store.alerts.log.open()
    rounds.step(store, seen(), moment(400), UTC)
    assert store.alerts.log.page(10) == []
    assert store.problems() == []
    store.close()


def test_a_subject_is_told_apart_by_what_it_is_of() -> None:
    assert Subject(Of.STREAM, "1") != Subject(Of.SITE, "1")
    assert replace(kinds.stream(1), of=Of.BOX) == Subject(Of.BOX, "1")
