"""The page's side: asks root for something, and hears how it went."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import msgspec
from msgspec.structs import replace

from appliance.config import Config
from appliance.errors import InputError, UserError
from appliance.language import N_, _
from appliance.machine.requests import MAX_LINE_BYTES, Answer, Done, Refused, Request, Said, answer_in, as_line
from appliance.outside import system_words
from appliance.retold import retold
from appliance.sections import Verb

CONNECT_S = 5.0
PATIENCE_S = 60.0
BY_HAND = N_(
    "This box was set up by hand, so its page can do nothing that only root may do; see docs/settings.md for what to"
    " type instead."
)


def ask(
    config: Config,
    request: Request,
    heard: Callable[[str], None] | None = None,
    patience_s: float = PATIENCE_S,
) -> Done:
    """Have root do it; what was done. heard: is told how far it is. patience_s: between two of root's lines.

    Raises InputError: root refuses what was asked; UserError: it cannot be asked, or it did not work.
    """
    for answer in answers(config, request, patience_s):
        if isinstance(answer, Done):
            return answer
        if isinstance(answer, Refused):
            raise (InputError if answer.because == "input" else UserError)(answer.words)
        if heard:
            heard(answer.words)
    raise UserError(_("The machine room ended without an answer; `journalctl -u 'mb9k-machine@*'` says why."))


def can(config: Config, verb: Verb) -> bool:
    """Whether the page may have root do this."""
    return bool(config.machine.socket) and verb in config.machine.may


def answers(config: Config, request: Request, patience_s: float = PATIENCE_S) -> Iterator[Answer]:
    """What root answers, line by line; whoever stops listening does not stop root. Raises UserError."""
    if not config.machine.socket:
        raise InputError(_(BY_HAND))
    try:
        with socket.socket(socket.AF_UNIX) as room:
            room.settimeout(CONNECT_S)
            room.connect(config.machine.socket)
            room.sendall(as_line(request))
            room.settimeout(patience_s)
            with room.makefile("rb") as lines:
                while line := lines.readline(MAX_LINE_BYTES):
                    yield _retold(answer_in(line))
    except TimeoutError as error:
        raise UserError(
            _("The machine room at {socket} does not answer; restart the machine.", socket=config.machine.socket)
        ) from error
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise UserError(
            _(
                "The machine room at {socket} cannot be asked ({reason}); run the playbook again, or"
                " see `systemctl status mb9k-machine.socket`.",
                socket=config.machine.socket,
                reason=system_words(error),
            )
        ) from error


def _retold(answer: Answer) -> Answer:
    """Root speaks English; who asked reads their own language."""
    return replace(answer, words=retold(answer.words))


__all__ = ["Answer", "Done", "Refused", "Said", "answers", "ask"]
