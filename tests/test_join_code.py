"""The join code: what a person copies."""

from __future__ import annotations

import itertools

import pytest

from appliance.join_code import BadJoinCode, JoinCode, new_secret, parse

CODE = JoinCode("centre.example.org", 8101, bytes(range(32)), new_secret())


@pytest.mark.parametrize("host", ["a", "192.168.1.20", "fd00::20", "centre.example.org", "h" * 253])
def test_a_code_reads_back_as_itself(host: str) -> None:
    code = JoinCode(host, 8101, bytes(range(32)), new_secret())
    assert parse(code.text()) == code


def test_however_it_is_copied_it_is_the_same() -> None:
    text = CODE.text()
    for typed in (
        f"  {text}\n",
        text.upper(),
        text.replace("-", " "),
        text.replace("-", "\r\n  "),
        text.replace("-", ""),
    ):
        assert parse(typed) == CODE


def test_it_has_nothing_but_letters_digits_and_hyphens() -> None:
    assert CODE.text().replace("-", "").isalnum()
    assert CODE.text().startswith("mb9k1-")


def test_every_single_slip_is_seen() -> None:
    text = CODE.text()
    for place, letter in itertools.product(range(6, len(text)), "ak7"):
        if text[place] in (letter, "-"):
            continue
        with pytest.raises(BadJoinCode):
            parse(text[:place] + letter + text[place + 1 :])


def test_a_part_of_it_is_not_enough() -> None:
    for length in range(len(CODE.text()) - 1):
        with pytest.raises(BadJoinCode):
            parse(CODE.text()[:length])


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Paste the join code"),
        ("  \n", "Paste the join code"),
        ("hello", "no join code"),
        ("https://centre.example.org", "no join code"),
        ("mb9k2-abcdefgh", "newer centre"),
        ("mb9k1-", "mistyped or not whole"),
        ("mb9k1-!!!!", "mistyped or not whole"),
        ("mb9k1-äöü", "mistyped or not whole"),
        ("x" * 10_000_000, "no join code"),
        ("mb9k1" + "a" * 100_000, "mistyped or not whole"),
    ],
)
def test_what_is_none_is_refused_with_the_next_step(typed: str, words: str) -> None:
    with pytest.raises(BadJoinCode, match=words):
        parse(typed)
