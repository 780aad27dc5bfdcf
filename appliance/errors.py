"""The errors that are for the person, not for us: each message names the next step."""

from __future__ import annotations


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
