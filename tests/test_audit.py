"""The audit: who did what, in a chain that shows what was changed or taken away."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.accounts.audit import Action, Actor, ActorKind, Audit, canonical, record
from appliance.accounts.audit_chain import HeadFile, head_of, head_path
from appliance.config import Config
from appliance.faces import State
from appliance.rules import audit as rules
from appliance.rules import recovery
from appliance.rules import streams as stream_rules
from appliance.store import Store
from appliance.store.backup import Backups
from appliance.times import now
from tests.conftest import REPOSITORY
from tests.site import PASSWORD, Box

DAY_S = 86_400.0


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


def problems(box: Box) -> list[str]:
    with closing(Store.open_readonly(box.config.store_path)) as store:
        return rules.problems(box.config, store)


def actions(box: Box) -> list[str]:
    return [row["action"] for row in box.store.db.query("select action from audit order by number")]


def entry(box: Box, number: int) -> dict[str, object]:
    (row,) = box.store.db.query("select * from audit where number = ?", [number])
    return dict(row)


def fill(box: Box, entries: int = 20) -> None:
    for number in range(entries):
        record(box.store, Action.EXPORTED, f"detections {number}", rows=number)


def tamper(box: Box, *statements: str) -> None:
    """As somebody would who can write the file, and knows its triggers."""
    with closing(sqlite3.connect(box.config.store_path)) as db, db:
        db.execute("drop trigger if exists audit_unchanged")
        db.execute("drop trigger if exists audit_kept")
        for statement in statements:
            db.execute(statement)


def test_a_chain_that_nobody_touched_is_whole(box: Box) -> None:
    assert problems(box) == []
    fill(box)
    assert problems(box) == []
    assert HeadFile(head_path(box.config.store_path)).read() == box.store.audit.head()


@pytest.mark.parametrize(
    "column", ["at_utc", "actor_kind", "actor", "address", "action", "subject", "details", "sha256"]
)
def test_one_changed_character_of_any_part_is_found(box: Box, column: str) -> None:
    fill(box)
    tamper(box, f"update audit set {column} = {column} || 'x' where number = 7")
    assert any("entry 7 " in problem for problem in problems(box))


def test_one_changed_byte_in_the_file_itself_is_found(box: Box) -> None:
    fill(box)
    box.close()
    path = box.config.store_path
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    content = path.read_bytes()
    assert content.count(b"detections 7") == 1
    path.write_bytes(content.replace(b"detections 7", b"detections 8"))
    assert problems(box) == [p for p in problems(box) if "entry 8 (" in p and "not as it was recorded" in p] != []


def test_an_entry_taken_out_of_the_middle_is_found(box: Box) -> None:
    fill(box)
    tamper(box, "delete from audit where number = 7")
    assert problems(box)[0] == "entry 7 is missing: they were taken out"


def without_the_last(box: Box) -> None:
    """The last entry is gone, and the table that knows where the entries end says so, too."""
    tamper(
        box,
        "delete from audit where number = (select max(number) from audit)",
        "update audit_chain set (number, sha256) = (select number, sha256 from audit order by number desc limit 1)",
    )


def test_one_missing_last_entry_is_found_by_the_file_beside_the_record(box: Box) -> None:
    fill(box)
    without_the_last(box)
    assert problems(box) == ["entry 20 is missing: mb9k.db.audit-head knows entry 20"]


def test_what_was_found_missing_stays_found_when_the_box_runs_on(box: Box) -> None:
    fill(box)
    without_the_last(box)
    fill(box, 3)
    assert problems(box) == ["entry 20 is not the one that mb9k.db.audit-head knows"]


def test_one_missing_last_entry_is_found_by_a_backup_and_by_who_wrote_it_down(box: Box) -> None:
    fill(box)
    Backups(box.config.backups_dir).make(box.config.store_path, now().utc, keep=3, leave_free_bytes=0)
    written_down = str(box.store.audit.head())
    without_the_last(box)
    HeadFile(head_path(box.config.store_path)).replace(box.store.audit.head())  # a thief who knows of that, too
    (found,) = problems(box)
    assert re.fullmatch(r"entry 20 is missing: the backup mb9k-000001-\w+\.db knows entry 20", found)
    with closing(Store.open_readonly(box.config.store_path)) as store:
        found_too = rules.problems(box.config, store, head_of(written_down))
    assert "entry 20 is missing: whoever wrote it down knows entry 20" in found_too


def test_a_head_file_that_is_gone_or_unreadable_is_told(box: Box) -> None:
    fill(box)
    path = head_path(box.config.store_path)
    path.unlink()
    assert problems(box) == ["mb9k.db.audit-head, which knows the last entry, is gone"]
    path.write_text("nonsense")
    assert problems(box) == ["mb9k.db.audit-head, which knows the last entry, cannot be read"]


def test_entries_are_neither_changed_nor_deleted_by_mistake(box: Box) -> None:
    fill(box, 3)
    for statement in ("update audit set actor = 'x'", "delete from audit where number = 3"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            box.store.db.execute(statement)


def test_what_is_rolled_back_leaves_no_entry_and_an_entry_needs_a_transaction(box: Box) -> None:
    with pytest.raises(ZeroDivisionError), box.store.saving():
        box.store.audit.add(Action.EXPORTED)
        raise ZeroDivisionError
    assert actions(box) == [] and problems(box) == []
    with pytest.raises(RuntimeError, match="transaction"):
        box.store.audit.add(Action.EXPORTED)


@settings(max_examples=150, derandomize=True)
@given(st.lists(st.one_of(st.text(), st.none(), st.integers(-(2**53) + 1, 2**53 - 1)), max_size=8))
def test_the_hashed_bytes_mean_what_they_say(values: list[str | int | None]) -> None:
    values = [each.encode(errors="replace").decode() if isinstance(each, str) else each for each in values]
    assert json.loads(canonical(values)) == values and canonical(values) == canonical(json.loads(canonical(values)))


def test_the_program_in_the_documentation_verifies_a_record_and_finds_a_change(box: Box, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "audit.md").read_text()
    program = tmp_path / "verify.py"
    program.write_text(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
    fill(box)
    record(box.store, Action.EXPORTED, 'Zoë "Ω"\n\t\x7f\u2028', note="ü")

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(program), str(box.config.store_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    told = run()
    assert told.stdout.strip() == f"21 entries are whole; the last is {box.store.audit.head()}", told.stderr
    tamper(box, "update audit set subject = 'y' where number = 5")
    assert run().returncode == 1 and "entry 5" in run().stderr


def test_dropping_the_oldest_says_so_and_keeps_the_chain(box: Box) -> None:
    at_utc = box.clock.now.utc
    for age_days in range(10, 0, -1):
        box.store.audit.act_for(Actor(ActorKind.OPERATOR, "root"), at_utc - age_days * DAY_S)
        record(box.store, Action.EXPORTED)
    box.store.audit.act_for(Actor(ActorKind.ITSELF), at_utc)
    with box.store.writing():
        assert box.store.audit.drop(at_utc - 4.5 * DAY_S) == 6
    assert actions(box) == ["exported"] * 4 + ["dropped"] and problems(box) == []
    assert entry(box, 11)["subject"] == "entries 1 to 6"
    with box.store.writing():
        assert box.store.audit.drop(at_utc - 4.5 * DAY_S) == 0
    with box.store.writing():
        assert box.store.audit.drop(at_utc - 2.5 * DAY_S) == 2
    assert problems(box) == []
    tamper(box, "delete from audit where number <= 10", "update audit_chain set start_number = 10")
    assert problems(box) != []


def test_a_copy_that_is_put_back_goes_on_with_the_chain_and_says_so(box: Box) -> None:
    fill(box, 5)
    backups = Backups(box.config.backups_dir)
    old = backups.make(box.config.store_path, now().utc, keep=9, leave_free_bytes=0)
    fill(box, 5)
    backups.make(box.config.store_path, now().utc, keep=9, leave_free_bytes=0)
    left = box.store.audit.head()
    box.close()
    recovery.restore(box.config, old.path, now().utc, Actor(ActorKind.OPERATOR, "root"))
    box.store = Store.open(box.config.store_path)
    assert box.store.audit.head().number == 6 and problems(box) == []
    restored = entry(box, 6)
    assert (restored["action"], restored["actor_kind"], restored["actor"]) == ("restored", "operator", "root")
    assert json.loads(str(restored["details"]))["set_aside"] == [str(left)]

    HeadFile(head_path(box.config.store_path)).replace(left)  # the power went before the new head was noted
    assert problems(box) == []
    fill(box, 9)
    assert problems(box) == []
    assert HeadFile(head_path(box.config.store_path)).read() == box.store.audit.head()
    box.close()
    recovery.start_empty(box.config, now().utc)
    box.store = Store.open(box.config.store_path)
    assert actions(box) == ["begun"] and problems(box) == []


def test_a_copy_of_before_there_was_an_audit_is_migrated_and_put_back(tmp_path: Path) -> None:
    config = Config(state_dir=str(tmp_path))
    copy = tmp_path / "old.db"
    with closing(sqlite3.connect(copy)) as db:
        db.executescript((REPOSITORY / "tests" / "box_before_accounts.sql").read_text())
    recovery.restore(config, copy, now().utc)
    with closing(Store.open_existing(config.store_path)) as store:
        assert [row["action"] for row in store.db.query("select action from audit")] == ["restored"]
        assert store.people.count() > 0 and rules.problems(config, store) == []


WRITER = """
import sys
from pathlib import Path
from appliance.accounts.audit import Action, record
from appliance.store import Store
store = Store.open(Path(sys.argv[1]))
while True:
    record(store, Action.EXPORTED, "detections")
    print(store.audit.head().number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_whole_chain_with_all_that_was_committed(tmp_path: Path) -> None:
    config = Config(state_dir=str(tmp_path))
    Store.open(config.store_path).close()
    told = 0
    for kill in range(8):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(config.store_path)], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout and writer.stdout.readline()
        time.sleep(0.003 * kill)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            lines = writer.communicate()[0].split("\n")
            told = max([told, *(int(line) for line in lines[:-1])])
        with closing(Store.open_readonly(config.store_path)) as store:
            assert rules.problems(config, store) == []
            assert store.audit.head().number >= told
    with closing(Store.open_existing(config.store_path)) as store:
        record(store, Action.EXPORTED, "what catches up")
        assert HeadFile(head_path(config.store_path)).read() == store.audit.head()


def test_signing_in_and_failing_to_are_on_record_without_what_was_typed(box: Box) -> None:
    browser = box.browser()
    browser.sign_in("ann", "not the password")
    browser.sign_in("my password by mistake", "x")
    browser.sign_in("ann")
    browser.post("/sign-out")
    assert actions(box) == ["sign_in_failed", "sign_in_failed", "signed_in", "signed_out"]
    rows = [entry(box, number) for number in (1, 2, 3, 4)]
    assert [row["subject"] for row in rows] == ["ann", "a name that nobody has", "", ""]
    assert [row["actor"] for row in rows] == ["", "", "ann", "ann"]
    assert {row["address"] for row in rows} == {"192.0.2.1"}


def test_a_flood_of_failures_is_counted_and_does_not_fill_the_disk(box: Box) -> None:
    for number in range(40):
        box.browser(address=f"198.51.100.{number}").sign_in("ann", "x")
    assert actions(box) == ["sign_in_failed"] * 30
    box.browser(address="203.0.113.1").sign_in("ann")
    assert entry(box, 31)["details"] == '{"failures_before":10}'


def test_a_page_of_images_is_one_entry_and_handing_them_out_is_none_more(box: Box) -> None:
    ann, sci = box.browser("ann"), box.browser("sci")
    for _ in range(2):
        ann.get("/detections")
        assert ann.get("/images/unguessable").status_code == 200
    assert actions(box) == ["images_viewed"]
    assert entry(box, 1)["details"] == '{"detections":[1]}'
    assert sci.get("/images/unguessable").status_code == 200, "no page had shown it to this person"
    assert actions(box) == ["images_viewed"] * 2 and entry(box, 2)["actor"] == "sci"
    program = box.browser()
    program.get("/api/v1/detections/1/image", headers={"Authorization": "Bearer token of ann"})
    assert (entry(box, 3)["action"], entry(box, 3)["actor"]) == ("image_downloaded", "ann (test)")
    box.clock.forward(700)
    ann.get("/detections/1")
    assert actions(box)[3:] == ["images_viewed"]


def test_no_image_is_handed_out_that_cannot_be_put_on_record(box: Box) -> None:
    box.busy_timeout_s = 0.05
    ann = box.browser("ann")
    with closing(sqlite3.connect(box.config.store_path)) as other:
        other.execute("begin immediate")
        assert ann.get("/images/unguessable").status_code == 503
        assert ann.get("/detections").status_code == 200
    assert actions(box) == []
    assert ann.get("/images/unguessable").status_code == 200 and actions(box) == ["images_viewed"]


def test_every_change_is_an_entry_by_whoever_made_it(box: Box) -> None:
    ann = box.browser("ann")
    made = ann.post("/streams", name="gate", kind="key", owner="1")
    key = re.search(r"\b[2-9A-Z]{20}\b", ann.get(made.headers["location"]).text)
    ann.post("/streams/1/key")
    ann.post("/streams/1/deactivate")
    ann.post("/detections/2/state", state="mask")
    ann.post("/detections/2/delete")
    ann.post("/streams/2/delete")
    ann.post("/people", name="kim", role="admin", password=PASSWORD, again=PASSWORD)
    ann.post("/people/4/role", role="data_scientist")
    ann.post("/people/4/remove")
    token = ann.follow("/account/tokens", name="report").text.split('id="token"')[1].split(">")[1].split("<")[0]
    ann.post("/settings/title", title="Front door")
    box.browser("sci").get("/people")
    wanted = "stream_added key_changed stream_changed detection_corrected detection_deleted stream_deleted"
    wanted += " person_added role_changed person_removed token_made changed refused"
    assert actions(box) == wanted.split()
    assert entry(box, 4)["details"] == '{"before":"no_mask","after":"mask"}'
    assert entry(box, 6)["subject"] == "stream 2 (sci:lab)"
    assert entry(box, 11)["subject"] == "POST /settings/title" and entry(box, 12)["actor"] == "sci"
    assert {entry(box, number)["actor"] for number in range(1, 12)} == {"ann"}
    text = json.dumps([entry(box, number) for number in range(1, 13)])
    assert key and key[0] not in text and token not in text and PASSWORD not in text
    assert problems(box) == []


def test_an_edit_puts_on_record_only_what_is_otherwise_now(box: Box) -> None:
    ann = box.browser("ann")
    ann.post("/streams/1/edit", name="gate", owner="1")
    assert entry(box, 1)["details"] == '{"name":"gate"}'
    ann.post("/streams/1/edit", name="gate", owner="2")
    assert entry(box, 2)["details"] == '{"owner_id":2}'


def test_a_camera_s_password_is_not_on_record(box: Box) -> None:
    by, at = box.store.people.get(1), box.clock.now
    assert by
    made, _ = stream_rules.add(box.store, by, 1, "yard", "rtsp://viewer:hush-hush@192.0.2.9/1", at)
    stream_rules.change(box.store, by, made, source="rtsp://viewer:other-hush@192.0.2.9/2")
    text = "\n".join(box.store.db.conn.iterdump())
    told = [line for line in text.splitlines() if line.startswith('INSERT INTO "audit"')]
    assert len(told) == 2 and "hush" not in "".join(told) and "192.0.2.9" in told[0]


def test_an_admin_searches_the_page_and_pages_on(box: Box) -> None:
    box.store.audit.act_for(Actor(ActorKind.OPERATOR, "root"))
    for number in range(60):
        record(box.store, Action.EXPORTED if number % 2 else Action.DOWNLOADED, f"part {number}", note="<b>50%</b>")
    ann = box.browser("ann")
    first = ann.get("/audit").text
    assert "part 59" in first and not re.search(r"part 9\b", first) and "at the command line" in first
    assert "<b>" not in first and "&lt;b&gt;50%" in first
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older and re.search(r"part 9\b", ann.get(older[1].replace("&amp;", "&")).text)
    assert str(box.store.audit.head()) in first
    only = ann.get("/audit?action=downloaded&search=PART+1").text
    assert "part 10" in only and "part 11" not in only and "part 20" not in only
    assert "No entry matches" in ann.get("/audit?search=50_").text
    assert "Could not read: from, what." in ann.get("/audit?since=x&action=x").text
    assert box.browser("sci").get("/audit").status_code == 403


def test_programs_of_admins_read_the_audit(box: Box) -> None:
    fill(box, 5)

    def ask(path: str, name: str = "ann") -> httpx.Response:
        return box.browser().client.get(path, headers={"Authorization": f"Bearer token of {name}"})

    page = ask("/api/v1/audit?limit=2").json()
    assert [each["number"] for each in page["entries"]] == [5, 4] and page["head"] == str(box.store.audit.head())
    assert [each["number"] for each in ask(page["next"]).json()["entries"]] == [3, 2]
    assert ask("/api/v1/audit?action=claimed").json()["entries"] == []
    assert ask("/api/v1/audit?action=x").status_code == 400 and ask("/api/v1/audit", "sci").status_code == 403


def test_the_audit_costs_a_watcher_that_adds_nothing_no_head(box: Box) -> None:
    with box.store.writing():
        box.add_detection(1, State.MASK)
    assert not head_path(box.config.store_path).exists() and isinstance(box.store.audit, Audit)
