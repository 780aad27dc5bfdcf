"""What sends, and what it says when it could not."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence

from appliance.alerts.log import Event
from appliance.alerts.recipients import Recipient
from appliance.errors import UserError


class Undelivered(UserError):
    """A message was not delivered; says why in one line that names the next step.

    is_final: it will not be, so to send it again is of no use.
    """

    def __init__(self, words: str, is_final: bool = False) -> None:
        super().__init__(words)
        self.is_final = is_final


class SendsMany(abc.ABC):
    """A way by which people are told: many messages at once become one, so that a broken switch fills no mailbox."""

    @abc.abstractmethod
    def __call__(self, recipient: Recipient, event: Event) -> None:
        """Deliver one message. Raises Undelivered."""

    @abc.abstractmethod
    def many(self, recipient: Recipient, events: Sequence[Event]) -> None:
        """Deliver all of these as one message. Raises Undelivered."""


Send = Callable[[Recipient, Event], None]
"""Delivers one message, or raises Undelivered; within a minute either way."""
