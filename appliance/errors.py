"""The errors that are for the person, not for us: each message names the next step."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

log = logging.getLogger(__name__)


class UserError(Exception):
    """Something the person at the keyboard can mend: the message is one line that names the next step."""


class InputError(UserError):
    """What a person typed or asked for cannot be done, so nothing was changed. The message is a sentence."""


class NameTaken(InputError):
    """Somebody, or something else, already has this name."""


class NotAllowed(InputError):
    """This person's role does not allow it."""


class NotFound(InputError):
    """It does not exist, or no longer."""


class NotSaved(UserError):
    """The store or the disk did not do what was asked."""


class _Store(Protocol):
    def writing(self) -> AbstractContextManager[None]: ...


@contextmanager
def saving(store: _Store, explain: Callable[[Exception], str] | None = None) -> Iterator[None]:
    """One transaction, all of it or nothing. Raises NotSaved where the store raises sqlite3.Error.

    explain: why, in words for a person; by default as for the box.
    """
    try:
        with store.writing():
            yield
    except sqlite3.Error as error:
        log.error("not saved: %s", error)
        raise NotSaved((explain or busy_store)(error)) from error


def busy_store(error: Exception) -> str:
    """Why the store did not do what was asked, and what to do."""
    text = str(error).lower()
    if "full" in text or "no space" in text or "disk i/o" in text:
        return (
            "The disk of the box is full or failing, so nothing was changed."
            " An admin can make room: delete old detections or streams, or keep images for fewer days."
        )
    if "readonly" in text or "permission" in text:
        return "The box may not write its own data, so nothing was changed. An admin can run `mb9k check` on it."
    if "locked" in text or "busy" in text:
        return "The box is busy writing, so nothing was changed. Wait a moment and send it again."
    return "The box cannot read its data. An admin can run `mb9k check` on it; it says what to do."
