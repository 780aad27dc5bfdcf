"""What a service put on record in English, in the language of who reads it.

A service writes one English sentence for the record and the log, and marks it (`N_`); whoever shows it finds it again
among the marked sentences, with the values in it. What is not found stays as it was written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from appliance.language import ENGLISH, _, decimal, n_, number, p_, sentences, spoken

FEWEST_LETTERS = 6
"""A sentence with fewer of its own would be found in nearly every text."""
MOST_TOGETHER = 4
"""So many sentences are marked as one, at most, of what is on record."""
FEWEST_SEEN, LEAST_SEEN = 8, 0.5
"""Of a text that was cut, so many letters, and so much of a sentence, must be left to know it by."""
MOST_WAYS = 1000
"""Where values may end in more ways, nobody can tell where they do; a text of others could be made to take minutes."""
_NAME = re.compile(r"\{(\w+)\}")
_NEXT = re.compile(r"(?<=[.?]) (?=\S)")  # where a sentence may end and the next one begin: with the name of a host, too
_WHOLE = "[0-9][0-9\u202f]{0,20}"  # no longer, or it could not be made a number
_PATH = r"\S*/\S*"
_VALUES = {"n": _WHOLE, "count": "[0-9]+", "database": _PATH, "deed": "the [a-z ]+", "status": "[0-9]{3}"}
_FIGURES = ("n", "people", "free", "size")  # written as the language writes numbers; another may be a version
_FIGURE = re.compile(rf"({_WHOLE})(?:\.([0-9]{{1,9}}))?( [kMGT]B)?")
_DAYS = re.compile("([0-9]{1,9}) days?")
_VALUE = r"(?:(?![.?] [A-Z`]).)*?"  # no value goes beyond its sentence
_PLACES = ("path", "folder", "address", "host", "process", "version", "to")
_PLACE = r"(?:(?!: |[.?] ).)*?"  # what a sentence begins with: never the beginning of one that this is told in
_WHOLE_NUMBERS = dict.fromkeys(("n", "id", "first", "last"), "[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class _Template:
    """A sentence with values. many: its other form, where it is told by number. own: its text between the values."""

    one: str
    many: str
    pattern: str
    own: tuple[str, ...]
    surest: str  # the longest of these
    letters: int

    def told(self, text: str) -> str | None:
        """This text again, if it is this sentence."""
        if not 0 < _ways(text, self.own) <= MOST_WAYS:
            return None
        found = re.fullmatch(self.pattern, text, re.DOTALL)
        if found is None:
            return None
        values = {name: _value(name, value) for name, value in found.groupdict().items()}
        if not self.many:
            return _(self.one, **values)
        values.pop("n")
        n = int(found["n"].replace("\u202f", ""))
        try:
            return n_(self.one, self.many, n, **values)
        except KeyError:  # its other form has a value that this one has not
            return None

    def begun(self, piece: str) -> tuple[int, dict[str, str]] | None:
        """Whether a piece of text may be the beginning of this: how many of its own letters are in it, and the values.

        What was cut of them, or cut away, is ….
        """
        names = _NAME.findall(self.one)
        if self.many or not piece.startswith(self.own[0][: len(piece)]):
            return None
        for count in range(len(names), -1, -1):  # how many values were not cut away
            whole, last = self.own[:count], self.own[count]
            for length in range(min(len(last), len(piece)), -1 if count else 0, -1):
                own = (*whole, last[:length])
                letters = sum(map(str.isalpha, "".join(own)))
                if letters < max(FEWEST_SEEN, LEAST_SEEN * self.letters):
                    break
                values = _between(piece, own, names) if piece.endswith(own[-1]) else None
                if values is not None:
                    if not length:
                        values[names[count - 1]] += "…"
                    return letters, {**dict.fromkeys(names, "…"), **values}
        return None


def _ways(text: str, own: Sequence[str]) -> int:
    """In how many ways these parts may lie in a text, at most; it begins with the first and ends in the last."""
    return math.prod(text.count(part) if part else len(text) for part in own[1:-1])


def _between(text: str, own: Sequence[str], names: Sequence[str]) -> dict[str, str] | None:
    """What lies between these parts of a text, by name; None: it is another text."""
    if not 0 < _ways(text, own) <= MOST_WAYS:
        return None
    form = own[0] + "".join(f"{{{name}}}{part}" for name, part in zip(names, own[1:], strict=False))
    found = re.fullmatch(_pattern(form, _VALUES, _VALUE), text, re.DOTALL)
    return found.groupdict() if found else None


def _value(name: str, text: str) -> str:
    """What stands in a sentence, as the language spoken writes it."""
    figure, days = _FIGURE.fullmatch(text) if name in _FIGURES else None, _DAYS.fullmatch(text)
    if figure:
        whole = figure[1].replace("\u202f", "")
        told = decimal(float(f"{whole}.{figure[2]}"), len(figure[2])) if figure[2] else number(int(whole))
        return told + (figure[3] or "")
    return n_("{n} day", "{n} days", int(days[1])) if days else retold(text)


def retold(text: str | None) -> str:
    """A text of one or more sentences, those that are known in the language spoken; empty: there is none."""
    if not text or spoken() == ENGLISH:
        return text or ""
    return _retold(text, spoken())


def told_as(text: str, context: str, *marked: str | tuple[str, str]) -> str:
    """A text that is one of these, in the language spoken; any other as it was written. So for what is not a sentence.

    marked: by `P_` with this context, or by `NN_`. Values stay as they are: a person may have typed them. A text that
    could be read in two ways stays as it is, too. `{n}`, `{id}`, `{first}` and `{last}` are whole numbers.
    """
    if spoken() == ENGLISH:
        return text
    for each in marked:
        one, many = each if isinstance(each, tuple) else (each, "")
        for form in (one, many) if many else (one,):
            values = values_in(text, form)
            if values is None:
                continue
            return n_(one, many, int(values.pop("n")), **values) if many else p_(context, one, **values)
    return text


def values_in(text: str, form: str) -> dict[str, str] | None:
    """The values in a text that is of this form, by name; None: it is not, or nobody can tell where they end."""
    shortest, longest = _exact(form)
    found, other = shortest.fullmatch(text), longest.fullmatch(text)
    return found.groupdict() if found and other and found.groups() == other.groups() else None


@lru_cache(1000)
def _exact(form: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    shortest, longest = (re.compile(_pattern(form, _WHOLE_NUMBERS, each), re.DOTALL) for each in (".+?", ".+"))
    return shortest, longest


@lru_cache(1000)
def _retold(text: str, language: str) -> str:
    whole = _known(text, language)
    if whole is not None:
        return whole
    parts, told, start = _NEXT.split(text), list[str](), 0
    while start < len(parts):
        end, known = start + 1, None
        for end in range(min(len(parts), start + MOST_TOGETHER), start, -1):
            known = _known(" ".join(parts[start:end]), language)
            if known is not None:
                break
        told.append(parts[start] if known is None else known)
        start = end
    return " ".join(told)


def _known(text: str, language: str) -> str | None:
    """A text that is marked, or several with semicolons between; also where a small letter was made a capital."""
    told = _marked(text, language) or _begun(text, language)
    if told is None and text[:1].isupper():
        small = _marked(text[0].lower() + text[1:], language)
        return small and small[0].upper() + small[1:]
    return told


def _marked(text: str, language: str) -> str | None:
    for end in ("", "."):  # what was marked without its full stop, which follows where it is told
        bare = text.removesuffix(end) if end else text
        if bare and _(bare) != bare:
            return _(bare) + (end if bare != text else "")
    if "; " in text and (listed := _listed(text.split("; "), language)):
        return listed
    for end in ("", ".") if text.endswith(".") else ("",):
        bare = text.removesuffix(end)
        for each in _templates(language):
            if each.surest in bare and (told := each.told(bare)) is not None:  # of hundreds, nearly none has it
                return told + end
    return None


def _begun(text: str, language: str) -> str | None:
    """A text that was cut and ends in …: all of the sentence that it begins, if it is clear which."""
    end = next((end for end in ("…", "….") if text.endswith(end)), None)
    piece = text.removesuffix(end).rstrip() if end else ""
    if sum(map(str.isalpha, piece)) < FEWEST_SEEN:
        return None
    plain = [each for each in sentences(language) if isinstance(each, str) and each.startswith(piece)]
    plain = [each for each in plain if "{" not in each and len(piece) >= LEAST_SEEN * len(each)]
    found = [(sum(map(str.isalpha, piece)), each, dict[str, str]()) for each in plain]
    found += [(began[0], each.one, began[1]) for each in _templates(language) if (began := each.begun(piece))]
    most = max((letters for letters, _one, _values in found), default=0)
    (one, values), *others = [(one, values) for letters, one, values in found if letters == most] or [("", {})]
    if not one or others:
        return None
    told = _(one, **{name: _value(name, value) for name, value in values.items()})
    if end == "….":
        return told if told.endswith((".", "?")) else f"{told}."
    return told if told.endswith("…") else f"{told} …"


def _listed(parts: Sequence[str], language: str) -> str | None:
    told = []
    for part in parts:
        known = _known(part, language)
        if known is None:
            return None
        told.append(known)
    return "; ".join(told)


@lru_cache
def _templates(language: str) -> Sequence[_Template]:
    """Those of a language, the ones with the most text of their own first."""
    found = []
    for marked in sentences(language):
        one, many = marked if isinstance(marked, tuple) else (marked, "")
        forms = [each for each in (one, many) if _NAME.search(each) and "{" not in _NAME.sub("", each)]
        found += [_template(one, many, form) for form in forms if not many or "{n}" in form]
    return sorted((each for each in found if each.letters >= FEWEST_LETTERS), key=lambda each: -each.letters)


def _template(one: str, many: str, form: str) -> _Template:
    own = tuple(_NAME.split(form)[::2])
    letters = sum(map(str.isalpha, "".join(own)))
    return _Template(one, many, _pattern(form, _VALUES, _VALUE), own, max(own, key=len), letters)


def _pattern(form: str, values: Mapping[str, str], value: str) -> str:
    """What finds a sentence with its values. values: what some of them look like, by name; value: any other."""
    pattern, names = "", set[str]()
    for index, part in enumerate(_NAME.split(form)):
        if index % 2 == 0:
            pattern += re.escape(part)
        elif part in names:
            pattern += f"(?P={part})"
        else:
            names.add(part)
            is_first = index == 1 and not pattern and part in _PLACES
            pattern += f"(?P<{part}>{_PLACE if is_first else values.get(part, value)})"
    return pattern
