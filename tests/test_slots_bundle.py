"""Bundles of a whole system: RAUC itself makes and verifies them, with the keys that sign bundles of wheels."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.certificates import Authority, new_key
from appliance.config import load
from appliance.sections import Slots
from appliance.slots.bundle import inspected, is_of_rauc
from appliance.slots.machine import Machine
from appliance.slots.planning import refuse_unfit, what_changes
from appliance.slots.preparing import prepare_system
from appliance.store.soundness import newest_known
from appliance.update.versions import UpdateError
from scripts.signing_keys import AUTHORITY, AUTHORITY_KEY, SIGNER, SIGNER_KEY, make_authority, make_signer
from tests.slot_room import bundle

TOLD = {"format": 1, "program": "0.2.0", "updates_from": "0.1.0", "schema": newest_known(), "notes": ['It says "hi".']}
SYSTEM_CONF = """[system]
compatible=mb9k-amd64
bootloader=noop
[keyring]
path={keys}/update-authority.pem
check-purpose=codesign
"""


class Maker:
    """A folder with keys, and what RAUC makes with them."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("rauc") or not shutil.which("mksquashfs"):
            pytest.skip("there is no rauc, or no mksquashfs; scripts/test installs them")
        self.folder, self.keys = folder, folder / "keys"
        self.keys.mkdir()
        make_authority(self.keys, time.time())
        make_signer(self.keys, "the tests' signer", time.time())
        self.conf = folder / "system.conf"
        self.conf.write_text(SYSTEM_CONF.format(keys=self.keys))

    def make(self, name: str, description: str, version: str = "0.2.0") -> Path:
        """A bundle of a root that is none: RAUC does not look into it."""
        content, path = self.folder / f"{name}.content", self.folder / f"{name}.raucb"
        content.mkdir()
        (content / "root.ext4").write_bytes(os.urandom(200_000))
        escaped = description.replace("\\", "\\\\")
        words = f"compatible=mb9k-amd64\nversion={version}\ndescription={escaped}\nbuild={version}-1a2b"
        (content / "manifest.raucm").write_text(
            f"[update]\n{words}\n[bundle]\nformat=verity\n[image.rootfs]\nfilename=root.ext4\n"
        )
        sign = ["--cert", str(self.keys / SIGNER), "--key", str(self.keys / SIGNER_KEY)]
        subprocess.run(["rauc", *sign, "bundle", str(content), str(path)], check=True, capture_output=True)
        return path


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("maker"))


@pytest.fixture(scope="module")
def good(maker: Maker) -> Path:
    return maker.make("good", json.dumps(TOLD))


def test_rauc_accepts_the_signer_of_bundles_of_wheels(maker: Maker, good: Path) -> None:
    found = inspected(good, maker.conf)
    assert (found.compatible, found.version, found.build) == ("mb9k-amd64", "0.2.0", "0.2.0-1a2b")
    assert (found.signer, found.told.program, found.told.notes) == ("the tests' signer", "0.2.0", ['It says "hi".'])
    assert is_of_rauc(good)


def test_other_files_are_not_taken_for_a_system(maker: Maker, tmp_path: Path) -> None:
    for content in (b"", b"hsq", b"manifest.json" + bytes(600)):
        (tmp_path / "file").write_bytes(content)
        assert not is_of_rauc(tmp_path / "file")
    assert not is_of_rauc(tmp_path) and not is_of_rauc(tmp_path / "nothing")


def test_what_an_unknown_signer_signed_is_refused(maker: Maker, good: Path, tmp_path: Path) -> None:
    make_authority(tmp_path, time.time())
    (tmp_path / "system.conf").write_text(SYSTEM_CONF.format(keys=tmp_path))
    with pytest.raises(UpdateError, match=r"not taken: who signed it is not known to this box; fetch it again"):
        inspected(good, tmp_path / "system.conf")


def test_who_is_no_signer_of_programs_signs_no_system(maker: Maker, tmp_path: Path) -> None:
    key = new_key()
    authority = Authority((maker.keys / AUTHORITY).read_text(), (maker.keys / AUTHORITY_KEY).read_bytes())
    other = Maker(tmp_path)
    (other.keys / SIGNER).write_text(authority.sign_client(key, "a box", time.time()).pem)
    (other.keys / SIGNER_KEY).write_bytes(key)
    with pytest.raises(UpdateError, match="may not sign programs"):
        inspected(other.make("wrong", json.dumps(TOLD)), maker.conf)


def test_a_changed_or_short_file_is_refused(maker: Maker, good: Path, tmp_path: Path) -> None:
    content = good.read_bytes()
    path = tmp_path / "changed.raucb"
    for changed in (content[:-100], content[: len(content) // 2], content[:10]):
        path.write_bytes(changed)
        with pytest.raises(UpdateError, match="is not taken"):
            inspected(path, maker.conf)
    signature = bytearray(content)
    signature[-200] ^= 1
    path.write_bytes(signature)
    with pytest.raises(UpdateError, match="is not taken"):
        inspected(path, maker.conf)


@pytest.mark.parametrize("description", ["", "a system", "{}", json.dumps({**TOLD, "program": "newest"})])
def test_a_signed_system_of_others_is_refused(maker: Maker, description: str) -> None:
    path = maker.make(f"other{len(description)}", description)
    with pytest.raises(UpdateError, match="is signed, but no system of mb9k"):
        inspected(path, maker.conf)


def test_a_later_form_is_left_to_a_later_version(maker: Maker) -> None:
    path = maker.make("later", json.dumps({**TOLD, "format": 2, "more": [1]}))
    with pytest.raises(UpdateError, match=r"of a form that this version does not know \(2\)"):
        inspected(path, maker.conf)
    assert inspected(maker.make("more", json.dumps({**TOLD, "more": [1]})), maker.conf).told.format == 1


def test_without_rauc_it_says_what_to_install(
    maker: Maker, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UpdateError, match="install the package rauc"):
        inspected(good, maker.conf)


@pytest.mark.parametrize(
    ("found", "runs", "said"),
    [
        ({}, ("mb9k-arm64", "0.1.0-a", "0.1.0"), "is for mb9k-amd64, and this machine is mb9k-arm64"),
        ({}, ("mb9k-amd64", "0.2.0-1a2b", "0.2.0"), "which runs already"),
        ({}, ("mb9k-amd64", "0.3.0-a", "0.3.0"), "older than 0.3.0, which runs"),
        ({}, ("mb9k-amd64", "0.1.0-a", "0.2.1"), "brings mb9k 0.2.0, older than 0.2.1"),
        ({"updates_from": "0.1.5"}, ("mb9k-amd64", "0.1.0-a", "0.1.0"), "update to 0.1.5 first"),
    ],
)
def test_what_may_not_follow_is_refused(found: dict[str, object], runs: tuple[str, str, str], said: str) -> None:
    with pytest.raises(UpdateError, match=said):
        refuse_unfit(bundle("0.2.0", **found), *runs)


def test_what_may_follow_is_taken_also_another_build_of_the_same_version() -> None:
    refuse_unfit(bundle("0.2.0"), "mb9k-amd64", "0.1.0-a", "0.1.0")
    refuse_unfit(bundle("0.2.0"), "mb9k-amd64", "0.2.0-9f9f", "0.2.0")


def test_people_are_told_beforehand_what_becomes_of_the_record() -> None:
    known = newest_known()
    kept = " ".join(what_changes(bundle("0.2.0", notes=["Faces."]), "0.1.0-a", "0.1.0", known, 300))
    assert "from 0.1.0 to 0.2.0, signed by the tests' signer" in kept and "New: Faces." in kept
    assert "The record keeps its form. If 0.2.0 is not well within 5 minutes of a start, 3 times, 0.1.0 starts" in kept
    assert "the box restarts" in kept
    newer = {name: number + 1 for name, number in known.items()}
    changed = " ".join(what_changes(bundle("0.2.0", schema=newer), "0.1.0-a", "0.1.0", known, 300))
    assert "another form, which mb9k 0.1.0 cannot read" in changed and "set aside, not shown" in changed
    same = what_changes(bundle("0.2.0"), "0.2.0-a", "0.2.0", known, 300)
    assert same[:2] == ["The whole system, another build of 0.2.0, signed by the tests' signer.", "mb9k stays 0.2.0."]


def test_a_bundle_is_looked_at_before_anything_is_done(maker: Maker, good: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "releases" / "0.1.0-abc").mkdir(parents=True)
    (tmp_path / "releases" / "current").symlink_to("0.1.0-abc")
    (tmp_path / "build-id").write_text("0.1.0-0123456789abcdef\n")
    settings = [f'state_dir = "{tmp_path / "state"}"', "[update]", f'releases = "{tmp_path / "releases"}"']
    settings += [f'authority = "{maker.keys / AUTHORITY}"', "[slots]", 'loader = "grub"']
    (tmp_path / "mb9k.toml").write_text("\n".join(settings))
    config, machine = load(tmp_path / "mb9k.toml"), Machine(maker.conf, tmp_path / "build-id")
    prepared = prepare_system(config, good, machine)
    assert (prepared.before, prepared.after) == ("0.1.0", "0.2.0") and "mb9k: from 0.1.0 to 0.2.0." in prepared.lines
    with pytest.raises(UpdateError, match=r"no room for a copy of the record: \d+ MB more"):
        prepare_system(config, good, machine, copy_bytes=1 << 60)
    with pytest.raises(UpdateError, match="no second slot"):
        prepare_system(replace(config, slots=Slots()), good, machine)
    (tmp_path / "build-id").write_text("0.2.0-1a2b\n")
    with pytest.raises(UpdateError, match="runs already"):
        prepare_system(config, good, machine)
    missing = replace(config, update=replace(config.update, authority=str(tmp_path / "nobody.pem")))
    with pytest.raises(UpdateError, match=r"nobody\.pem is not there"):
        prepare_system(missing, good, machine)
