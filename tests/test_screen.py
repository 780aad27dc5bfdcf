"""What stands on a box's own screen: text, QR codes, digits, for consoles of any size."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from appliance.faces import Counts
from appliance.notes import Hotspot
from appliance.screen import blocks, drawing
from appliance.screen.seen import Seen
from tests.screens import scanned

SHA_256 = ":".join(f"{byte:02X}" for byte in range(100, 132))
NEW = Seen("mb9k-4xk2", ("192.168.178.123", "10.0.0.7"), fingerprint=SHA_256, claim_code="ABCD-EFGH")
CLAIMED = replace(NEW, claim_code="")
SIZES = [(80, 25), (80, 24), (100, 30), (120, 33), (128, 48), (160, 45), (240, 67), (320, 90)]
TINY = [(40, 12), (1, 1), (20, 50), (300, 3)]
IPV6 = "2001:db8:85a3:8d3:1319:8a2e:370:7348"


@pytest.mark.parametrize(("columns", "rows"), SIZES)
@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.178.123", IPV6])
def test_a_phone_reads_where_to_claim_the_box_in_the_code_on_its_screen(columns: int, rows: int, address: str) -> None:
    lines = drawing.screen(replace(NEW, addresses=(address,)), columns, rows)
    host = f"[{address}]" if ":" in address else address
    assert scanned(lines, columns) == f"https://{host}/claim#ABCD-EFGH"


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_all_that_a_person_needs_to_claim_it_stands_there_in_words_too(columns: int, rows: int) -> None:
    text = "\n".join(drawing.screen(NEW, columns, rows))
    assert "https://192.168.178.123\n" in text.replace(" ", "") or "https://192.168.178.123" in text
    assert "https://mb9k-4xk2.local" in text
    pairs = SHA_256.split(":")
    assert all(":".join(pairs[at : at + 8]) in text for at in range(0, 32, 8))
    if rows < 32:
        assert "ABCD-EFGH" in text


def test_the_code_stands_behind_what_a_browser_sends() -> None:
    sent, _, kept = NEW.claim_address().partition("#")
    assert kept == "ABCD-EFGH" and "ABCD" not in sent


@pytest.mark.parametrize(("columns", "rows"), SIZES + TINY)
@pytest.mark.parametrize(
    "seen",
    [
        NEW,
        replace(NEW, addresses=()),
        replace(NEW, is_ready=False),
        Seen("mb9k", starts=True),
        CLAIMED,
        replace(CLAIMED, counts=Counts(1, 22, 333, 44444), live=tuple(f"ann:stream {n}" for n in range(40))),
        replace(CLAIMED, counts=Counts()),
        replace(NEW, hotspot=Hotspot("mb9k-4xk2", "abcd-efgh-jkmn", "10.42.0.1"), addresses=()),
        replace(CLAIMED, hotspot=Hotspot("mb9k-4xk2", "abcd-efgh-jkmn", "10.42.0.1"), addresses=()),
        replace(NEW, problems=("It is full. " * 20,) * 9, wifi="x" * 500),
    ],
)
def test_it_fits_whatever_there_is_to_say(seen: Seen, columns: int, rows: int) -> None:
    lines = drawing.screen(seen, columns, rows)
    assert len(lines) <= rows and all(len(line) <= columns for line in lines)


def test_where_no_code_fits_none_is_spoken_of() -> None:
    text = " ".join(" ".join(drawing.screen(NEW, 60, 30)).split())
    assert "scan" not in text and "ABCD-EFGH" in text and scanned(drawing.screen(NEW, 60, 30), 60) == ""


def test_a_phone_joins_the_hotspot_by_the_code_and_the_rest_stands_beside_it() -> None:
    seen = replace(NEW, addresses=(), hotspot=Hotspot("mb9k-4xk2", "abcd-efgh-jkmn", "10.42.0.1"))
    lines = drawing.screen(seen, 80, 25)
    assert scanned(lines, 80) == "WIFI:T:WPA;S:mb9k-4xk2;P:abcd-efgh-jkmn;;"
    text = "\n".join(lines)
    assert "password abcd-efgh-jkmn" in text and "https://10.42.0.1" in text and "ABCD-EFGH" in text


def test_a_claimed_box_shows_where_its_page_is_and_no_code() -> None:
    text = "\n".join(drawing.screen(CLAIMED, 80, 25))
    assert "https://mb9k-4xk2.local" in text and "claim" not in text and SHA_256[:8] not in text


def test_counts_are_shown_in_large_digits_only_where_they_are_switched_on() -> None:
    seen = replace(CLAIMED, counts=Counts(mask=12, no_mask=3, incorrect=0, unknown=7), live=("ann:door", "ben:yard"))
    for columns, rows in SIZES:
        lines = drawing.screen(seen, columns, rows)
        large = blocks.lines(blocks.large("12"))
        assert len(large) == 4
        if (columns, rows) == (80, 25):
            assert all(f"  {part}" in line for part, line in zip(large, lines[4:8], strict=True))
        text = "\n".join(lines)
        assert all(title in text for title in ("Mask", "Worn incorrectly", "No mask", "Unknown"))
        assert "LIVE  ann:door,  ben:yard" in text
    assert "LIVE" not in "\n".join(drawing.screen(CLAIMED, 80, 25))


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_large_numbers_that_stand_side_by_side_are_not_read_as_one(columns: int, rows: int) -> None:
    lines = drawing.screen(replace(CLAIMED, counts=Counts(88, 88, 88, 88)), columns, rows)
    drawn = [line.ljust(columns) for line in lines if set(line) & set("▀▄█")]
    assert drawn
    blank = "".join(" " if {line[at] for line in drawn} == {" "} else "x" for at in range(columns))
    gaps = sorted(map(len, re.findall(" +", blank.strip())))
    assert gaps[-3] >= 3 * gaps[0], blank


def test_the_name_of_a_stream_stays_on_a_line() -> None:
    live = tuple(f"ann:back door {number}" for number in range(12))
    text = "\n".join(drawing.screen(replace(CLAIMED, counts=Counts(), live=live), 80, 25))
    assert all(title in text for title in live) and "\u00a0" not in text


def test_what_is_wrong_stands_there_in_each_case() -> None:
    wrong = "The watcher is not running, so nothing is being judged."
    for seen in (NEW, CLAIMED, replace(CLAIMED, counts=Counts())):
        text = "".join(drawing.screen(replace(seen, problems=(wrong,)), 80, 25))
        assert "! The watcher is not running" in text
    assert "There is no network" in "".join(drawing.screen(replace(CLAIMED, addresses=()), 80, 25))


def test_a_name_that_somebody_chose_moves_no_cursor() -> None:
    seen = replace(CLAIMED, counts=Counts(), live=("ann:\x1b[2Jdoor\x9b\r\n\u202e門",))
    text = "".join(drawing.screen(seen, 80, 25))
    assert "ann:?[2Jdoor????" in text and text.isprintable()


def test_a_serial_console_has_the_same_words_without_pictures_and_without_counts() -> None:
    text = "\n".join(drawing.serial(NEW))
    assert "ABCD-EFGH" in text and SHA_256[:47] in text and "https://192.168.178.123" in text
    assert not set(text) & set("▀▄█")
    counted = replace(CLAIMED, counts=Counts(5), live=("ann:door",))
    assert drawing.serial(counted) == drawing.serial(CLAIMED), "else it would be written all day"


def test_the_letters_of_every_claim_code_can_be_drawn() -> None:
    from appliance.secrets import KEY_ALPHABET

    for letter in f"{KEY_ALPHABET}0123456789-":
        drawn = blocks.large(letter)
        assert len(drawn) == 7 and {len(row) for row in drawn} == {5} and any(map(any, drawn))
    assert len({str(blocks.large(letter)) for letter in KEY_ALPHABET}) == len(KEY_ALPHABET)
