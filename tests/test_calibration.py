"""What labelled faces say of a camera: against counting all faces, and over simulated cameras."""

from __future__ import annotations

import random
from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.calibration import (
    FACES,
    MIN_TOLD,
    SURE,
    Stratum,
    Told,
    allocated,
    combined,
    corrected,
    estimate,
    proposed,
    thresholds,
    wrong_share,
)
from appliance.faces import CLASSES, Counts, State
from appliance.rates import Rate, compliance

MASK, BARE, WRONG = State.MASK, State.NO_MASK, State.INCORRECT
Person = tuple[State, State, float]
"""What somebody really is, what the box judged, and its share of the votes."""


def drawn_from(people: list[Person], chance: random.Random, faces: int = FACES) -> list[Stratum]:
    """Faces of these people as a box draws them, all labelled truly."""
    groups: dict[tuple[State, bool], list[Person]] = {}
    for person in people:
        groups.setdefault((person[1], person[2] >= SURE), []).append(person)
    keys = sorted(groups)
    numbers = allocated([len(groups[key]) for key in keys], faces)
    return [
        Stratum(
            *key, len(groups[key]), tuple(Told(real, share) for real, _, share in chance.sample(groups[key], number))
        )
        for key, number in zip(keys, numbers, strict=True)
    ]


def passers(chance: random.Random, number: int, share: float, right: tuple[float, float], told: bool) -> list[Person]:
    """People of whom a share wear a mask. right: how often the box is, of those and of others.

    told: whether the votes tell when it is not.
    """
    people = []
    for _ in range(number):
        real = MASK if chance.random() < share else BARE if chance.random() < 0.8 else WRONG
        is_right = chance.random() < right[real is not MASK]
        taken_for = MASK if real is not MASK else BARE if chance.random() < 0.5 else WRONG
        judged = real if is_right else taken_for
        sure = chance.random() < (0.9 if is_right or not told else 0.5)
        people.append((real, judged, 0.95 if sure else 0.65))
    return people


def counts_of(people: list[Person], which: int = 1) -> Counts:
    states = Counter((one[0] if which == 0 else one[1]).value for one in people)
    return Counts(**states)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=6), st.integers(1, 80))
def test_every_stratum_gives_what_it_can_and_all_together_the_faces_asked_for(persons: list[int], faces: int) -> None:
    drawn = allocated(persons, faces)
    assert sum(drawn) == min(faces, sum(persons))
    assert all(0 <= number <= count for number, count in zip(drawn, persons, strict=True))
    if faces >= 2 * len(persons):
        assert all(number for number, count in zip(drawn, persons, strict=True) if count)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.floats(0.3, 0.9), st.floats(0.6, 1), st.floats(0.6, 1))
def test_who_labels_everybody_knows_what_counting_tells(seed: int, share: float, sens: float, spec: float) -> None:
    chance = random.Random(seed)
    people = passers(chance, 200, share, (sens, spec), told=True)
    strata = drawn_from(people, chance, faces=200)
    wrong = wrong_share(strata)
    assert wrong and wrong.value == pytest.approx(sum(real is not judged for real, judged, _ in people) / 200)
    for state in CLASSES:
        really = [judged for real, judged, _ in people if real is state]
        others = [judged for real, judged, _ in people if real is not state]
        found = estimate(strata, state)
        if found is None:
            continue
        assert found.sensitivity.value == pytest.approx(really.count(state) / len(really))
        assert found.specificity.value == pytest.approx(1 - others.count(state) / len(others))
        for each in (found.sensitivity, found.specificity):
            assert 0 <= each.low <= each.value <= each.high <= 1
    for threshold in thresholds(strata):
        kept = [(real, judged) for real, judged, votes in people if votes >= threshold.confidence]
        assert threshold.unknown == pytest.approx(1 - len(kept) / 200)
        assert threshold.wrong == pytest.approx(sum(real is not judged for real, judged in kept) / len(kept))


def test_neither_sensitivity_nor_specificity_is_biased_by_how_faces_are_drawn() -> None:
    chance = random.Random(19)
    people = passers(chance, 4000, 0.9, (0.96, 0.8), told=True)
    real = [judged is MASK for real, judged, _ in people if real is MASK]
    others = [judged is not MASK for real, judged, _ in people if real is not MASK]
    found = [each for _ in range(200) if (each := estimate(drawn_from(people, chance, 300)))]
    mean = [sum(getattr(each, name).value for each in found) / len(found) for name in ("sensitivity", "specificity")]
    assert mean[0] == pytest.approx(sum(real) / len(real), abs=0.004)
    assert mean[1] == pytest.approx(sum(others) / len(others), abs=0.01), "a ratio's bias shrinks with the labels"
    naive = [
        sum(stratum.of(BARE, WRONG) for stratum in strata if stratum.judged is not MASK)
        / max(1, sum(stratum.of(BARE, WRONG) for stratum in strata))
        for strata in (drawn_from(people, chance) for _ in range(300))
    ]
    assert abs(sum(naive) / len(naive) - sum(others) / len(others)) > 0.08, "what the weights are for"


CAMERAS = list(product((0.5, 0.8, 0.95), ((0.9, 0.8), (0.95, 0.95), (0.99, 0.9), (0.99, 0.98)), (False, True)))


@pytest.mark.parametrize(("persons", "moved"), [(60, 0.0), (600, -0.15), (1200, 0.03)])
def test_the_corrected_interval_holds_the_true_share(persons: int, moved: float) -> None:
    """Of each camera: faces labelled once, of other days with another share of masks (by `moved`) the rate is asked."""
    held: Counter[tuple[float, float]] = Counter()
    for number, (share, right, told) in enumerate(CAMERAS):
        chance = random.Random(f"{persons} {number}")
        for _ in range(50):
            errors = estimate(drawn_from(passers(chance, 500, share, right, told), chance))
            day = passers(chance, persons, share + moved, right, told)
            rate, true = corrected(counts_of(day), errors) if errors else None, compliance(counts_of(day, 0))
            held[right] += rate is None or (true is not None and rate.low <= true.value <= rate.high)
    assert min(held.values()) / (50 * len(CAMERAS) / len(held)) >= 0.93, held


def test_a_calibrated_rate_is_nearer_the_truth_than_the_plain_one() -> None:
    chance, plain_off, off = random.Random(3), 0.0, 0.0
    for _ in range(60):
        right = (0.97, 0.8)
        errors = estimate(drawn_from(passers(chance, 1000, 0.6, right, told=True), chance))
        day = passers(chance, 1000, 0.4, right, told=True)
        true, plain = compliance(counts_of(day, 0)), compliance(counts_of(day))
        assert errors and true and plain
        rate = corrected(counts_of(day), errors)
        assert rate
        plain_off, off = plain_off + abs(plain.value - true.value), off + abs(rate.value - true.value)
    assert off < 0.8 * plain_off


def test_too_few_labels_tell_nothing() -> None:
    people = passers(random.Random(1), 300, 0.7, (0.9, 0.9), told=True)
    few = drawn_from(people, random.Random(2), MIN_TOLD - 1)
    assert estimate(few) is None and wrong_share(few) is None and thresholds(few) == [] and proposed(few) is None
    nobody_else = [Stratum(MASK, True, 300, (Told(MASK, 0.9),) * 30)]
    assert estimate(nobody_else) is None
    unasked = [*nobody_else, Stratum(BARE, True, 40)]
    assert estimate(unasked) is None, "an eighth of the persons are of an answer of which nobody was labelled"


def test_a_stratum_without_labels_is_as_the_other_of_its_answer() -> None:
    told = (Told(MASK, 0.9),) * 20
    bare = Stratum(BARE, True, 100, (Told(BARE, 0.9),) * 18 + (Told(MASK, 0.9),) * 2)
    apart = estimate([Stratum(MASK, True, 200, told), Stratum(MASK, False, 100), bare])
    together = estimate([Stratum(MASK, True, 300, told), bare])
    assert apart and together and apart == together


def test_cameras_together_have_the_rate_of_all_their_persons() -> None:
    one, two = Rate(0.9, 0.8, 0.95, 100), Rate(0.5, 0.4, 0.6, 300)
    rate = combined([one, two])
    assert rate and rate.value == pytest.approx(0.6) and rate.n == 400
    assert 0.5 < rate.low < 0.6 < rate.high < 0.7
    assert combined([one]) == one and combined([]) is None


def test_a_threshold_is_proposed_where_doubtful_persons_are_mostly_wrong() -> None:
    sure = Stratum(MASK, True, 800, (Told(MASK, 0.95),) * 20), Stratum(BARE, True, 200, (Told(BARE, 0.95),) * 10)
    wrong = Stratum(MASK, False, 300, (Told(BARE, 0.65),) * 9 + (Told(MASK, 0.65),))
    found = proposed([*sure, wrong])
    assert found and found.confidence == 0.7 and found.wrong == 0
    right = Stratum(MASK, False, 300, (Told(MASK, 0.65),) * 10)
    found = proposed([*sure, right])
    assert found and found.confidence == 0.5, "nothing speaks for another than there is"
