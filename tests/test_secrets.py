"""Passwords, keys and tokens."""

from __future__ import annotations

import multiprocessing
import stat
import subprocess
import sys
from pathlib import Path

import argon2
import pytest

from appliance import secrets
from appliance.errors import InputError
from tests.conftest import REPOSITORY


def test_a_stream_key_is_long_random_and_easy_to_read_aloud() -> None:
    keys = {secrets.new_stream_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(len(key) == 20 and not set(key) & set("01OIL") for key in keys)


def test_the_right_password_matches_and_the_wrong_one_does_not() -> None:
    password_hash = secrets.hash_password("correct horse")
    assert secrets.password_matches("correct horse", password_hash)
    assert not secrets.password_matches("correct horsf", password_hash)
    assert not secrets.password_matches("", password_hash)


def test_nobody_has_no_password() -> None:
    assert not secrets.password_matches("anything", None)


def test_services_that_check_no_password_do_without_argon2() -> None:
    """64 MiB and a tenth of a second at each start of gate, watch and ingest would be for nothing."""
    code = "import sys, appliance.secrets; sys.exit('argon2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_no_such_person_costs_as_much_as_a_wrong_password() -> None:
    nobody, somebody = secrets._nobodys_hash(), secrets.hash_password("correct horse")
    assert argon2.extract_parameters(nobody) == argon2.extract_parameters(somebody)
    with pytest.raises(argon2.exceptions.VerifyMismatchError):  # the hash was computed and compared
        argon2.PasswordHasher().verify(nobody, "anything")


def test_a_short_or_endless_password_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="at least 8"):
        secrets.hash_password("1234567")
    with pytest.raises(InputError, match="at most"):
        secrets.hash_password("x" * 2000)
    assert not secrets.password_matches("x" * 2000, secrets.hash_password("long enough"))


def test_services_that_set_no_password_do_without_the_word_lists() -> None:
    code = "import sys, appliance.cli, appliance.local.site; sys.exit('zxcvbn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


@pytest.mark.parametrize(
    ("password", "names"),
    [
        ("password", ()),
        ("P@ssw0rd123", ()),
        ("iloveyou", ()),
        ("qwertyuiop", ()),
        ("aaaaaaaaaaaa", ()),
        ("abcdefgh", ()),
        ("19841984", ()),
        ("password" * 20, ()),
        ("mb9kmb9k", ()),
        ("Mb9k!2026", ()),
        ("mb9k-box", ()),
        ("lobby-west", ("ann", "lobby-west")),
        ("Lobby-West1", ("ann", "lobby-west")),
        ("kimberley", ("Kimberley", "lobby")),
        ("KimberleyKimberley", ("kimberley", "lobby")),
        ("lobby2026ann", ("ann", "lobby")),
        ("Spring2026", ()),
        ("Winter2025!", ()),
        ("admin2026", ()),
        ("2026Welcome", ()),
    ],
)
def test_a_common_password_or_one_made_of_names_is_refused(password: str, names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="too easy to guess"):
        secrets.hash_password(password, *names)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse",
        "long enough",
        "Br0k3n-Tr4in",
        "seven tractors 2026",
        "größer als gedacht",
        "密码不是这个词语",
        "correct horse battery staple" * 30,
    ],
)
def test_a_good_password_is_taken_whoever_chooses_it(password: str) -> None:
    assert secrets.password_matches(password, secrets.hash_password(password, "ann", "lobby", "a", ""))


def test_any_two_texts_can_be_compared_also_what_is_no_unicode() -> None:
    assert secrets.equal_in_constant_time("\ud800", "\ud800")
    assert not secrets.equal_in_constant_time("\ud800", "x")


def test_the_secret_from_file_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    first = secrets.secret_from_file(path)
    assert secrets.secret_from_file(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_services_that_start_together_agree_on_the_secret(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(secrets.secret_from_file, [tmp_path / "token"] * 8))) == 1
