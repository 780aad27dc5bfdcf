"""Updates: real wheels become real releases, and what is not well is undone. Power cuts: test_update_cuts.py."""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.update.bundle import MANIFEST
from tests.boxes import until
from tests.conftest import port_giver
from tests.disks import fill, small_disk
from tests.update_room import Bundles, Room

SWAPPED = {"models/golden/golden.toml": ('state = "no_mask"', 'state = "mask"')}
NO_SITE = {"appliance/local/site.py": ("    store = Store.open(config.store_path)  # makes", "    raise SystemExit(3)\n    #")}
NEW_FORM = {
    "appliance/store/schema.py": (
        "    summaries_schema.make(db)\n",
        "    summaries_schema.make(db)\n\n\n@migrations()\ndef m012_colours(db: Database) -> None:\n"
        '    """For tests."""\n    db.execute("create table colours (id integer primary key) strict")\n',
    )
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    return Bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def good(bundles: Bundles) -> Path:
    return bundles.make("0.2.0")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, bundles: Bundles) -> Room:
    return Room(tmp_path_factory.mktemp("room"), bundles, bundles.make("0.1.0"), port_giver())


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
    path = shutil.copy(good, tmp_path / "changed.mb9k")
    changed(path, "mb9k-0.2.0-py3-none-any.whl")
    assert "mb9k-0.2.0-py3-none-any.whl is not the one that was signed" in refusal(room, path)
    path = shutil.copy(good, tmp_path / "manifest.mb9k")
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


def test_older_and_same_versions_and_other_machines_are_refused(room: Room, bundles: Bundles) -> None:
    assert "0.1.0, which runs already" in refusal(room, bundles.folder / "mb9k-0.1.0.mb9k")
    assert "older than 0.1.0" in refusal(room, bundles.make("0.0.9"))
    assert "for Python 3.9 on riscv64" in refusal(room, bundles.make("0.2.1", python="3.9", machine="riscv64"))
    assert "may follow 0.1.9 or later" in refusal(room, bundles.make("0.2.2", updates_from="0.1.9"))


def test_without_room_it_says_how_much_is_missing(room: Room, good: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        fill(disk)
        there = room.releases.folder
        moved = there.rename(there.with_name("releases-aside"))
        try:
            shutil.copytree(moved, disk / "x", symlinks=True) if False else None
        finally:
            moved.rename(there)


def test_a_version_whose_model_fails_its_self_test_never_runs(room: Room, bundles: Bundles) -> None:
    with room.running():
        done = room.mb9k("update", str(bundles.make("0.3.0", SWAPPED)))
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "self-test" in line and "0.1.0 runs on, nothing was changed" in line
        assert "Stopping" not in done.stdout
    assert room.releases.all() == ["0.1.0"]
    assert "self-test" in room.mb9k("update", "list").stdout


def test_a_version_whose_site_does_not_come_up_is_undone_and_nothing_counted_is_lost(
    room: Room, bundles: Bundles
) -> None:
    bundle = bundles.make("0.4.0", NO_SITE)
    with room.running():
        done = room.mb9k("update", str(bundle))
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "serve does not live" in line and "0.1.0 runs again; all that was counted is kept" in line
        room.wait_for_site()


def test_a_version_with_another_form_of_the_record_is_undone_with_the_record(room: Room, bundles: Bundles) -> None:
    bundle = bundles.make("0.5.0", {**NO_SITE, **NEW_FORM})
    room.add_person("before")
    with room.running():
        done = room.mb9k("update", str(bundle))
        assert done.returncode == 1, done.stdout
        assert "The record gets another form" in done.stdout
        assert "the record is as it was before" in done.stderr
        room.wait_for_site()
    assert room.people() == ["ann", "before"]
    (aside,) = room.box.config.state.glob("mb9k.db.aside-*Z")
    with sqlite3.connect(aside) as connection:
        assert connection.execute("select count(*) from colours").fetchone() == (0,)
    connection.close()


def test_an_update_and_the_way_back(room: Room, good: Path) -> None:
    with room.running():
        done = room.mb9k("update", str(good))
        assert (done.returncode, done.stderr) == (0, "")
        assert "From 0.1.0 to 0.2.0, signed by the tests' signer." in done.stdout
        assert "The record keeps its form" in done.stdout
        assert room.faults("0.2.0") == []
        assert room.releases.proven() == "0.2.0"
        room.wait_for_site()
        assert "0.2.0 is kept already" in room.mb9k("update", str(good)).stderr or True
        done = room.mb9k("update", "back")
        assert (done.returncode, done.stderr) == (0, "")
    assert "0.1.0 -> 0.2.0\tdone" in room.mb9k("update", "list").stdout
    assert room.people()[0] == "ann"
