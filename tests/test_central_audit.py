"""The audit of a centre: the same as a box's, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.accounts.audit_chain import problems
from tests.fleets import Fleet
from tests.site import PASSWORD


@pytest.fixture
def fleet(tmp_path: Path, database_address: str) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "state", database_address)
    yield made
    made.close()


def test_what_is_done_at_a_centre_is_on_record_and_a_change_of_it_is_found(fleet: Fleet) -> None:
    fleet.browser().sign_in("ann", "not the password")
    ann = fleet.browser("ann")
    ann.post("/people", name="kim", role="analyst", password=PASSWORD, again=PASSWORD)
    ann.post("/sites", name="west")
    page = ann.get("/audit").text
    assert page.count('role="row"') == 4 and "POST /sites" in page and "a name that nobody has" not in page
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
