"""Whether the machine's clock is synchronised, as its kernel says."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from appliance import times


class StandInLibrary:
    """Stands in for the C library: its kernel answers so."""

    def __init__(self, answer: int, max_error_us: int) -> None:
        self.answer, self.max_error_us = answer, max_error_us

    def adjtimex(self, timex: Any) -> int:
        fields = ctypes.cast(timex, ctypes.POINTER(ctypes.c_long))
        assert fields[0] == 0, "only read"
        fields[3] = self.max_error_us
        return self.answer


@pytest.mark.parametrize(
    ("answer", "max_error_us", "synchronised"),
    [
        (0, 5_000, True),
        (5, 5_000, True),  # chrony without rtcsync leaves TIME_ERROR
        (5, 16_000_000, False),
        (0, 16_000_000, False),
        (-1, 0, False),  # not allowed
    ],
)
def test_a_clock_is_synchronised_while_its_largest_error_is_bounded(
    monkeypatch: pytest.MonkeyPatch, answer: int, max_error_us: int, synchronised: bool
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: StandInLibrary(answer, max_error_us))
    assert times.clock_is_synchronised() is synchronised


def test_the_kernel_of_this_machine_may_be_asked_by_anybody() -> None:
    timex = (ctypes.c_long * 64)()
    assert ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) >= 0
    assert abs(timex[9] - times.now().utc) < 5, "the fields lie where we think: this one is the time"
    assert times.clock_is_synchronised() is (timex[3] < times.MAX_ERROR_US)
