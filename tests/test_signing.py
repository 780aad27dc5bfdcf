"""Who may sign an update, and how signing keys are made."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.certificates import Authority, CertificateError, new_key, sign, verify_signed
from scripts.signing_keys import AUTHORITY, AUTHORITY_KEY, SIGNER, SIGNER_KEY, main
from tests.conftest import REPOSITORY

NOW_S = 1_790_000_000.0
CONTENT = b"a manifest"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.make("updates", NOW_S)[0]


def refusal(signature: bytes, certificate: str, authorities: str, now_s: float = NOW_S) -> str:
    with pytest.raises(CertificateError) as caught:
        verify_signed(CONTENT, signature, certificate, authorities, now_s)
    return str(caught.value)


def test_a_signer_is_known_by_any_of_the_authorities(authority: Authority) -> None:
    key = new_key()
    signer = authority.sign_signer(key, "ann", NOW_S).pem
    signature = sign(key, CONTENT)
    assert signature == sign(key, CONTENT)
    other = Authority.make("others", NOW_S)[0].certificate
    both = other + authority.certificate
    assert verify_signed(CONTENT, signature, signer, both, NOW_S).name == "ann"
    assert verify_signed(CONTENT, signature, signer, both, now_s=0.0).name == "ann", "a board without a clock"
    assert "not known to this box" in refusal(signature, signer, other)
    assert "no certificate" in refusal(signature, signer, "")
    assert "no certificate" in refusal(signature, "", both)
    assert "ended on" in refusal(signature, signer, both, NOW_S + 2000 * 86_400)
    assert "changed after it was signed" in refusal(sign(new_key(), CONTENT), signer, both)
    assert "changed after it was signed" in refusal(b"", signer, both)


def test_who_may_do_something_else_may_not_sign(authority: Authority) -> None:
    key = new_key()
    signature = sign(key, CONTENT)
    for certificate in (
        authority.sign_client(key, "a box", NOW_S).pem,
        authority.sign_server(key, ["a.example"], NOW_S).pem,
    ):
        assert "may not sign programs" in refusal(signature, certificate, authority.certificate)


def test_a_signer_vouches_for_nobody(authority: Authority) -> None:
    key, other_key = new_key(), new_key()
    signer = authority.sign_signer(key, "ann", NOW_S).pem
    forged = Authority(signer, key).sign_signer(other_key, "eve", NOW_S).pem
    assert "not known to this box" in refusal(sign(other_key, CONTENT), forged, authority.certificate)
    assert "not known to this box" in refusal(sign(other_key, CONTENT), forged, signer)


def test_the_authority_signs_no_bundle_itself() -> None:
    authority, key = Authority.make("updates", NOW_S)
    assert "may not sign" in refusal(sign(key, CONTENT), authority.certificate, authority.certificate)


def test_keys_are_made_outside_the_repository_and_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    done = CliRunner().invoke(main, [str(folder), "--name", "ann"])
    assert done.exit_code == 0, done.output
    assert {path.name for path in folder.iterdir()} == {AUTHORITY, AUTHORITY_KEY, SIGNER, SIGNER_KEY}
    assert all((folder / name).stat().st_mode & 0o077 == 0 for name in (AUTHORITY_KEY, SIGNER_KEY))
    signature = sign((folder / SIGNER_KEY).read_bytes(), CONTENT)
    authorities = (folder / AUTHORITY).read_text()
    assert verify_signed(CONTENT, signature, (folder / SIGNER).read_text(), authorities, NOW_S).name == "ann"
    again = CliRunner().invoke(main, [str(folder)])
    assert again.exit_code == 1 and "is there already" in again.output
    inside = CliRunner().invoke(main, [str(REPOSITORY / "keys")])
    assert inside.exit_code == 1 and not (REPOSITORY / "keys").exists()
    (folder / SIGNER).rename(tmp_path / SIGNER)
    (folder / SIGNER_KEY).rename(tmp_path / SIGNER_KEY)
    assert CliRunner().invoke(main, [str(folder), "--signer"]).exit_code == 0
    signature = sign((folder / SIGNER_KEY).read_bytes(), CONTENT)
    assert verify_signed(CONTENT, signature, (folder / SIGNER).read_text(), authorities, NOW_S).name == "mb9k updates"
