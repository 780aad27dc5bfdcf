"""What is done for each request: the deed that is meant, or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from appliance.config import Config
from appliance.machine import joining, naming, reset, ssh
from appliance.machine.programs import later
from appliance.machine.requests import Done, FactoryReset, JoinWifi, Name, Request, Restart, ShutDown, Ssh, TimeZone

Say: TypeAlias = Callable[[str], None]
Afterwards: TypeAlias = Callable[[], None]
"""What is done when the answer is out: it ends the page that asked, or the machine."""
Outcome: TypeAlias = tuple[Done, Afterwards | None]


def do(config: Config, request: Request, _say: Say) -> Outcome:
    """Do it. say: takes sentences on how far it is. Raises InputError, UserError."""
    match request:
        case Restart():
            return Done("The machine restarts now."), lambda: later("systemctl", "reboot")
        case ShutDown():
            return Done("The machine shuts down now."), lambda: later("systemctl", "poweroff")
        case Name():
            name = naming.set_host_name(request.host)
            words = f"The machine is called {name} in the network; its page is back by that name in a few seconds."
            return Done(words), lambda: later("systemctl", "try-restart", naming.SITE)
        case TimeZone():
            return Done(f"The time zone is {naming.set_zone(request.zone)} now."), None
        case Ssh():
            return Done(ssh.set_access(config, request)), None
        case FactoryReset():
            words, wipe = reset.begin(config, request)
            return Done(words), wipe
        case JoinWifi():
            return joining.begin(request)
