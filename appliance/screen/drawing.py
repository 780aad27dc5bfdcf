"""A box as lines of text, for a console of whatever size. Pure functions."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

from segno import helpers

from appliance.names import without_joiners
from appliance.screen import blocks
from appliance.screen.seen import Seen

MARGIN = 2
GAP = 3  # columns between the text and a QR code
LEAST_COLUMNS = 30  # of text beside a QR code; narrower, and the code is left out
SERIAL_COLUMNS = 78
MAX_ADDRESSES = 3
APART = 3  # pixels between two numbers; between two digits is one
NO_BREAK = "\u00a0"
FINGERPRINT_PAIRS = 8  # on a line
STATES = (("mask", "Mask"), ("incorrect", "Worn incorrectly"), ("no_mask", "No mask"), ("unknown", "Unknown"))


def screen(seen: Seen, columns: int, rows: int) -> list[str]:
    """What stands on the screen: at most `rows` lines of at most `columns` characters."""
    if seen.counts is not None and not seen.claim_code:
        return _fitting(_with_counts(seen, columns, rows), columns, rows)
    code = _code(seen, columns, rows)
    if not code:
        return _fitting(_text(seen, columns - MARGIN, rows, False), columns, rows)
    text_columns = columns - len(code[0]) - GAP
    text = _text(seen, text_columns - MARGIN, rows, True)
    return _fitting(_beside(text, code, text_columns), columns, rows)


def serial(seen: Seen) -> list[str]:
    """The same for a serial console, which scrolls: without pictures, and without what changes all day."""
    return ["", *_text(seen, SERIAL_COLUMNS, 0, False), ""]


def printable(text: str) -> str:
    """A text that moves no cursor and takes one column a character: somebody else may have chosen it."""
    plain = without_joiners(unicodedata.normalize("NFC", text))
    return "".join(letter if letter.isprintable() and _is_narrow(letter) else "?" for letter in plain)


def _is_narrow(letter: str) -> bool:
    return not unicodedata.combining(letter) and unicodedata.east_asian_width(letter) not in "WF"


def _fitting(lines: Iterable[str], columns: int, rows: int) -> list[str]:
    return [line[:columns].rstrip() for line in lines][:rows]


def _code(seen: Seen, columns: int, rows: int) -> list[str]:
    """The QR code, as large as fits beside the text; empty: there is none, or no room for it."""
    hotspot = seen.hotspot
    if hotspot and seen.claim_code:
        wanted = str(helpers.make_wifi_data(ssid=hotspot.ssid, password=hotspot.password, security="WPA"))
    else:
        wanted = seen.claim_address()
    if not wanted or not seen.is_ready:
        return []
    pixels = blocks.qr(wanted)
    for scale in (3, 2, 1):
        width, height = len(pixels[0]) * scale, (len(pixels) * scale + 1) // 2
        if height <= rows and columns - width - GAP - MARGIN >= max(LEAST_COLUMNS, width if scale > 1 else 0):
            return blocks.lines(blocks.scaled(pixels, scale))
    return []


def _beside(text: Sequence[str], picture: Sequence[str], text_columns: int) -> list[str]:
    height = max(len(text), len(picture))
    left = [*text, *[""] * (height - len(text))]
    right = [*picture, *[""] * (height - len(picture))]
    return [f"{line[:text_columns]:<{text_columns}}{' ' * GAP}{part}" for line, part in zip(left, right, strict=True)]


def _text(seen: Seen, columns: int, rows: int, has_code: bool) -> list[str]:
    """What people read, top to bottom. rows: how many there are; 0: a serial console, where nothing is drawn large."""
    paragraphs = [[_title(seen)]]
    if seen.starts or (seen.claim_code and not seen.is_ready):
        paragraphs.append(_wrapped("The box is starting. This takes a minute.", columns))
    elif seen.claim_code:
        paragraphs += _claiming(seen, columns, rows, has_code)
    else:
        paragraphs.append([*_wrapped("This box is set up. Its page:", columns), *_places(seen)])
    paragraphs.append(_troubles(seen, columns))
    return _joined(paragraphs)


def _joined(paragraphs: Iterable[Sequence[str]]) -> list[str]:
    lines: list[str] = []
    for paragraph in paragraphs:
        if paragraph:
            lines += [*([""] if lines else []), *(f"{' ' * MARGIN}{line}" for line in paragraph)]
    return lines


def _title(seen: Seen) -> str:
    return f"mb9k   {printable(seen.host)}"


def _claiming(seen: Seen, columns: int, rows: int, has_code: bool) -> list[list[str]]:
    scan = "scan the code with a phone, or " if has_code else ""
    if there := seen.hotspot:
        words = f"This box belongs to nobody yet, and has no network. To join its own Wi-Fi, {scan}use"
        first = [*_wrapped(words, columns), f"  {printable(there.ssid)}", f"  password {printable(there.password)}"]
        first += [*_wrapped("then open", columns), f"  {seen.page(there.address)}"]
    else:
        words = f"This box belongs to nobody yet. In the same network, {scan}open"
        first = [*_wrapped(words, columns), *_places(seen)]
    words = "and make it yours with this claim code:"
    found = [first, [*_wrapped(words, columns), *_large(seen.claim_code, columns, rows)]]
    if seen.fingerprint:
        words = "Your browser warns of the certificate. Go on if its SHA-256 is this one, and only then:"
        found.append([*_wrapped(words, columns), *_fingerprint(seen.fingerprint, columns)])
    return found


def _large(code: str, columns: int, rows: int) -> list[str]:
    """The claim code, in large letters where there is plenty of room."""
    if rows >= 32:
        for scale in (3, 2, 1):
            drawn = blocks.lines(blocks.scaled(blocks.large(code), scale))
            if len(drawn) <= rows // 5 and len(drawn[0]) + 2 * MARGIN <= columns:
                return ["", *(f"  {line}" for line in drawn)]
    return [f"  {code}"]


def _fingerprint(fingerprint: str, columns: int) -> list[str]:
    pairs = fingerprint.split(":")
    per_line = 2 * FINGERPRINT_PAIRS if columns >= 6 * FINGERPRINT_PAIRS + 1 else FINGERPRINT_PAIRS
    return [f"  {':'.join(pairs[at : at + per_line])}" for at in range(0, len(pairs), per_line)]


def _places(seen: Seen) -> list[str]:
    """Where the page is, a line each."""
    shown = (*seen.addresses[:MAX_ADDRESSES], f"{seen.host}.local")
    return [f"  {seen.page(printable(host))}" for host in shown]


def _troubles(seen: Seen, columns: int) -> list[str]:
    """What is wrong, and what to do."""
    found = list(seen.problems)
    if not seen.addresses and not seen.hotspot:
        found.append("There is no network: plug in a cable, or see docs/first-boot.md for Wi-Fi.")
    if seen.wifi:
        found.append(seen.wifi)
    if seen.hotspot and not seen.claim_code:
        there = seen.hotspot
        found.append(
            f"There is no network. The box's own Wi-Fi is {there.ssid}, its password {there.password};"
            f" the page is there at {seen.page(there.address)}"
        )
    return [line for text in found for line in _wrapped(f"! {printable(text)}", columns, "  ")]


def _with_counts(seen: Seen, columns: int, rows: int) -> list[str]:
    """Today by state, in digits as large as fit, and who is LIVE."""
    assert seen.counts is not None
    values = [str(getattr(seen.counts, name)) for name, _ in STATES]
    titles = [title for _, title in STATES]
    tail = [*_lives(seen, columns - 2 * MARGIN), "", *_troubles(seen, columns - 2 * MARGIN)]
    each = max((columns - 2 * MARGIN) // len(STATES), 1)
    room = rows - 6 - len(tail)
    drawn = [[value] for value in values]
    for scale in (8, 6, 5, 4, 3, 2, 1):
        large = [blocks.lines(blocks.scaled(blocks.large(value), scale)) for value in values]
        if len(large[0]) <= room and max(len(number[0]) for number in large) + APART * scale <= each:
            drawn = large
            break
    title = f"{_title(seen)}   {'  '.join(seen.pages()[:1])}"
    numbers = ["".join(f"{part:<{each}}" for part in parts) for parts in zip(*drawn, strict=True)]
    heads = "".join(f"{title[: each - 1]:<{each}}" for title in titles)
    return [f"{' ' * MARGIN}{line}" for line in (title, "", "Today", "", *numbers, heads, "", *tail)]


def _lives(seen: Seen, columns: int) -> list[str]:
    if not seen.live:
        return ["No stream is LIVE."]
    titles = (printable(title).replace(" ", NO_BREAK) for title in seen.live)
    return [line.replace(NO_BREAK, " ") for line in _wrapped(f"LIVE  {',  '.join(titles)}", columns, "      ")]


def _wrapped(text: str, columns: int, indent: str = "") -> list[str]:
    return textwrap.wrap(text, max(columns, 10), subsequent_indent=indent)
