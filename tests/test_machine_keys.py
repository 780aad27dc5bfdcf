"""Public keys of ssh: those that ssh-keygen makes are taken and known by its fingerprints, and nothing else is."""

from __future__ import annotations

import base64
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import InputError
from appliance.machine.keys import key

KINDS = [("ed25519", ""), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("rsa", "2048"), ("rsa", "4096")]
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ann@example"
"""Nobody has its private key any more."""


def keygen(*words: str) -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("there is no ssh-keygen (apt install openssh-client)")
    return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout


def packed(*parts: bytes) -> str:
    return base64.b64encode(b"".join(struct.pack(">I", len(part)) + part for part in parts)).decode()


@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_a_key_of_ssh_keygen_is_known_by_its_fingerprint(tmp_path: Path, kind: str, bits: str) -> None:
    path = tmp_path / "id"
    keygen("-q", "-t", kind, *(["-b", bits] if bits else []), "-N", "", "-C", "ann@laptop", "-f", str(path))
    public = path.with_suffix(".pub")
    made = key(public.read_text())
    assert made.line == public.read_text().strip() and made.comment == "ann@laptop"
    assert made.fingerprint == keygen("-l", "-f", str(public)).split()[1]
    with pytest.raises(InputError, match="private key"):
        key(path.read_text())


def test_keys_of_security_tokens_are_taken(tmp_path: Path) -> None:
    point = b"\x04" + bytes(64)
    for kind, parts in (
        ("sk-ssh-ed25519@openssh.com", [bytes(32)]),
        ("sk-ecdsa-sha2-nistp256@openssh.com", [b"nistp256", point]),
    ):
        line = f"{kind} {packed(kind.encode(), *parts, b'ssh:')} token"
        assert key(line).kind == kind
        if kind.startswith("sk-ssh"):
            (tmp_path / "id.pub").write_text(line)
            assert key(line).fingerprint in keygen("-l", "-f", str(tmp_path / "id.pub"))
        with pytest.raises(InputError, match="not whole"):
            key(f"{kind} {packed(kind.encode(), *parts)} token")


def test_a_weak_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "id"
    keygen("-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", str(path))
    with pytest.raises(InputError, match="1024 bits is too weak"):
        key(path.with_suffix(".pub").read_text())
    with pytest.raises(InputError, match="DSA"):
        key(f"ssh-dss {packed(b'ssh-dss', b'p')}")


ED = ED25519.split()[1]
HUGE = (1 << 17000).to_bytes(2126, "big")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 ====",
        f"ssh-ed25519 {ED[:-8]}",
        f"ssh-ed25519 {ED}AAAA",
        f"ssh-rsa {ED}",
        f'command="reboot" ssh-ed25519 {ED}',
        f"no-pty ssh-ed25519 {ED}",
        f"ssh-ed25519 {ED}\nssh-ed25519 {ED}",
        f"ssh-ed25519 {ED} a\x00b",
        f"ssh-ed25519\u00a0{ED}",
        f"ssh-ed25519-cert-v01@openssh.com {ED}",
        f"ssh-ed25519 {packed(b'ssh-ed25519', bytes(31))}",
        f"ssh-ed25519 {packed(b'ssh-ed25519', bytes(32), b'more')}",
        f"ssh-rsa {packed(b'ssh-rsa', b'', bytes([1]) * 300)}",
        f"ssh-rsa {packed(b'ssh-rsa', bytes([3]), bytes([255]) * 300)}",
        f"ssh-rsa {packed(b'ssh-rsa', bytes([3]), HUGE)}",
        f"ecdsa-sha2-nistp256 {packed(b'ecdsa-sha2-nistp256', b'nistp384', bytes(65))}",
        f"ecdsa-sha2-nistp256 {packed(b'ecdsa-sha2-nistp256', b'nistp256', bytes(65))}",
        "x" * 4000,
    ],
)
def test_what_is_no_public_key_is_refused_in_a_line(line: str) -> None:
    with pytest.raises(InputError) as refused:
        key(line)
    assert "\n" not in str(refused.value)


def test_a_comment_cannot_be_taken_for_anything_else() -> None:
    made = key(f"ssh-ed25519 {ED} ann's <laptop>; $(x) `y` # \"" + "long" * 50)
    assert made.comment.startswith("anns laptop  x y") and len(made.comment) <= 100
    assert key(made.line) == made


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    line=st.text(max_size=200) | st.binary(max_size=120).map(lambda data: f"ssh-rsa {base64.b64encode(data).decode()}")
)
def test_whatever_is_pasted_is_a_key_or_refused(line: str) -> None:
    try:
        made = key(line)
    except InputError:
        return
    assert key(made.line) == made and "\n" not in made.line
