"""The audit of a centre: the same as a box's, on both databases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.accounts.audit import ITSELF, KEPT_S, Action, record
from appliance.accounts.audit_chain import HeadFile, problems
from appliance.central.check import audit_problems, note_restored
from appliance.central.housekeeping import Housekeeping
from appliance.central.mqtt import Connection
from appliance.central.store import CentralStore
from tests.fleets import Fleet
from tests.site import PASSWORD


@pytest.fixture
def fleet(tmp_path: Path, made_database: str) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "state", made_database)
    yield made
    made.close()


def test_what_is_done_at_a_centre_is_on_record_and_a_change_of_it_is_found(fleet: Fleet) -> None:
    fleet.browser().sign_in("ann", "not the password")
    ann = fleet.browser("ann")
    ann.post("/people", name="kim", role="analyst", password=PASSWORD, again=PASSWORD)
    ann.post("/sites", name="west")
    page = ann.get("/audit").text
    assert page.count('role="row"') == 4 and "a site was added" in page and "a name that nobody has" not in page
    assert fleet.browser("sci").get("/audit").status_code == 403
    rows = list(fleet.db.query("select action, actor from audit order by number"))
    told = [("sign_in_failed", ""), ("person_added", "ann"), ("changed", "ann"), ("refused", "sci")]
    assert [(row["action"], row["actor"]) for row in rows] == told
    assert problems(fleet.store.audit, {}) == []
    if fleet.db.dialect == "sqlite":
        fleet.db.execute("drop trigger audit_unchanged")
    fleet.db.execute("update audit set actor = 'sci' where number = 2")
    (found,) = problems(fleet.store.audit, {})
    assert found.startswith("entry 2 (") and found.endswith("is not as it was recorded")


def test_a_missing_last_entry_is_found_by_the_file_that_this_machine_keeps(fleet: Fleet) -> None:
    """Also with PostgreSQL, beside which there is no file of the database."""
    ann = fleet.browser("ann")
    for name in ("west", "east"):
        ann.post("/sites", name=name)
    beside = HeadFile(fleet.config.audit_head_path)
    assert beside.read() == fleet.store.audit.head()
    assert audit_problems(fleet.config, fleet.db) == []
    first = fleet.store.audit.sha256_of(1)
    if fleet.db.dialect == "sqlite":
        fleet.db.execute("drop trigger audit_kept")
    fleet.db.execute("delete from audit where number = 2")
    fleet.db.execute("update audit_chain set number = 1, sha256 = ?", [first])
    (found,) = audit_problems(fleet.config, fleet.db)
    assert found == f"entry 2 is missing: {beside.path.name} knows entry 2"
    # An older copy was put back on purpose: somebody says so, and the audit goes on.
    store = CentralStore(fleet.db, fleet.config.audit_head_path)
    assert note_restored(store, beside) and not note_restored(store, beside)
    ann.post("/sites", name="west again")
    assert audit_problems(fleet.config, fleet.db) == [] and beside.read() == fleet.store.audit.head()


def test_a_machine_that_made_no_entry_misses_none(fleet: Fleet) -> None:
    fleet.browser("ann").post("/sites", name="west")
    fleet.browser("ann").post("/sites", name="east")
    fleet.config.audit_head_path.unlink()
    is_shared = fleet.db.dialect == "postgresql"
    assert audit_problems(fleet.config, fleet.db) == (
        [] if is_shared else ["central.db.audit-head, which knows the last entry, is gone"]
    )


def test_old_entries_go_with_an_entry_that_says_so(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, store = time.time(), CentralStore(fleet.db, fleet.config.audit_head_path)
    for at_s in (now_s - KEPT_S - 9, now_s - KEPT_S - 8, now_s - 7):
        store.audit.act_for(ITSELF, at_s)
        record(store, Action.CHANGED, f"something at {at_s}")
    keeping = Housekeeping(fleet.config, Connection.__new__(Connection))
    monkeypatch.setattr("appliance.times.clock_is_synchronised", lambda: False)
    keeping._forget(fleet.db, int(now_s))
    assert fleet.store.audit.start().number == 0, "a clock that nobody vouches for forgets nothing"
    monkeypatch.setattr("appliance.times.clock_is_synchronised", lambda: True)
    for _ in range(2):
        keeping._forget(fleet.db, int(now_s))
        assert fleet.store.audit.start().number == 2
        rows = [(row["number"], row["action"]) for row in fleet.db.query("select * from audit order by number")]
        assert rows == [(3, "changed"), (4, "dropped")]
        assert audit_problems(fleet.config, fleet.db) == []
