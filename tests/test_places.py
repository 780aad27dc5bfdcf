"""Places for connections: who is counted with whom, and who is ended for whom."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from appliance.places import make_room, network_of


@dataclass
class Guest:
    network: str
    since_s: float = 0.0
    waits: bool = True
    is_ended: bool = False

    def abort(self) -> None:
        self.is_ended = True


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.8.9.1", "127.8.9.1"),
        ("::1", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:2::7", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("?", "?"),
        ("no address " * 9, ("no address " * 9)[:50]),
    ],
)
def test_an_address_belongs_to_this_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_there_is_room_below_both_bounds() -> None:
    guests = [Guest("a"), Guest("b")]
    assert make_room(guests, "a", places=3, places_per_network=2)
    assert not any(guest.is_ended for guest in guests)


def test_a_full_network_ends_its_own_that_has_waited_longest() -> None:
    guests = [Guest("b", 1.0), Guest("a", 2.0, waits=False), Guest("a", 4.0), Guest("a", 3.0)]
    assert make_room(guests, "a", places=9, places_per_network=3)
    assert [guest.is_ended for guest in guests] == [False, False, False, True]


def test_when_all_places_are_taken_the_network_with_most_of_them_gives_one() -> None:
    guests = [Guest("b", 1.0), Guest("a", 3.0), Guest("a", 2.0)]
    assert make_room(guests, "c", places=3, places_per_network=3)
    assert [guest.is_ended for guest in guests] == [False, False, True]


def test_nobody_who_is_being_served_is_ended() -> None:
    guests = [Guest("a", waits=False), Guest("a", waits=False)]
    assert not make_room(guests, "b", places=2, places_per_network=2)
    assert not any(guest.is_ended for guest in guests)
