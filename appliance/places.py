"""Places for connections: bounded for each network and in all, and never kept for good by whoever came first."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from typing import Protocol


class Guest(Protocol):
    """A connection that holds a place. network: see `network_of`. since_s: when its waiting began, monotonic."""

    @property
    def network(self) -> str: ...

    @property
    def since_s(self) -> float: ...

    @property
    def waits(self) -> bool:
        """Whether we wait for it (and not it for us), so that it may be ended for another."""

    def abort(self) -> None:
        """End it at once."""


def network_of(address: str) -> str:
    """What to count an address by: itself; for IPv6 its /64, of which one person has plenty of addresses."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:50]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return "::1" if parsed.is_loopback else str(ipaddress.ip_network((parsed, 64), strict=False))
        parsed = parsed.ipv4_mapped
    return str(parsed)


def make_room(guests: Sequence[Guest], network: str, places: int, places_per_network: int) -> bool:
    """Whether one more of this network may come, if need be for one that waits and is then ended.

    That is one of the network with the most guests, of these the one that has waited longest: so nobody can keep
    others out by coming first, and a crowd from one network costs that network only.
    """
    own = [guest for guest in guests if guest.network == network]
    if len(own) < places_per_network and len(guests) < places:
        return True
    crowd = own if len(own) >= places_per_network else guests
    held = Counter(guest.network for guest in guests)
    waiting = [guest for guest in crowd if guest.waits]
    if not waiting:
        return False
    max(waiting, key=lambda guest: (held[guest.network], -guest.since_s)).abort()
    return True
