"""Turns: how many answers are made at once, in which order, and whom they keep back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import httpx

from appliance.accounts import guard
from appliance.web.turns import Turns
from tests.boxes import until
from tests.site import Box

LONG_S = 60


def started(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


class Worker:
    """Somebody who takes a turn, and has it until it is let go."""

    def __init__(self, of: Turns) -> None:
        self.has_turn, self.may_go = threading.Event(), threading.Event()
        self._of = of
        self.thread = started(self._work)

    def _work(self) -> None:
        with self._of.taken():
            self.has_turn.set()
            assert self.may_go.wait(LONG_S)

    def end(self) -> None:
        self.may_go.set()
        self.thread.join(LONG_S)


def wait_in(of: Turns, count: int) -> None:
    until(lambda: len(of._waiting) == count, 30, f"{count} wait")


def test_so_many_have_a_turn_and_the_others_follow_in_their_order() -> None:
    of = Turns(at_once=2, longest_s=LONG_S)
    first, second = Worker(of), Worker(of)
    assert first.has_turn.wait(30) and second.has_turn.wait(30)
    waiting = []
    for count in range(1, 4):
        waiting.append(Worker(of))
        wait_in(of, count)
    assert not any(each.has_turn.is_set() for each in waiting)
    first.end()
    assert waiting[0].has_turn.wait(30)
    assert not waiting[1].has_turn.is_set() and not waiting[2].has_turn.is_set()
    second.end()
    assert waiting[1].has_turn.wait(30) and not waiting[2].has_turn.is_set()
    for each in waiting:
        each.end()
    assert all(each.has_turn.is_set() for each in waiting)


def test_whoever_fails_gives_the_turn_back() -> None:
    of = Turns(at_once=1, longest_s=LONG_S)
    for _ in range(3):
        try:
            with of.taken():
                raise OSError("the disk")
        except OSError:
            pass
    last = Worker(of)
    assert last.has_turn.wait(30)
    last.end()


def test_whoever_takes_too_long_keeps_nobody_back() -> None:
    of = Turns(at_once=1, longest_s=0.05)
    hung = Worker(of)
    assert hung.has_turn.wait(30)
    others = [Worker(of) for _ in range(3)]
    assert all(each.has_turn.wait(30) for each in others), "one after the other, though none has ended"
    for each in (hung, *others):
        each.end()
    assert not of._begun_s and not of._waiting


def test_pages_take_turns_and_forms_do_not(tmp_path: Path) -> None:
    box = Box(tmp_path)
    site_guard = next(each for each in box.app.plugins if isinstance(each, guard.Guard))
    site_guard.turns = Turns(at_once=1, longest_s=LONG_S)
    ann, sci = box.browser("ann"), box.browser("sci")
    form = {"csrf": ann.csrf()}
    hung = Worker(site_guard.turns)
    assert hung.has_turn.wait(30)
    answers: list[httpx.Response] = []
    reader = started(lambda: answers.append(sci.get("/streams")))
    wait_in(site_guard.turns, 1)
    assert ann.client.post("/sign-out", data=form).status_code == 303, "what a form does is not kept back"
    assert not answers
    hung.end()
    reader.join(30)
    assert answers[0].status_code == 200
    box.close()
