"""What a name may hold: whatever people write, and nothing that could make one name look like another."""

# ruff: noqa: RUF001 - these letters are meant
from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.errors import InputError
from appliance.names import MAX_LENGTH, ZWJ, ZWNJ, clean_name, stream_name, without_joiners

WRITTEN = [
    "می\u200cخواهم",  # Persian: "I want"; without the joiner its two parts run together
    "خانه\u200cها",
    "क्\u200dष",  # Hindi: half a letter, then a whole one
    "ക്\u200cഷ",  # Malayalam
    "👩\u200d🚒",
    "👩🏽\u200d🚒",
    "🏳\ufe0f\u200d🌈",
    "❤\ufe0f\u200d🔥",
    "👨\u200d👩\u200d👧\u200d👦",
    "🧔🏿\u200d♂\ufe0f",
]
DECEIVING = [
    "do\u200cor",
    "do\u200dor",
    "\u200cمی",
    "می\u200c",
    "می\u200c\u200cخ",
    "می\u200c خ",
    "۱\u200c۲",
    "👩\u200cx",
    "→\u200d→",
    "👩\u200d",
    "a\u202eb",
    "a\u2066b",
    "a\u061cb",
    "a\u200eb",
    "می\u200fخ",
    "a\u2060b",
    "a\u00adb",
]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_joiner_is_a_letter_where_it_joins(name: str) -> None:
    assert stream_name(name) == name
    assert stream_name(f" {name}  2 ") == f"{name} 2"


@pytest.mark.parametrize("name", DECEIVING)
def test_what_nobody_sees_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="nothing invisible"):
        stream_name(name)


def test_several_spaces_are_one_and_a_joiner_that_changes_nothing_is_none() -> None:
    assert stream_name("front   door  ") == "front door"
    assert stream_name("کار\u200cخانه") == stream_name("کارخانه") == "کارخانه"


LETTERS = st.text([*"میخرا\u0653क\u094dष👩🚒🏽a ", ZWJ, ZWNJ], max_size=45)


@given(st.one_of(st.text(max_size=60), LETTERS))
@example(" \u200c ")
def test_a_name_is_cleaned_once_and_for_all_or_refused(text: str) -> None:
    try:
        name = clean_name(text, "it")
    except InputError as refused:
        assert refused.fields == ("name", "title")
        return
    assert clean_name(name, "it") == name == unicodedata.normalize("NFC", name)
    assert 0 < len(name) <= MAX_LENGTH and "  " not in name and name == name.strip()
    unseen = {letter for letter in name if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")}
    assert unseen <= {ZWJ, ZWNJ} and without_joiners(name).isprintable()
