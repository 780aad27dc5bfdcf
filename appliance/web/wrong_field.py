"""A page of ours that says which field of its form is wrong, to eyes, ears and the keyboard. Pure, for our own markup.

The field gets the focus when the page is shown, by `autofocus`, so that no script is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PROBLEM_ID = "problem"  # of the sentence that says what is wrong: _problem.html
_FORM = re.compile(r'<form\b[^>]*\bmethod="post"[^>]*>.*?</form>', re.DOTALL)
_FIELD = re.compile(r'<(?:input|select|textarea)\b(?:[^>"]|"[^"]*")*>')
_AUTOFOCUS = re.compile(r"""(<[a-z](?:[^>"]|"[^"]*")*?)\s+autofocus(?=[\s>])""")


def pointed(page: str, action: str, names: Sequence[str]) -> str:
    """The page with the first of these fields marked that a form has which leads to `action`; else as it is."""
    for form in _FORM.finditer(page):
        if f'action="{action}"' not in form[0]:
            continue
        for name in names:
            for field in _FIELD.finditer(form[0]):
                if f' name="{name}"' in field[0] and 'type="hidden"' not in field[0]:
                    start, end = form.start() + field.start(), form.start() + field.end()
                    return _calm(_opened(page[:start])) + _marked(field[0]) + _calm(page[end:])
    return page


def _opened(before: str) -> str:
    """What stands before a field, with the <details> open in which it is: nothing wrong is out of sight."""
    at = before.rfind("<details")
    if at <= before.rfind("</details>") or before.startswith("<details open", at):
        return before
    return f"{before[:at]}<details open{before[at + len('<details') :]}"


def _calm(markup: str) -> str:
    """Without a field that takes the focus: a page has one."""
    return _AUTOFOCUS.sub(r"\1", markup)


def _marked(tag: str) -> str:
    tag = _calm(tag)
    described = re.search(r' aria-describedby="([^"]*)"', tag)
    if described:
        tag = tag.replace(described[0], "")
    by = f"{PROBLEM_ID} {described[1]}" if described else PROBLEM_ID
    return f'{tag[:-1]} aria-invalid="true" aria-describedby="{by}" autofocus>'
