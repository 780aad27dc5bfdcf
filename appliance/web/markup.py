"""Sentences that hold markup: the sentence is ours and may, what is put into it is text and may not."""

from __future__ import annotations

from bottle import html_escape

from appliance.language import _, n_


class Markup(str):
    """Markup that was made by us, and is put into a sentence as it is."""

    __slots__ = ()


def m_(text: str, /, **values: object) -> Markup:
    """The sentence in the language spoken, as markup: "Send to <code>{address}</code>." """
    return Markup(_(text, **{name: _escaped(value) for name, value in values.items()}))


def mn_(one: str, many: str, n: int, /, **values: object) -> Markup:
    """The sentence for n things, as markup: "<strong>{n}</strong> person" """
    return Markup(n_(one, many, n, **{name: _escaped(value) for name, value in values.items()}))


def _escaped(value: object) -> object:
    return value if isinstance(value, Markup | int | float) else html_escape(str(value))
