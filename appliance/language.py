"""What people read, in their language: gettext's catalogues, and numbers and dates as each language writes them.

The words in the code are English; `languages/` holds one catalogue for each other language, as translators write them
(.po), read when the language is first asked for. Which language is spoken is a matter of the request (`speaking`), and
elsewhere of the process (`speak`); a command line, a log and the JSON API speak English.

    _("No stream is called {name}.", name=name)      n_("{n} person", "{n} persons", count)

Plural rules, numbers and dates are Unicode's (CLDR), by way of Babel.
"""

from __future__ import annotations

import gettext
import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

from babel import dates, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "de": "Deutsch", "es": "Español", "fr": "Français"}
"""What is spoken, and what each language calls itself: those whose catalogue is whole (tests/test_language.py)."""
CATALOGUES = Path(__file__).parent / "languages"
NO_BREAK = "\u00a0"
NARROW_SPACE = "\u202f"  # between thousands in English, by ISO 80000: neither a comma nor a point
MOST_WISHES = 20
SIZE_UNITS = ("kB", "MB", "GB", "TB")
"""Each a thousand of the one before."""
_WISH = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=\s*([01](?:\.\d{0,3})?)\s*)?", re.ASCII)

_spoken: ContextVar[str | None] = ContextVar("spoken", default=None)
_of_process = ENGLISH
_loading = threading.Lock()


def spoken() -> str:
    """The language that is spoken here and now: a key of LANGUAGES."""
    return _spoken.get() or _of_process


def speak(language: str) -> None:
    """What this process speaks wherever nobody asks for another language. Raises KeyError."""
    global _of_process
    LANGUAGES[language]
    _of_process = language


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak this language for a while, in this thread. Raises KeyError."""
    LANGUAGES[language]
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def wished(accept_language: str) -> str | None:
    """Of LANGUAGES the one that a browser would like best (RFC 9110, 12.5.4); None: it names none of them."""
    best, best_weight = None, 0.0
    for wish in accept_language.split(",")[:MOST_WISHES]:
        match = _WISH.fullmatch(wish)
        if match is None:
            continue
        language, weight = match[1].lower(), float(match[2] or 1)
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best


def _(text: str, /, **values: object) -> str:
    """The sentence in the language spoken. values: what stands in its braces, as `str.format` writes it."""
    told = _catalogue(spoken()).gettext(text) if text else ""
    return told.format(**values) if values else told


def n_(one: str, many: str, n: int, /, **values: object) -> str:
    """The sentence for n things; `{n}` in it is written as the language writes numbers."""
    return _catalogue(spoken()).ngettext(one, many, n).format(n=number(n), **values)


def p_(context: str, text: str, /, **values: object) -> str:
    """A sentence that means different things in different places; context: which one, for translators."""
    told = _catalogue(spoken()).pgettext(context, text)
    return told.format(**values) if values else told


def N_(text: str, /) -> str:
    """Marks a constant for the catalogues; `_(CONSTANT)` says it."""
    return text


def P_(context: str, text: str, /) -> str:  # noqa: ARG001
    """Marks a constant with what it means there; `p_(context, CONSTANT)` says it."""
    return text


def NN_(one: str, many: str, /) -> tuple[str, str]:
    """Marks a constant that is told by number; `n_(*CONSTANT, n)` says it."""
    return one, many


def _catalogue(language: str) -> gettext.NullTranslations:
    found = _catalogues.get(language)
    if found is None:
        with _loading:  # several pages may ask for it at once
            found = _catalogues.get(language) or _catalogues.setdefault(language, _read(CATALOGUES / f"{language}.po"))
    return found


_catalogues: dict[str, gettext.NullTranslations] = {ENGLISH: gettext.NullTranslations()}


def _read(path: Path) -> gettext.GNUTranslations:
    """A translator's catalogue as gettext takes it."""
    compiled = io.BytesIO()
    with path.open("rb") as source:
        catalogue = read_po(source, path.stem)
    ids = [message.id for message in catalogue if message.id and not message.context]
    _marked[path.stem] = tuple(each if isinstance(each, str) else (each[0], each[1]) for each in ids)
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


_marked: dict[str, tuple[str | tuple[str, str], ...]] = {}


def sentences(language: str) -> tuple[str | tuple[str, str], ...]:
    """What is marked and translated into a language; (one, many) of what is told by number."""
    _catalogue(language)
    return _marked.get(language, ())


def labelled(name: str, text: str) -> str:
    """`Mask: 12`, with the space that a language sets before the colon."""
    return _("{name}: {text}", name=name, text=text)


def number(count: int) -> str:
    """12 345, as the language groups thousands."""
    language = spoken()
    if language == ENGLISH or -1000 < count < 1000:
        return f"{count:,}".replace(",", NARROW_SPACE)
    return _grouped(count, language)


@lru_cache(1000)
def _grouped(count: int, language: str) -> str:
    return str(numbers.format_decimal(count, locale=language))


def decimal(value: float, places: int = 1) -> str:
    """3.5, with just so many places, as the language writes its decimal sign."""
    language, written = spoken(), f"{value:,.{places}f}"
    if language == ENGLISH:
        return written.replace(",", NARROW_SPACE)
    return str(numbers.format_decimal(value, "#,##0." + "0" * places if places else "#,##0", locale=language))


def percent(ratio: float) -> str:
    """A ratio as a person reads it: 82 %. All our languages set a space before the sign."""
    return with_unit(f"{100 * ratio:.0f}", "%")


def with_unit(figure: str, unit: str) -> str:
    """82 %, which no line breaks apart; in English a plain space, as it stands in what is recorded and retold."""
    return f"{figure}{' ' if spoken() == ENGLISH else NO_BREAK}{unit}"


def size_words(size_bytes: float) -> str:
    """An amount of memory, disk or data, in a unit that fits it: 307 kB, 4.8 MB, 32 MB, 6.0 GB, 128 GB."""
    value, unit = size_bytes / 1000, "kB"
    for larger in SIZE_UNITS[1:]:
        if round(value) >= 1000:
            value, unit = value / 1000, larger
    if unit == SIZE_UNITS[0] or round(value, 1) >= 10:
        return with_unit(number(max(round(value), 1 if size_bytes > 0 else 0)), unit)
    return with_unit(decimal(value), unit)


def weekday(day: date) -> str:
    """Monday."""
    return _date("EEEE", day)


def weekday_short(day: date) -> str:
    """Mon."""
    return _date("ccc", day)


def weekday_of(index: int) -> str:
    """Monday for 0."""
    return weekday(date(2024, 1, 1 + index))


def weekday_short_of(index: int) -> str:
    """Mon for 0."""
    return weekday_short(date(2024, 1, 1 + index))


def month_of_year(day: date) -> str:
    """November 2026."""
    return _by_skeleton("yMMMM", _plain(day), spoken())


def long_date(day: date) -> str:
    """23 November 2026."""
    return _date("d MMMM y" if spoken() == ENGLISH else "long", day)


def full_date(day: date) -> str:
    """Monday, 23 November 2026."""
    return _date("EEEE, d MMMM y" if spoken() == ENGLISH else "full", day)


def day_and_month(day: date) -> str:
    """23 November."""
    return _of_skeleton("MMMMd", f"{day.day} {day:%B}", day)


def days_words(first: date, last: date) -> str:
    """Days from one to another: 23 November to 29 November 2026, the first with its year where that is another."""
    begin = day_and_month(first) if first.year == last.year else long_date(first)
    return p_("days", "{first} to {last}", first=begin, last=long_date(last))


def short_day_and_month(day: date) -> str:
    """23 Nov."""
    return _of_skeleton("MMMd", f"{day.day} {day:%b}", day)


def short_month_of_year(day: date) -> str:
    """Nov 2026."""
    return _of_skeleton("yMMM", f"{day:%b %Y}", day)


def short_day_of_year(day: date) -> str:
    """23 Nov 2026."""
    return _of_skeleton("yMMMd", f"{day.day} {day:%b %Y}", day)


def short_weekday_and_day(day: date) -> str:
    """Mon 23 Nov."""
    return _of_skeleton("MMMEd", f"{day:%a} {day.day} {day:%b}", day)


def short_date(day: date) -> str:
    """Mon 23 Nov 2026."""
    return _of_skeleton("yMMMEd", f"{day:%a} {day.day} {day:%b %Y}", day)


def _date(form: str, day: date) -> str:
    return _by_form(form, _plain(day), spoken())


def _of_skeleton(skeleton: str, english: str, day: date) -> str:
    """A date with these parts, as the language orders them; in English as the pages always have."""
    language = spoken()
    return english if language == ENGLISH else _by_skeleton(skeleton, _plain(day), language)


def _plain(day: date) -> date:
    """Without the time of day: a chart asks hundreds of times for a few days."""
    return day.date() if isinstance(day, datetime) else day


@lru_cache(4000)
def _by_form(form: str, day: date, language: str) -> str:
    return str(dates.format_date(day, form, language))


@lru_cache(4000)
def _by_skeleton(skeleton: str, day: date, language: str) -> str:
    return str(dates.format_skeleton(skeleton, day, locale=language))


def clock(at: datetime) -> str:
    """17:05: the day has 24 hours in every language of ours, as in the tables and charts."""
    return f"{at:%H:%M}"
