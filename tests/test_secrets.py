"""Passwords, keys and tokens."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest

from appliance import secrets
from appliance.errors import InputError


def test_a_stream_key_is_long_random_and_easy_to_read_aloud() -> None:
    keys = {secrets.new_stream_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(len(key) == 20 and not set(key) & set("01OIL") for key in keys)


def test_the_right_password_matches_and_the_wrong_one_does_not() -> None:
    kept = secrets.hash_password("correct horse")
    assert secrets.password_matches("correct horse", kept)
    assert not secrets.password_matches("correct horsf", kept)
    assert not secrets.password_matches("", kept)


def test_nobody_has_no_password() -> None:
    assert not secrets.password_matches("anything", None)


def test_a_short_or_endless_password_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="at least 8"):
        secrets.hash_password("1234567")
    with pytest.raises(InputError, match="at most"):
        secrets.hash_password("x" * 2000)
    assert not secrets.password_matches("x" * 2000, secrets.hash_password("long enough"))


def test_the_kept_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    first = secrets.kept_secret(path)
    assert secrets.kept_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_services_that_start_together_agree_on_the_secret(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(secrets.kept_secret, [tmp_path / "token"] * 8))) == 1
