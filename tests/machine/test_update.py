"""Updates: real wheels become real releases; what is not well is undone. Power cuts: test_update_cuts.py."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.update.asking import Box
from appliance.update.bundle import MANIFEST, Bundle, verified
from appliance.update.journal import Journal
from appliance.update.planning import refuse_unfit
from appliance.update.releases import CURRENT, PROVEN, Releases
from appliance.update.services import Systemd
from appliance.update.updating import Patience, Updater
from appliance.update.versions import UpdateError
from tests.disks import fill, small_disk
from tests.update_room import UTC, Bundles, Room

SWAPPED = {"models/golden/golden.toml": ('state = "no_mask"', 'state = "mask"')}
NO_SITE = {
    "appliance/local/site.py": ("    store = Store.open(config.store_path)  # makes", "    raise SystemExit(3)\n    #")
}
NEW_FORM = {
    "appliance/store/schema.py": (
        "    summaries_schema.make(db)\n",
        "    summaries_schema.make(db)\n\n\n@migrations()\ndef m999_colours(db: Database) -> None:\n"
        '    """For tests."""\n    db.execute("create table colours (id integer primary key) strict")\n',
    )
}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, bundles: Bundles) -> Iterator[Room]:
    room = Room.make(tmp_path_factory.mktemp("room"), bundles, bundles.make("0.1.0"))
    yield room
    room.systemctl("stop")


@pytest.fixture(autouse=True)
def untouched(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever is refused or undone leaves a box on which 0.1.0 runs."""
    yield
    if "room" in request.fixturenames:
        assert request.getfixturevalue("room").faults("0.1.0") == []


def refusal(room: Room, path: Path) -> str:
    """The one line that a bundle is refused with."""
    done = room.mb9k("update", str(path))
    assert done.returncode == 1, done.stdout
    assert room.releases.all() == ["0.1.0"]
    (line,) = done.stderr.splitlines()
    return line


def changed(path: Path, name: str, offset: int = 100) -> None:
    """Change one byte of a file in a bundle."""
    with tarfile.open(path) as archive:
        at = archive.getmember(name).offset_data + offset
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_bundle_that_was_changed_is_refused(room: Room, good: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(good, tmp_path / "changed.mb9k"))
    changed(path, "mb9k-0.2.0-py3-none-any.whl")
    assert "mb9k-0.2.0-py3-none-any.whl is not the one that was signed" in refusal(room, path)
    path = Path(shutil.copy(good, tmp_path / "manifest.mb9k"))
    changed(path, MANIFEST)
    assert "changed after it was signed" in refusal(room, path)


def test_a_bundle_of_an_unknown_signer_is_refused(room: Room, tmp_path: Path) -> None:
    path = Bundles(tmp_path).make("0.2.0")
    assert "who signed it is not known to this box" in refusal(room, path)


def test_a_bundle_that_was_cut_off_is_refused_wherever_it_ends(room: Room, good: Path, tmp_path: Path) -> None:
    content, path = good.read_bytes(), tmp_path / "short.mb9k"
    for length in (0, 100, 3000, len(content) // 2):
        path.write_bytes(content[:length])
        assert "not all of it came" in refusal(room, path), length


def test_what_is_no_bundle_is_refused(room: Room, tmp_path: Path) -> None:
    assert "no such file" in refusal(room, tmp_path / "nothing.mb9k")
    (tmp_path / "text").write_text("colour = 1\n" * 100)
    assert "no bundle of mb9k" in refusal(room, tmp_path / "text")
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.add(tmp_path / "text", "text")
    assert "no bundle of mb9k" in refusal(room, tmp_path / "other.tar")


def test_the_version_that_runs_already_is_refused(room: Room, bundles: Bundles) -> None:
    assert "0.1.0, which runs already" in refusal(room, bundles.folder / "mb9k-0.1.0.mb9k")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "0.1.0"}, "which runs already"),
        ({"version": "0.1"}, "which runs already"),
        ({"version": "0.0.9"}, "older than 0.1.0"),
        ({"version": "0.4"}, "kept already; `mb9k update back --to 0.4` lets it run"),
        ({"updates_from": "0.1.9"}, "may follow 0.1.9 or later, and 0.1.0 runs"),
        ({"python": "3.9"}, "for Python 3.9 on x86_64"),
        ({"machine": "aarch64"}, "for Python 3.11 on aarch64"),
    ],
)
def test_what_may_not_follow_is_refused(bundles: Bundles, good: Path, changes: dict[str, str], said: str) -> None:
    manifest = verified(good, bundles.authority, UTC).manifest
    fit = replace(manifest, python="3.11", machine="x86_64")
    refuse_unfit(Bundle(good, fit, ""), "0.1.0", ["0.1.0", "0.4.0"], "3.11", "x86_64")
    with pytest.raises(UpdateError, match=re.escape(said)):
        refuse_unfit(Bundle(good, replace(fit, **changes), ""), "0.1.0", ["0.1.0", "0.4.0"], "3.11", "x86_64")


@pytest.fixture
def little(room: Room, tmp_path: Path) -> Iterator[Room]:
    """The box with its releases on a disk of 32 MB."""
    room_of_disk = Room(room.folder)
    with small_disk(tmp_path / "disk") as disk:
        (disk / "0.1.0").symlink_to(room.releases.folder / "0.1.0")
        (disk / CURRENT).symlink_to("0.1.0")
        configured = room.config_path.read_text()
        room.config_path.write_text(configured.replace(str(room.releases.folder), str(disk)))
        room_of_disk.releases, room_of_disk.journal = Releases(disk), Journal(disk)
        yield room_of_disk
        room.config_path.write_text(configured)


def test_without_room_it_says_how_much_is_missing(little: Room, good: Path) -> None:
    fill(little.releases.folder)
    assert re.search(r"no room: \d+ MB are needed on the disk of .*, \d+ MB more than are free", refusal(little, good))


def test_a_disk_that_gets_full_meanwhile_changes_nothing(little: Room, bundles: Bundles, good: Path) -> None:
    os.truncate(fill(little.releases.folder), 25_000_000)  # others fill it after it was asked
    box, said = Box(little.config.state, little.config_path), list[str]()
    updater = Updater(little.releases, box, Systemd(), little.releases.python("0.1.0"), Patience(60), said.append)
    with pytest.raises(UpdateError, match=r"No space left.*0\.1\.0 runs on, nothing was changed"):
        updater.update(verified(good, bundles.authority, UTC), UTC)
    (little.releases.folder / "filler").unlink()
    assert little.faults("0.1.0") == []


def test_a_version_whose_model_fails_its_self_test_never_runs(room: Room, bundles: Bundles) -> None:
    done = room.mb9k("update", str(bundles.make("0.3.0", SWAPPED)))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "self-test" in line and "0.1.0 runs on, nothing was changed" in line
    assert "Stopping" not in done.stdout
    assert room.releases.all() == ["0.1.0"]
    assert "self-test" in room.mb9k("update", "list").stdout


@pytest.mark.timeout(300)
def test_a_version_with_another_form_of_the_record_is_undone_with_the_record(room: Room, bundles: Bundles) -> None:
    bundle = bundles.make("0.5.0", {**NO_SITE, **NEW_FORM})
    room.add_person("before")
    room.set_patience(6)
    with room.running():
        done = room.mb9k("update", str(bundle))
        assert done.returncode == 1, done.stdout
        assert "The record gets another form" in done.stdout
        (line,) = done.stderr.splitlines()
        assert "serve does not live" in line and "0.1.0 runs again; the record is as it was before" in line
        room.wait_for_site()
    assert room.people() == ["ann", "before"]
    (aside,) = room.config.state.glob("mb9k.db.aside-*Z")
    with sqlite3.connect(aside) as connection:
        assert connection.execute("select count(*) from colours").fetchone() == (0,)
    connection.close()


@pytest.mark.timeout(300)  # two changes over, on a machine that has other things to do
def test_an_update_and_the_way_back(room: Room, good: Path) -> None:
    room.set_patience(60)
    with room.running():
        done = room.mb9k("update", str(good))
        assert (done.returncode, done.stderr) == (0, "")
        assert "From 0.1.0 to 0.2.0, signed by the tests' signer." in done.stdout
        assert "The record keeps its form" in done.stdout
        assert room.faults("0.2.0") == []
        assert room.releases.proven() == "0.2.0"
        room.wait_for_site()
        done = room.mb9k("update", "back")
        assert (done.returncode, done.stderr) == (0, "")
    assert "0.1.0 -> 0.2.0\tdone" in room.mb9k("update", "list").stdout
    room.releases.remove("0.2.0")
    assert room.people()[0] == "ann"


def test_an_update_that_is_asked_to_end_is_undone(room: Room, bundles: Bundles, good: Path) -> None:
    command = [str(room.releases.python("0.1.0")), "-u", "-m", "appliance.cli", "--config", str(room.config_path)]
    with subprocess.Popen(
        [*command, "update", str(good)], cwd="/", env=room.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("Making"):
                process.send_signal(signal.SIGHUP)  # the terminal is gone: it goes on
            if line.startswith("Trying"):
                process.terminate()
    assert process.returncode == 1
    assert "undone: it was asked to end" in room.mb9k("update", "list").stdout


def test_three_releases_are_kept_and_never_fewer_than_those_in_use(tmp_path: Path) -> None:
    releases = Releases(tmp_path)
    for version in ("0.1.0", "0.2.0", "0.3.0", "0.10.0", "mediamtx-1.15.0"):
        (tmp_path / version).mkdir()
    releases.point(CURRENT, "0.10.0")
    releases.point(PROVEN, "0.10.0")
    assert releases.all() == ["0.1.0", "0.2.0", "0.3.0", "0.10.0"]
    assert releases.before_current() == "0.3.0"
    assert releases.prune() == ["0.1.0"]
    releases.point(CURRENT, "0.2.0")
    (tmp_path / "0.11.0").mkdir()
    assert releases.prune() == ["0.3.0"]
    assert releases.all() == ["0.2.0", "0.10.0", "0.11.0"]
    assert (tmp_path / "mediamtx-1.15.0").is_dir()


def test_the_same_wheels_and_signer_give_the_same_bundle(bundles: Bundles, good: Path) -> None:
    before = good.read_bytes()
    shutil.rmtree(bundles.folder / "wheel-0.2.0")
    assert bundles.make("0.2.0").read_bytes() == before
