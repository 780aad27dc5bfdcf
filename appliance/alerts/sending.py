"""What sends, and what it says when it could not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from appliance.alerts.judge import What
from appliance.alerts.kinds import ALL
from appliance.alerts.log import Event, new_uid
from appliance.alerts.recipients import Recipient, Way
from appliance.errors import UserError

TEST_S = 10.0
"""How long somebody waits for a test at most: it holds a thread of the site."""


class Undelivered(UserError):
    """A message was not delivered; says why in one line that names the next step.

    is_final: it will not be, so to send it again is of no use.
    """

    def __init__(self, words: str, is_final: bool = False) -> None:
        super().__init__(words)
        self.is_final = is_final


Send = Callable[[Recipient, Event], None]
"""Delivers one message, or raises Undelivered; within a minute either way."""


def trial(name: str, now_utc: float) -> Event:
    """What is sent to try a recipient out. name: of the site."""
    words = "This is a test: messages of this kind arrive."
    return Event(new_uid(), new_uid(), What.TEST, now_utc, now_utc, None, "test", ALL, name, words, {})


def try_out(ways: Mapping[Way, Send], recipient: Recipient, event: Event) -> None:
    """Send one message now. Raises Undelivered, also if it takes longer than TEST_S."""
    raised: list[UserError] = []
    done = threading.Event()

    def send() -> None:
        try:
            ways[recipient.way](recipient, event)
        except UserError as error:
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=send, name="test of a recipient", daemon=True).start()
    if not done.wait(TEST_S):
        raise Undelivered(f"{recipient.name}: no answer within {TEST_S:.0f} s. See whether it comes after all.")
    if raised:
        raise raised[0]
