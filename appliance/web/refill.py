"""A page of ours with one of its forms filled in as it was sent before. Pure, for the markup of our own views."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser

from appliance.language import _
from appliance.web.unsent import Unsent, nothing_changed

VERSION_FIELDS = frozenset({"seen"})
"""Hidden fields that say which version a person looked at: they come back as sent, so that nobody's change is lost."""
_FORM = re.compile(r'<form\b[^>]*\bmethod="post"[^>]*>.*?</form>', re.DOTALL)
_LEFT_ALONE = ("password", "file", "submit", "button")


def refilled(page: str, unsent: Unsent, action: str) -> str | None:
    """The page with this form filled in and a notice above it; None if it has no such form.

    action: where the form leads, as it stands in the page. Of several that lead there it is one whose hidden fields are
    those that were sent (they say what is done, and to what), and of these the one that takes most of what was typed.
    """
    best: tuple[re.Match[str], _Filled] | None = None
    for match in _FORM.finditer(page):
        form = _Filled(unsent.fields)
        form.feed(match[0])
        form.close()
        if form.action == action and form.agrees and (best is None or form.placed > best[1].placed):
            best = match, form
    if best is None:
        return None
    match, form = best
    return f"{page[: match.start()]}{_notice(unsent, form.not_placed)}{form.markup}{page[match.end() :]}"


def _notice(unsent: Unsent, not_placed: Sequence[tuple[str, str]]) -> str:
    said = nothing_changed(unsent)
    if not_placed:
        left = "; ".join(f"{name}: <strong>{escape(value)}</strong>" for name, value in not_placed)
        said += " " + _("It has no place any more for {fields}.", fields=left)
    return f'<p class="notice" id="unsent" role="status">{said}</p>\n'


class _Filled(HTMLParser):
    """Reads the markup of one form and writes it again with these values.

    agrees: its hidden fields are those that were sent. placed: how many values found their place.
    """

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        super().__init__(convert_charrefs=False)
        self.action = ""
        self.agrees = True
        self.placed = 0
        self._left: dict[str, list[str]] = {}
        for name, value in fields:
            self._left.setdefault(name, []).append(value)
        self._written: list[str] = []
        self._choice: tuple[str, str] | None = None  # name and value, inside a select
        self._is_replaced = False  # inside a textarea that has its text

    @property
    def markup(self) -> str:
        """The form, filled in."""
        return "".join(self._written)

    @property
    def not_placed(self) -> list[tuple[str, str]]:
        """What was typed and has no place in it."""
        return [(name, value) for name, values in self._left.items() for value in values if value]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write a tag, with what was sent if it is a field."""
        known = {name: value or "" for name, value in attrs}
        name, raw = known.get("name", ""), self.get_starttag_text() or ""
        if tag == "form":
            self.action = known.get("action", "").partition("?")[0]
        elif tag == "details":
            raw = _tag(tag, attrs, "open", "")  # nothing comes back unseen
        elif tag == "input":
            raw = self._input(raw, attrs, known)
        elif tag == "select" and self._left.get(name):
            self._choice = name, self._left[name][0]
        elif tag == "option" and self._choice:
            is_chosen = known.get("value") == self._choice[1]
            raw = _tag(tag, attrs, "selected", "" if is_chosen else None)
            if is_chosen:
                self._take(*self._choice)
        elif tag == "textarea" and self._left.get(name):
            raw += f"\n{escape(self._take(name, self._left[name][0]))}"
            self._is_replaced = True
        elif tag == "button" and known.get("value", "") in self._left.get(name, ()):
            self._take(name, known.get("value", ""))
        self._written.append(raw)

    def _input(self, raw: str, attrs: list[tuple[str, str | None]], known: dict[str, str]) -> str:
        name, kind, value = known.get("name", ""), known.get("type", "text"), known.get("value", "")
        sent = self._left.get(name, [])
        if not name or name == "csrf" or kind in _LEFT_ALONE:
            return raw
        if kind in ("checkbox", "radio"):
            is_checked = (value or "on") in sent
            if is_checked:
                self._take(name, value or "on")
            return _tag("input", attrs, "checked", "" if is_checked else None)
        if kind == "hidden" and name not in VERSION_FIELDS:
            if value in sent:
                self._take(name, value)
            else:
                self.agrees = False
            return raw
        return _tag("input", attrs, "value", self._take(name, sent[0])) if sent else raw

    def _take(self, name: str, value: str) -> str:
        self._left[name].remove(value)
        self.placed += 1
        return value

    def handle_endtag(self, tag: str) -> None:
        """Write it."""
        if tag == "select":
            self._choice = None
        if tag == "textarea":
            self._is_replaced = False
        self._written.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        """Write a text, but the one that stood where another stands now."""
        if not self._is_replaced:
            self._written.append(data)

    def handle_entityref(self, name: str) -> None:
        """Write it as it was."""
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        """Write it as it was."""
        self.handle_data(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        """Write it as it was."""
        self.handle_data(f"<!--{data}-->")


def _tag(tag: str, attrs: list[tuple[str, str | None]], name: str, value: str | None) -> str:
    """The tag with this attribute; None: without it."""
    others = [(each, said) for each, said in attrs if each != name]
    written = [*others, (name, value)] if value is not None else others
    return f"<{tag}{''.join(f' {each}' if said is None else _attribute(each, said) for each, said in written)}>"


def _attribute(name: str, value: str) -> str:
    return f' {name}="{escape(value)}"'
