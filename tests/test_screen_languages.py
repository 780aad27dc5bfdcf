"""What stands on a box's own screen in the box's language: every sentence, whole, in letters that a console draws."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import InputError
from appliance.faces import Counts
from appliance.first_boot import starting, wifi
from appliance.language import CATALOGUES, ENGLISH, LANGUAGES, NO_BREAK, _, speaking
from appliance.notes import Hotspot, Notes
from appliance.retold import retold
from appliance.screen import drawing
from appliance.screen.looking import DISK_FULL
from appliance.screen.seen import Seen
from appliance.service import SERVICES
from tests.test_screen import CLAIMED, NEW

SIZES = [(80, 25), (160, 45)]
OTHERS = [each for each in LANGUAGES if each != ENGLISH]
HOTSPOT = Hotspot("mb9k-4xk2", "abcd-efgh-jkmn", "10.42.0.1")
NO_NETWORK = "There is no network: plug in a cable, or see docs/first-boot.md for Wi-Fi."
OWN_WIFI = "There is no network. The box's own Wi-Fi is {ssid}, its password {password}; the page is there at {address}"
WRONG_FILE = "mb9k-wifi.txt, line 2: it must begin with ssid=, password= or country=."
DRAWN_OTHERWISE = "←→\u00d7"
"""The kernel's own font has the arrows, though IBM's code page has not, and draws the sign of multiplication as x."""


def boxes() -> Iterator[tuple[Seen, list[str]]]:
    """Boxes, with what is said of each in the language spoken."""
    wrong = tuple(_(each) for each in (DISK_FULL, *(service.without_it for service in SERVICES)) if each)
    claiming = [
        _("and make it yours with this claim code:"),
        _("Your browser warns of the certificate. Go on if its SHA-256 is this one, and only then:"),
    ]
    yield NEW, [_(drawing.OPEN_BY_CODE), *claiming]
    yield replace(NEW, problems=wrong[1:]), [_(drawing.OPEN_BY_CODE), *claiming, *wrong[1:]]
    yield replace(NEW, addresses=()), [_(drawing.OPEN), *claiming, _(NO_NETWORK)]
    file = retold(WRONG_FILE)
    there = replace(NEW, hotspot=HOTSPOT, addresses=(), wifi=file)
    password = _("password {password}", password=HOTSPOT.password)
    yield there, [_(drawing.JOIN_BY_CODE), password, _("then open"), *claiming, file]
    where = {"ssid": HOTSPOT.ssid, "password": HOTSPOT.password, "address": "https://10.42.0.1"}
    yield replace(there, claim_code=""), [_("This box is set up. Its page:"), _(OWN_WIFI, **where), file]
    yield Seen("mb9k", starts=True), [_("The box is starting. This takes a minute."), _(NO_NETWORK)]
    yield replace(CLAIMED, problems=wrong), [_("This box is set up. Its page:"), *wrong]
    heads = [_(each) for each in ("Today", "Mask", "Worn incorrectly", "No mask", "Unknown")]
    yield replace(CLAIMED, counts=Counts(5)), [*heads, _("No stream is LIVE.")]
    yield replace(CLAIMED, counts=Counts(5), live=("a:Straße",), problems=wrong), [*heads, "LIVE a:Straße", *wrong]


def words(*lines: str) -> str:
    """What is read there, without pictures, as one line."""
    return " ".join(re.sub("[▀▄█]", " ", " ".join(lines)).split())


@pytest.mark.parametrize(("columns", "rows"), SIZES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_all_is_said_in_the_language_of_the_box_and_nothing_is_cut(language: str, columns: int, rows: int) -> None:
    with speaking(ENGLISH):
        english = [drawing.screen(seen, columns, rows) for seen, _wanted in boxes()]
    with speaking(language):
        for (seen, wanted), in_english in zip(boxes(), english, strict=True):
            lines, serial = drawing.screen(seen, columns, rows), drawing.serial(replace(seen, counts=None))
            for sentence in wanted:
                assert words(drawing.printable(sentence)) in words(*lines), lines
            assert not set("\u00a0\u202f") & set("".join([*lines, *serial])), "no font has these for certain"
            same = {words(line) for line in lines} & {words(line) for line in in_english}
            sentences = [line for line in same if re.search(r"[^\W\d_]{2,} [^\W\d_]{2,}", line)]
            assert language == ENGLISH or sentences == []


def test_where_lines_are_few_the_empty_ones_go_first() -> None:
    there = replace(NEW, problems=tuple(service.without_it for service in SERVICES if service.without_it))
    large, small = ([line[:40].strip() for line in drawing.screen(there, *size)] for size in ((160, 45), (80, 25)))
    assert "" in large[:20] and "" not in small and len(small) <= 25


def test_names_passwords_and_files_stay_on_a_line() -> None:
    for columns in range(60, 100):
        text = "\n".join(drawing.screen(replace(CLAIMED, hotspot=HOTSPOT, addresses=()), columns, 25))
        assert "abcd-efgh-jkmn" in text
        assert "docs/first-boot.md" in "\n".join(drawing.screen(replace(CLAIMED, addresses=()), columns, 25))


@pytest.mark.parametrize("language", OTHERS)
def test_the_kernel_s_own_font_has_every_letter_of_a_language(language: str) -> None:
    """Where there is no console-setup it is what draws: IBM's code page 437, other capitals without their accents."""
    letters = "".join(sorted(set((CATALOGUES / f"{language}.po").read_text()) - {"\n"}))
    drawn = drawing.printable(letters).replace(NO_BREAK, " ")
    assert drawn.count("?") == 1, "the question mark itself"
    lacking = [each for each in drawn if not in_code_page(each) and each not in DRAWN_OTHERWISE]
    assert lacking == []


def in_code_page(letter: str) -> bool:
    capital = unicodedata.normalize("NFD", letter)[0] if letter.isupper() else letter
    return any(each.encode("cp437", "ignore") for each in (letter, capital))


def test_what_the_console_lacks_is_written_plainly() -> None:
    text = "Zürich – „Straße“ à l’œuvre… 12\u202f345 ¿Señal? ŒUVRE"  # noqa: RUF001
    assert drawing.printable(text) == 'Zürich - "Straße" à l\'oeuvre... 12\u00a0345 ¿Señal? OEUVRE'


@pytest.mark.parametrize(
    "content",
    [
        b"ssid=Hall 5\npassword=three long words\n",
        b"",
        b"ssid=Hall\n",
        b"ssid=Hall\nsecretpassword\n",
        b"ssid=Hall\nssid=Yard\npassword=\n",
        b"ssid=Hall\npassword=secret\n",
        b"ssid=Hall\npassword=secretpassword\ncountry=Germany\n",
        b"ssid=\npassword=three long words\n",
        b"ssid=caf\xe9\n",
        b"#" * 5000,
    ],
)
def test_what_became_of_the_wifi_file_is_told_in_the_language_of_the_box(content: bytes, tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hostname").write_text("entrance\n")  # named already: the machine of the tests keeps its name
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / wifi.FILE).write_bytes(content)
    starting.start(tmp_path / "card", tmp_path / "etc", notes, lambda _words: "")
    noted = notes.wifi()
    for language in OTHERS:
        with speaking(language):
            told = retold(noted)
            try:
                wifi.parse(content)
            except InputError as error:
                assert told == f"{error} {_('It stays on the card: correct it, and restart the box.')}"
            else:
                assert "Hall 5" in told and told[:12] != noted[:12]
