"""Which centre this box belongs to: looked at every few seconds, since people join and leave while it runs."""

from __future__ import annotations

import logging
import threading

from appliance import membership
from appliance.config import Config
from appliance.errors import UserError
from appliance.language import N_
from appliance.membership import Membership
from appliance.rules import fleet

log = logging.getLogger(__name__)

LOOK_S = 3.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 600.0


class Belonging:
    """For one thread. there: the membership; None: the box belongs to no centre. problem: why not, in words."""

    def __init__(self, config: Config, wake: threading.Event) -> None:
        self.there: Membership | None = None
        self.problem: str | None = None
        self._config = config
        self._wake = wake
        self._look_due_s = self._join_due_s = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._joining: threading.Thread | None = None
        self._refusal: str | None = None
        self._was_member = False

    def step(self, now_s: float) -> None:
        """Look, if it is time; join by mb9k.toml, if that says so."""
        if now_s < self._look_due_s:
            return
        self._look_due_s = now_s + LOOK_S
        try:
            self.there, self.problem = membership.load(self._config.state), None
        except UserError as error:
            self.there, self.problem = None, str(error)
            return
        self._was_member = self._was_member or self.there is not None
        if self._was_member or not self._config.fleet.join_code:  # who leaves stays away until the next start
            return
        self.problem = self._refusal
        if now_s >= self._join_due_s and not (self._joining and self._joining.is_alive()):
            self._join_due_s, self._pause_s = now_s + self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._joining = threading.Thread(target=self._join, name="joining", daemon=True)
            self._joining.start()

    def _join(self) -> None:
        """In a thread of its own: the centre may take its time."""
        try:
            fleet.join_if_configured(self._config)
        except UserError as error:
            if str(error) != self._refusal:
                log.error("this box could not join by the code in its configuration: %s", error)
            self._refusal = str(error)
        except Exception:
            log.exception("joining by the code in the configuration failed")
            self._refusal = N_("Joining by the code in mb9k.toml failed; the log says why.")
        self._wake.set()
