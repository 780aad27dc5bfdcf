"""The files of a membership: all of them, or none."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from appliance import certificates, files, membership
from appliance.certificates import Authority, CertificateError, Signed
from appliance.membership import FOLDER, Membership, MembershipError

AUTHORITY, _ = Authority.make("head office", time.time())


def signed(key: bytes, box: str = "door", now_s: float | None = None, days: float = 365) -> Signed:
    return AUTHORITY.sign_box(certificates.signing_request(key, box), box, now_s or time.time(), days)


def member(state: Path) -> Membership:
    key = certificates.new_key()
    there = Membership("door", "centre.example.org", 8883, 1000.5, state / FOLDER, "head office")
    membership.save(there, key, signed(key).pem, AUTHORITY.certificate)
    return there


def test_a_box_belongs_to_nobody_at_first(tmp_path: Path) -> None:
    assert membership.load(tmp_path) is None
    assert membership.leave(tmp_path) is False


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    there = member(tmp_path)
    assert membership.load(tmp_path) == there
    assert there.certificate().name == "door"
    assert there.tls().get_ca_certs()


def test_only_its_owner_reads_the_files(tmp_path: Path) -> None:
    there = member(tmp_path)
    assert stat.S_IMODE(there.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in there.folder.iterdir()} == {0o600}
    assert {path.name for path in there.folder.iterdir()} == {
        "key.pem", "certificate.pem", "authority.pem", "centre.json",
    }  # fmt: skip


def test_nothing_is_left_of_it_when_the_box_leaves(tmp_path: Path) -> None:
    member(tmp_path)
    assert membership.leave(tmp_path) is True
    assert list(tmp_path.iterdir()) == []


def test_a_second_membership_does_not_touch_the_first(tmp_path: Path) -> None:
    there, key = member(tmp_path), certificates.new_key()
    before = there.key_path.read_bytes()
    with pytest.raises(FileExistsError):
        membership.save(there, key, signed(key).pem, AUTHORITY.certificate)
    assert there.key_path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [there.folder]


@pytest.mark.parametrize("broken", ["another key", "no authority"])
def test_what_cannot_be_used_is_not_saved(tmp_path: Path, broken: str) -> None:
    key = certificates.new_key()
    there = Membership("door", "h", 1, 1.0, tmp_path / FOLDER)
    certificate = signed(certificates.new_key() if broken == "another key" else key).pem
    authority = "nothing" if broken == "no authority" else AUTHORITY.certificate
    with pytest.raises(CertificateError):
        membership.save(there, key, certificate, authority)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_leaves_no_half_membership(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.write_private

    def fails_at_the_last(path: Path, text: str) -> None:
        if path.name == "centre.json":
            raise OSError(28, "No space left on device")
        real(path, text)

    monkeypatch.setattr(files, "write_private", fails_at_the_last)
    with pytest.raises(OSError, match="No space left"):
        member(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["centre.json", "certificate.pem", "authority.pem", "key.pem"])
@pytest.mark.parametrize("damage", ["gone", "garbage"])
def test_a_damaged_membership_says_so_and_can_be_left(tmp_path: Path, name: str, damage: str) -> None:
    there = member(tmp_path)
    (there.folder / name).unlink() if damage == "gone" else (there.folder / name).write_bytes(b"\xff garbage")
    with pytest.raises(MembershipError, match="mb9k leave"):
        membership.load(tmp_path)
        there.tls()
    assert membership.leave(tmp_path)


def test_a_renewed_certificate_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    there = member(tmp_path)
    newer = AUTHORITY.sign_box(there.request(), "door", time.time() + 1000)
    there.renew(newer.pem, AUTHORITY.certificate)
    assert there.certificate() == newer.facts
    assert there.tls()
    assert len(list(there.folder.iterdir())) == 4


def test_a_renewal_that_is_not_for_this_box_changes_nothing(tmp_path: Path) -> None:
    there = member(tmp_path)
    before, key = there.certificate(), there.key_path.read_bytes()
    later_s = time.time() + 1000
    for certificate, authority in (
        (signed(key, "another", later_s).pem, AUTHORITY.certificate),
        (signed(certificates.new_key(), "door", later_s).pem, AUTHORITY.certificate),
        (signed(key, "door", days=10).pem, AUTHORITY.certificate),
        (signed(key, "door", later_s).pem, "garbage"),
        ("garbage", AUTHORITY.certificate),
    ):
        with pytest.raises(CertificateError):
            there.renew(certificate, authority)
    assert there.certificate() == before
