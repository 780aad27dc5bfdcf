"""Joining a Wi-Fi that an admin named on the page, perhaps in the box's own hotspot, which ends with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from appliance.errors import UserError
from appliance.first_boot import wifi
from appliance.language import _
from appliance.machine.programs import ANSWER_S, run
from appliance.machine.requests import Done, JoinWifi
from appliance.notes import Notes
from appliance.outside import system_words

log = logging.getLogger(__name__)
ETC = Path("/etc")


def begin(request: JoinWifi, etc: Path = ETC, notes: Notes | None = None) -> tuple[Done, Callable[[], None]]:
    """Keep the connection; what joins it once the page has answered. Raises InputError, UserError: nothing is changed.

    etc: the folder /etc. notes: what the screen says if it cannot be joined.
    """
    found = wifi.checked(request.ssid, request.password, request.country)
    run("nmcli", "general", "status")  # a machine without NetworkManager has nobody to hand it to
    try:
        wifi.keep(found, etc)
    except OSError as error:
        raise UserError(_("The Wi-Fi could not be kept ({strerror}).", strerror=system_words(error))) from error
    path = etc / "NetworkManager" / "system-connections" / f"{wifi.NAME}.nmconnection"
    run("nmcli", "connection", "load", path)
    words = _(
        "The box joins the Wi-Fi {ssid} now. If you are in its hotspot, that ends: go to the same Wi-Fi and open"
        " the page by the box's name. If the hotspot is back after two minutes, it could not be joined.",
        ssid=found.ssid,
    )
    return Done(words), lambda: _join(found, notes or Notes())


def _join(found: wifi.Wifi, notes: Notes) -> None:
    time.sleep(ANSWER_S)  # who asked may be in the hotspot
    said = ""
    try:
        run("nmcli", "--wait", "90", "connection", "up", wifi.NAME)
    except UserError as error:
        log.error("%s", error)
        said = _("The Wi-Fi {ssid} could not be joined: is its password right, and is it near enough?", ssid=found.ssid)
    try:
        notes.say_wifi(said)
    except OSError as error:
        log.error("the screen cannot be told: %s", error)
