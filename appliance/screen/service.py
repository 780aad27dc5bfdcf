"""The loop of `screen`: looks at the box, and draws when something else is to be seen."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from appliance.config import Config
from appliance.language import speak, speaking
from appliance.notes import Notes
from appliance.screen import drawing
from appliance.screen.looking import Looker
from appliance.screen.seen import Seen
from appliance.screen.terminal import PLAIN_COLUMNS, PLAIN_ROWS, Console, Serial
from appliance.service import notify
from appliance.times import Now, now

log = logging.getLogger(__name__)

LOOK_S = 2.0


class Screen:
    """One console and any number of serial lines. For one thread."""

    def __init__(self, config: Config, tty: Path | None, serials: Sequence[Path], notes: Notes) -> None:
        self._looker = Looker(config, notes)
        self._console = Console(tty) if tty else None
        self._serials = [Serial(path) for path in serials]
        self._trouble = ""

    def step(self, moment: Now) -> Seen | None:
        """Look once, and show it where it is new; what was seen. None: nothing could be."""
        try:
            seen = self._looker.look(moment)
        except OSError as error:
            if str(error) != self._trouble:
                log.error("the box cannot be looked at, trying again: %s", error)
            self._trouble = str(error)
            return None
        self._trouble = ""
        if self._console and (size := self._console.size()):
            self._console.draw(drawing.screen(seen, *size), size, moment.uptime_s)
        if not seen.starts and (seen.is_ready or not seen.claim_code):  # each text stays there, so none is for a moment
            for serial in self._serials:
                serial.tell(drawing.serial(seen))
        return seen

    def run(self, stopping: threading.Event) -> None:
        """Work until `stopping` is set."""
        notify("READY=1")
        try:
            while True:
                self.step(now())
                notify("WATCHDOG=1")
                if stopping.wait(LOOK_S):
                    return
        finally:
            if self._console:
                self._console.close()
            self._looker.close()


def serve(config: Config, tty: Path | None, serials: Sequence[Path], notes: Notes) -> None:
    """Show the box on a console and on serial lines, in its language, until SIGTERM."""
    speak(config.language)
    Screen(config, tty, serials, notes).run(threading.Event())


def text(config: Config, notes: Notes, columns: int = PLAIN_COLUMNS, rows: int = PLAIN_ROWS) -> list[str]:
    """What stands on a screen of this size now, in the language in which it stands there. Raises OSError."""
    looker = Looker(config, notes)
    try:
        with speaking(config.language):
            return drawing.screen(looker.look(now()), columns, rows)
    finally:
        looker.close()
