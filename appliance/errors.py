"""The errors that are for the person, not for us: each message names the next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the person at the keyboard can mend: the message is one line that names the next step."""


class InputError(UserError):
    """What a person typed or asked for cannot be done, so nothing was changed. The message is a sentence.

    fields: the field of a form that it is about, by name; of several the first that the form has.
    """

    fields: tuple[str, ...] = ()

    def __init__(self, message: str = "", *fields: str) -> None:
        super().__init__(message)
        self.fields = fields or self.fields


class NameTaken(InputError):
    """Somebody, or something else, already has this name."""

    fields = ("name", "title")


class NotAllowed(InputError):
    """This person's role does not allow it."""


class NotFound(InputError):
    """It does not exist, or no longer."""


class NotSaved(UserError):
    """The store or the disk did not do what was asked."""


@contextmanager
def about(*fields: str) -> Iterator[None]:
    """Whatever cannot be done within is about this field of a form; also a decorator. Who says it first is right."""
    try:
        yield
    except InputError as error:
        error.fields = error.fields or fields
        raise
