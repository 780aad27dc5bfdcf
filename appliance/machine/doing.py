"""What is done for each request: the deed that is meant, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from appliance.config import Config
from appliance.language import _
from appliance.machine import joining, naming, reset, ssh, updates
from appliance.machine.programs import later
from appliance.machine.requests import (
    Done,
    FactoryReset,
    JoinWifi,
    Name,
    Request,
    Restart,
    ShutDown,
    Ssh,
    TimeZone,
    Update,
)

Say: TypeAlias = Callable[[str], None]
Afterwards: TypeAlias = Callable[[], None]
"""What is done when the answer is out: it ends the page that asked, or the machine."""
Outcome: TypeAlias = tuple[Done, Afterwards | None]


def do(config: Config, request: Request, say: Say) -> Outcome:
    """Do it. say: takes sentences on how far it is. Raises InputError, UserError."""
    match request:
        case Restart():
            return Done(_("The machine restarts now.")), lambda: later("systemctl", "reboot")
        case ShutDown():
            return Done(_("The machine shuts down now.")), lambda: later("systemctl", "poweroff")
        case Name():
            name = naming.set_host_name(request.host)
            words = _(
                "The machine is called {name} in the network; its page is back by that name in a few seconds.",
                name=name,
            )
            return Done(words), lambda: later("systemctl", "try-restart", naming.SITE)
        case TimeZone():
            return Done(_("The time zone is {zone} now.", zone=naming.set_zone(request.zone))), None
        case Ssh():
            return Done(ssh.set_access(config, request)), None
        case FactoryReset():
            words, wipe = reset.begin(config, request)
            return Done(words), wipe
        case JoinWifi():
            return joining.begin(request)
        case Update():
            return Done(updates.begin(config, request.file, say)), None
