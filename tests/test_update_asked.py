"""What one version asks another during an update, and what is refused before one begins."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from appliance.accounts.people import Role
from appliance.alone import stay_alone
from appliance.config import Config, load
from appliance.store import Store
from appliance.update.asking import Health
from appliance.update.journal import Journal, Progress, Step
from appliance.update.versions import UpdateError, is_version, order
from tests.test_cli import mb9k

UTC = 1_790_000_000.0


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A configuration file for a box of its own, which has no releases."""
    path = tmp_path / "mb9k.toml"
    path.write_text(f'state_dir = "{tmp_path / "state"}"\n[update]\nreleases = "{tmp_path / "releases"}"\n')
    (tmp_path / "state").mkdir()
    return path


def begin(config: Config, *names: str) -> None:
    """A record with these people."""
    with closing(Store.open(config.store_path)) as store, store.writing():
        for name in names:
            store.people.add(name, "hash", Role.ADMIN, UTC)


def make_newer(config: Config) -> None:
    """Let a version that is still to come have migrated the record."""
    with closing(sqlite3.connect(config.store_path)) as connection, connection:
        connection.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at) values ('appliance', 'm999_later', '')"
        )


def answer(box: Path, *words: str) -> str:
    done = mb9k(box, "update", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def refusal(box: Path, *words: str) -> str:
    done = mb9k(box, "update", *words)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_box_that_has_recorded_nothing_yet_can_be_updated_too(box: Path) -> None:
    assert answer(box, "ask-keep", "trial.db") == "there is no record yet"
    assert answer(box, "ask-trial", "trial.db") == "it can"
    assert answer(box, "ask-put-back", "before.db") == "all that was counted is kept"
    answer(box, "ask-forget")
    assert list((load(box).state / "update").iterdir()) == []


def test_a_newer_record_is_set_aside_for_the_copy(box: Path) -> None:
    config = load(box)
    begin(config, "ann")
    answer(box, "ask-keep", "before.db")
    begin(config, "ben")
    make_newer(config)
    assert "made by a newer mb9k" in refusal(box, "ask-keep", "trial.db")
    assert "the record is as it was before" in answer(box, "ask-put-back", "before.db")
    assert "the record is as it was before" in answer(box, "ask-put-back", "before.db"), "asked again after a power cut"
    answer(box, "ask-forget")
    assert answer(box, "ask-put-back", "before.db") == "all that was counted is kept"
    assert mb9k(box, "user", "list").stdout == "ann\tadmin\n"


def test_a_newer_record_without_a_copy_was_begun_by_the_newer_version(box: Path) -> None:
    config = load(box)
    begin(config)
    make_newer(config)
    assert "what there was is kept as" in answer(box, "ask-put-back", "before.db")
    assert mb9k(box, "check").returncode == 0


def test_a_damaged_record_without_a_copy_is_left_as_it_is(box: Path) -> None:
    config = load(box)
    config.store_path.write_bytes(b"nothing of a database" * 1000)
    assert "`mb9k check` says what to do" in refusal(box, "ask-put-back", "before.db")
    assert config.store_path.read_bytes().startswith(b"nothing")


def test_a_version_that_cannot_use_the_model_or_the_record_says_so(box: Path) -> None:
    config = load(box)
    begin(config, "ann")
    answer(box, "ask-keep", "trial.db")
    with closing(sqlite3.connect(config.state / "update" / "trial.db")) as connection, connection:
        connection.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at) values ('appliance', 'm999_later', '')"
        )
    assert "only a copy of the record from then could be used" in refusal(box, "ask-trial", "trial.db")
    answer(box, "ask-forget")
    box.write_text(f'state_dir = "{config.state}"\n[vision]\nmodel = "no-such"\n')
    assert "there is no model 'no-such'" in refusal(box, "ask-trial", "trial.db")


def test_the_record_is_not_copied_at_rest_while_a_service_runs(box: Path) -> None:
    config = load(box)
    begin(config, "ann")
    stay_alone(config.state, "watch")
    assert "`mb9k watch` runs on" in refusal(box, "ask-keep", "--at-rest", "before.db")
    answer(box, "ask-keep", "trial.db")


def test_a_box_whose_services_do_not_run_is_not_well(box: Path) -> None:
    begin(load(box), "ann")
    health = msgspec.json.decode(answer(box, "ask-health"), type=Health)
    assert health.pids == {} and "watch does not live" in health.missing
    assert not [words for words in health.missing if "notify" in words], (
        "boxes that were set up before have no unit for it"
    )


def test_a_box_without_releases_is_told_how_it_is_updated(box: Path, tmp_path: Path) -> None:
    assert "update it in that way, with pip" in refusal(box, str(tmp_path / "x.mb9k"))
    (tmp_path / "releases").mkdir()
    assert "no link current" in refusal(box, "list")


def test_a_journal_that_cannot_be_read_is_left_to_people(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.read() is None
    progress = Progress(Step.CHECKING, "0.1.0", "0.2.0", UTC, is_new=True)
    journal.write(progress)
    assert journal.read() == progress
    journal.path.write_bytes(b"{")
    with pytest.raises(UpdateError, match="remove this file"):
        journal.read()


def test_versions_are_compared_by_their_numbers() -> None:
    assert order("0.2") == order("0.2.0") < order("0.2.1") < order("0.10.0-test") < order("1.0")
    assert [name for name in ("0.1.0", "current", "mediamtx-1.2", ".wheels", "1", "0.1.0-a") if is_version(name)] == [
        "0.1.0",
        "0.1.0-a",
    ]
    with pytest.raises(UpdateError):
        order("newest")
