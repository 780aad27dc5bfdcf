"""A box as lines of text, for a console of whatever size, in the language spoken. Pure functions."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

from segno import helpers

from appliance.language import N_, NARROW_SPACE, NO_BREAK, _
from appliance.names import without_joiners
from appliance.screen import blocks
from appliance.screen.seen import Seen

MARGIN = 2
GAP = 3  # columns between the text and a QR code
LEAST_COLUMNS = 30  # of text beside a QR code; narrower, and the code is left out
SERIAL_COLUMNS = 78
MAX_ADDRESSES = 3
APART = 3  # pixels between two numbers; between two digits is one
FINGERPRINT_PAIRS = 8  # on a line
STATES = (
    ("mask", N_("Mask")),
    ("incorrect", N_("Worn incorrectly")),
    ("no_mask", N_("No mask")),
    ("unknown", N_("Unknown")),
)
# What our languages write with and the kernel's own font lacks: it would draw a block for each.
_PLAIN_SIGNS = str.maketrans(
    {
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\u2018": "'",
        "\u2019": "'",
        "\u2013": "-",
        "\u2014": "-",
        "…": "...",
        "œ": "oe",
        "Œ": "OE",
        NARROW_SPACE: NO_BREAK,
    }
)


# What follows each of these, on lines of its own, is part of its sentence; what is said by a code stands beside it.
# For translators: the next line is the name of the box's own Wi-Fi
JOIN = N_("This box belongs to nobody yet, and has no network. To join its own Wi-Fi, use")
# For translators: the next line is the name of the box's own Wi-Fi
JOIN_BY_CODE = N_(
    "This box belongs to nobody yet, and has no network. To join its own Wi-Fi, scan the code with a phone, or use"
)
# For translators: the next line is an address
OPEN = N_("This box belongs to nobody yet. In the same network, open")
# For translators: the next line is an address
OPEN_BY_CODE = N_("This box belongs to nobody yet. In the same network, scan the code with a phone, or open")


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
    return ["", *(line.replace(NO_BREAK, " ") for line in _text(seen, SERIAL_COLUMNS, 0, False)), ""]


def printable(text: str) -> str:
    """A text that moves no cursor and takes one column a character: somebody else may have chosen it.

    Spaces at which no line may end stay until the lines are made (`_fitting`).
    """
    plain = without_joiners(unicodedata.normalize("NFC", text)).translate(_PLAIN_SIGNS)
    return "".join(letter if letter == NO_BREAK or _is_drawn(letter) else "?" for letter in plain)


def _is_drawn(letter: str) -> bool:
    is_narrow = not unicodedata.combining(letter) and unicodedata.east_asian_width(letter) not in "WF"
    return letter.isprintable() and is_narrow


def _fitting(lines: Iterable[str], columns: int, rows: int) -> list[str]:
    return [line[:columns].replace(NO_BREAK, " ").rstrip() for line in lines][:rows]


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
        paragraphs.append(_wrapped(_("The box is starting. This takes a minute."), columns))
    elif seen.claim_code:
        paragraphs += _claiming(seen, columns, rows, has_code)
    else:
        paragraphs.append([*_wrapped(_("This box is set up. Its page:"), columns), *_places(seen)])
    paragraphs.append(_troubles(seen, columns))
    return _joined(paragraphs, rows)


def _joined(paragraphs: Iterable[Sequence[str]], rows: int) -> list[str]:
    """With an empty line between any two; where that is more than fits in the rows (0: any), without."""
    filled = [paragraph for paragraph in paragraphs if paragraph]
    is_tight = 0 < rows < sum(map(len, filled)) + len(filled) - 1
    lines: list[str] = []
    for paragraph in filled:
        lines += [*([""] if lines and not is_tight else []), *(f"{' ' * MARGIN}{line}" for line in paragraph)]
    return lines


def _title(seen: Seen) -> str:
    return f"mb9k   {printable(seen.host)}"


def _claiming(seen: Seen, columns: int, rows: int, has_code: bool) -> list[list[str]]:
    if there := seen.hotspot:
        first = [*_wrapped(_(JOIN_BY_CODE if has_code else JOIN), columns), f"  {printable(there.ssid)}"]
        first += _wrapped(_("password {password}", password=there.password), columns, "  ", "  ")
        first += [*_wrapped(_("then open"), columns), f"  {seen.page(there.address)}"]
    else:
        first = [*_wrapped(_(OPEN_BY_CODE if has_code else OPEN), columns), *_places(seen)]
    words = _("and make it yours with this claim code:")
    found = [first, [*_wrapped(words, columns), *_large(seen.claim_code, columns, rows)]]
    if seen.fingerprint:
        words = _("Your browser warns of the certificate. Go on if its SHA-256 is this one, and only then:")
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
        found.append(_("There is no network: plug in a cable, or see docs/first-boot.md for Wi-Fi."))
    if seen.wifi:
        found.append(seen.wifi)
    if seen.hotspot and not seen.claim_code:
        there = seen.hotspot
        found.append(
            _(
                "There is no network. The box's own Wi-Fi is {ssid}, its password {password};"
                " the page is there at {address}",
                ssid=there.ssid,
                password=there.password,
                address=seen.page(there.address),
            )
        )
    return [line for text in found for line in _wrapped(f"! {text}", columns, "  ")]


def _with_counts(seen: Seen, columns: int, rows: int) -> list[str]:
    """Today by state, in digits as large as fit, and who is LIVE."""
    assert seen.counts is not None
    values = [str(getattr(seen.counts, name)) for name, _title in STATES]
    titles = [printable(_(title)) for _name, title in STATES]
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
    return [f"{' ' * MARGIN}{line}" for line in (title, "", printable(_("Today")), "", *numbers, heads, "", *tail)]


def _lives(seen: Seen, columns: int) -> list[str]:
    if not seen.live:
        return _wrapped(_("No stream is LIVE."), columns)
    titles = (printable(title).replace(" ", NO_BREAK) for title in seen.live)
    return _wrapped(f"LIVE  {',  '.join(titles)}", columns, "      ")


def _wrapped(text: str, columns: int, indent: str = "", first_indent: str = "") -> list[str]:
    """Lines that end at spaces only: the hyphens are those of names, passwords and files."""
    return textwrap.wrap(
        printable(text),
        max(columns, 10),
        initial_indent=first_indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
