"""Guessing is slow, and keeps nobody rightful out: the throttle, and what is counted by whom."""

from __future__ import annotations

import pytest

from appliance.accounts.guesses import Allowance, Guess, Guesses
from appliance.accounts.throttle import Limit, Throttle

DAY_S = 86400.0
THREE, NONE = Limit(3, 60.0), Limit(0, 60.0)


def test_each_wrong_try_beyond_the_free_ones_waits_twice_as_long() -> None:
    throttle, now_s = Throttle(), 0.0
    waits: list[float] = []
    for _ in range(12):
        assert throttle.wait_s({"x": THREE}, now_s) == 0
        waits.append(throttle.wait_s({"x": THREE}, now_s) if len(waits) >= 3 else 0.0)
        now_s += waits[-1]
    assert waits[3:9] == [1, 2, 4, 8, 16, 32]
    assert waits[-1] == 60


def test_a_try_while_waiting_does_not_prolong_the_wait() -> None:
    throttle = Throttle()
    for _ in range(4):
        throttle.wait_s({"x": THREE}, 0.0)
    assert [throttle.wait_s({"x": THREE}, 0.5) for _ in range(100)][-1] == 0.5


def test_the_right_password_forgets_the_wrong_ones_before_in_that_browser() -> None:
    throttle = Throttle()
    for _ in range(3):
        throttle.wait_s({"browser": THREE}, 0.0)
    throttle.take_back(forget="browser", uncount=[])
    assert [throttle.wait_s({"browser": THREE}, 0.0) for _ in range(3)] == [0, 0, 0]


def test_after_a_quiet_while_the_first_tries_are_free_again() -> None:
    throttle = Throttle()
    for now_s in (*[0.0] * 5, *[3601.0] * 3):
        throttle.wait_s({"x": THREE}, now_s)
    assert throttle.wait_s({"x": THREE}, 3601.0) == 0
    assert throttle.wait_s({"x": THREE}, 3601.0) == 1, "and then they are not"


def test_a_throttle_forgets_only_after_the_whole_quiet_while() -> None:
    throttle = Throttle()
    for now_s in (0.0, 3600.0):
        throttle.wait_s({"x": NONE}, now_s)
    assert throttle.wait_s({"x": NONE}, 3600.0) == 2


def test_no_flood_of_invented_subjects_frees_one_that_was_often_wrong() -> None:
    throttle = Throttle(size=100)
    for now_s in (0.0, 1.0, 3.0):
        throttle.wait_s({"guesser": NONE}, now_s)
    for number in range(1000):
        throttle.wait_s({f"invented {number}": THREE}, 4.0)
    assert len(throttle._tries) <= 100
    assert throttle.wait_s({"guesser": NONE}, 4.0) == 3


def test_a_throttle_that_is_full_forgets_those_of_yesterday_first() -> None:
    throttle = Throttle(size=2)
    for now_s in (0.0, 1.0, 3.0):
        throttle.wait_s({"yesterday": NONE}, now_s)
    throttle.wait_s({"today": NONE}, DAY_S + 4)
    throttle.wait_s({"new": NONE}, DAY_S + 4)
    assert throttle.wait_s({"today": NONE}, DAY_S + 4) == 1
    assert throttle.wrong_tries("yesterday", DAY_S + 4) == 0


def test_a_refused_try_takes_no_memory() -> None:
    throttle = Throttle()
    throttle.wait_s({"address": NONE}, 0.0)
    assert throttle.wait_s({"address": NONE, "another": NONE}, 0.5) == 0.5
    assert list(throttle._tries) == ["address"]


def test_the_right_password_takes_back_its_own_try_from_the_address() -> None:
    throttle = Throttle()
    for _ in range(4):
        throttle.wait_s({"address": THREE}, 0.0)
    throttle.take_back(forget=None, uncount=["address", "unknown"])
    assert throttle.wrong_tries("address", 0.0) == 3
    assert [throttle.wait_s({"address": THREE}, 0.0) for _ in range(2)] == [0, 1]


def test_wrong_tries_are_remembered_for_a_day_though_they_hold_up_for_an_hour() -> None:
    throttle = Throttle()
    for now_s in (0.0, DAY_S, 2 * DAY_S):
        throttle.wait_s({"x": THREE}, now_s)
    assert throttle.wrong_tries("x", 3 * DAY_S) == 3
    assert throttle.wrong_tries("x", 3 * DAY_S + 1) == 0
    throttle.wait_s({"x": THREE}, 3 * DAY_S + 1)
    assert throttle.wrong_tries("x", 3 * DAY_S + 1) == 1


def test_an_allowance_keeps_half_for_those_who_were_hardly_ever_wrong() -> None:
    allowance = Allowance(most=4, every_s=30.0)
    assert [allowance.take("ann", False, 0.0) for _ in range(3)] == [0, 0, 30]
    assert [allowance.take("ann", True, 0.0) for _ in range(3)] == [0, 0, 30]
    assert allowance.take("ann", False, 0.0) == 90
    assert allowance.take("sci", False, 0.0) == 0, "each person has an own one"
    assert allowance.take("ann", True, 29.0) == pytest.approx(1)
    assert allowance.take("ann", True, 30.0) == 0
    allowance.give_back("ann", 30.0)
    assert allowance.take("ann", True, 30.0) == 0
    assert allowance.take("ann", False, 1000.0) == 0


def attack(guesses: Guesses, address: str, tries: int, now_s: float, person_id: int | None = 1) -> int:
    """How many of these wrong tries of one address at one moment were taken."""
    return sum(guesses.wait_s(guesses.by_stranger(address, person_id), now_s) == 0 for _ in range(tries))


def may_try(guesses: Guesses, guess: Guess, now_s: float) -> bool:
    """Whether the right password would be looked at; it is right."""
    wait_s = guesses.wait_s(guess, now_s)
    if wait_s == 0:
        guesses.take_back(guess, now_s)
    return wait_s == 0


def test_one_address_that_guesses_for_a_month_keeps_out_nobody_elsewhere() -> None:
    guesses, now_s, taken = Guesses(), 0.0, 0
    while now_s < 30 * DAY_S:
        taken += attack(guesses, "192.0.2.1", 1, now_s)
        now_s += 61.0
        if now_s % DAY_S < 61:
            assert may_try(guesses, guesses.by_stranger("198.51.100.7", 1), now_s)
    assert taken < 30 * 400
    assert not may_try(guesses, guesses.by_stranger("192.0.2.1", 1), now_s - 60)


def test_a_thousand_addresses_are_slow_and_keep_out_neither_known_devices_nor_new_addresses() -> None:
    guesses, taken, days = Guesses(), 0, 2
    for step in range(days * 24):  # each tries every hour, which by itself each may
        now_s = step * 3600.0
        taken += sum(attack(guesses, f"10.0.{n // 250}.{n % 250}", 1, now_s) for n in range(1000))
        assert may_try(guesses, guesses.by_known_device("of ann"), now_s)
        assert may_try(guesses, guesses.by_stranger("198.51.100.7", 1), now_s), step
    assert 5_000 < taken < 10_000 + days * 2_880
    assert not may_try(guesses, guesses.by_stranger("10.0.0.1", 1), now_s), "it has been wrong too often"
    assert may_try(guesses, guesses.by_stranger("10.0.9.9", 2), now_s), "another person is not guessed at"


def test_fresh_addresses_without_end_are_held_up_but_keep_out_no_known_device() -> None:
    guesses = Guesses()
    taken = sum(attack(guesses, f"2001:db8:{n:x}:{n:x}::/64", 1, 0.0) for n in range(12_000))
    assert taken == 10_000
    assert not may_try(guesses, guesses.by_stranger("198.51.100.7", 1), 0.0)
    assert may_try(guesses, guesses.by_known_device("of ann"), 0.0)
    assert len(guesses._throttle._tries) <= 10_000


def test_the_networks_of_one_ipv6_site_count_together() -> None:
    guesses = Guesses()
    taken = sum(attack(guesses, f"2001:db8:1:{n:x}::/64", 1, 0.0) for n in range(100))
    assert taken == 41
    assert attack(guesses, "2001:db8:2:1::/64", 1, 0.0) == 1
    assert attack(guesses, "2001:db8:3:1::/64", 100, 0.0) == 11


def test_ipv4_addresses_written_as_ipv6_are_not_one_network() -> None:
    guesses = Guesses()
    assert sum(attack(guesses, f"::ffff:192.0.2.{n}", 1, 0.0) for n in range(100)) == 100


def test_names_that_do_not_exist_are_not_remembered() -> None:
    guesses = Guesses()
    for number in range(1000):
        attack(guesses, "192.0.2.1", 1, number * 600.0, person_id=None)
    assert list(guesses._throttle._tries) == ["from 192.0.2.1"] and not guesses._passwords._used


def test_a_name_that_exists_is_held_up_like_one_that_does_not() -> None:
    assert attack(Guesses(), "192.0.2.1", 30, 0.0, person_id=1) == attack(Guesses(), "192.0.2.1", 30, 0.0, None) == 11


def test_a_known_device_is_held_up_by_its_own_wrong_tries_alone() -> None:
    guesses = Guesses()
    ann = guesses.by_known_device("of ann")
    assert [guesses.wait_s(ann, 0.0) for _ in range(12)] == [0.0] * 11 + [1.0]
    assert may_try(guesses, guesses.by_known_device("of sci"), 0.0)
    assert may_try(guesses, guesses.by_stranger("192.0.2.1", 1), 0.0)
    assert may_try(guesses, ann, 1.0)
    assert [guesses.wait_s(ann, 1.0) for _ in range(12)] == [0.0] * 11 + [1.0], "the right password began it again"


def test_one_good_password_does_not_buy_free_guesses_from_the_same_address() -> None:
    guesses, now_s, begun = Guesses(), 0.0, 0.0
    for _ in range(30):
        while guesses.wait_s(guesses.by_stranger("192.0.2.1", 1), now_s):
            now_s += 1
        own = guesses.by_stranger("192.0.2.1", 2)
        while guesses.wait_s(own, now_s):
            now_s += 1
        guesses.take_back(own, now_s)
    assert now_s - begun > 3000


def test_whoever_guesses_the_claim_code_keeps_nobody_else_waiting() -> None:
    guesses, taken = Guesses(), 0
    for now_s in range(seconds := 2_500):
        for n in range(20):  # 4 a second together, when each is held up
            taken += guesses.wait_s(guesses.of_claim_code(f"192.0.2.{n}"), float(now_s)) == 0
    assert 7_000 < taken <= 5_000 + seconds, "they used up all that they have"
    assert guesses.wait_s(guesses.of_claim_code("198.51.100.1"), float(seconds)) == 0
    assert 0 < guesses.wait_s(guesses.of_claim_code("192.0.2.1"), float(seconds)) <= 5, "at the same address: a moment"


def test_the_claim_code_is_tried_once_a_second_at_most_however_many_try() -> None:
    guesses = Guesses()
    taken = sum(
        guesses.wait_s(guesses.of_claim_code(f"2001:db8:{n:x}:{now_s}::/64"), float(now_s)) == 0
        for now_s in range(60)
        for n in range(500)
    )
    assert taken <= 10_000 + 60
