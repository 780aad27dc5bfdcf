"""The error that is for the person, not for us."""


class UserError(Exception):
    """Something the person at the keyboard can mend: the message is one line that names the next step."""
