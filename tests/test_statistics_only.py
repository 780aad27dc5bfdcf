"""A box that keeps statistics only: what it counts, and that nothing of anybody is on its disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.faces import Counts, State
from appliance.keeping import ImageMode
from appliance.rules import privacy
from appliance.rules.streams import OPERATOR
from appliance.store import DetectionFilter
from appliance.store.backup import Backups
from appliance.store.privacy import LEAST, SPAN_S
from appliance.vision.analysis import Sighting
from appliance.watch.tally import Tally
from tests.leftovers import JPEG_START, files_with, left
from tests.test_forgetting import DOOR, LAB, Passing, Watched

EVENTS = st.lists(st.tuples(st.integers(0, 900), st.sampled_from([1, 2]), st.sampled_from(list(State))), max_size=200)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "state")
    yield made
    made.close()


def leaves(box: Watched, stream_id: int, state: State, times: int = 1) -> None:
    """So many persons leave a picture now, with images that the analysis would never have made."""
    for _ in range(times):
        who = Passing(box.clock.now.utc, list(State).index(state))
        box.watcher.recorder.take(Sighting(who.model, stream_id, None, who.detection, who.jpeg, ended=True))
    box.step(1)


def to_next_span(box: Watched) -> None:
    box.step(SPAN_S - box.clock.now.utc % SPAN_S + 1)


def rows(box: Watched) -> list[tuple[int, ...]]:
    """(stream, start, persons by state) of every sum that says of anybody."""
    found = box.store.db.execute(
        "select stream, started_utc + 60 * minute, mask, no_mask, incorrect, unknown"
        " from epochs join summaries on epoch = number where mask or no_mask or incorrect or unknown order by 1, 2"
    )
    return [tuple(row) for row in found]


def everything(box: Watched) -> bytes:
    return b"".join(path.read_bytes() for path in box.config.state.rglob("*") if path.is_file())


def test_no_image_is_left_of_what_was_there_and_none_comes(box: Watched) -> None:
    before = [*box.pass_by(DOOR, 6), box.passes(LAB)]
    Backups(box.config.backups_dir).make(box.config.store_path, box.clock.now.utc, 7)
    box.watcher.previews.request(DOOR)
    box.watcher.previews.write(DOOR, before[0].jpeg)
    aside = box.config.state / "images.aside-20261127T000000Z"
    aside.mkdir()
    (aside / "20261127.jpegs").write_bytes(before[0].jpeg)
    assert files_with(box.config.state, JPEG_START)
    browser = box.browser("ann")
    assert "Type box to go on" in browser.post("/settings/privacy/statistics", confirmed="bix").text
    receipt = browser.post("/settings/privacy/statistics", confirmed="box").headers["location"]
    box.clock.forward(0.317)
    after = [Passing(box.clock.now.utc, number) for number in range(9)]
    for who in after:
        box.watcher.recorder.take(Sighting(who.model, DOOR, None, who.detection, who.jpeg, ended=False))
    box.step(1)
    for who in after:
        box.watcher.recorder.take(Sighting(who.model, DOOR, None, who.detection, who.jpeg, ended=True))
    for _ in range(3):
        box.step(61)
    assert files_with(box.config.state, JPEG_START) == []
    assert left(box.config.state, [trace for who in before + after for trace in who.row + who.image]) == []
    assert Backups(box.config.backups_dir).all() == []
    assert "7 detections, 7 images" in browser.get(receipt).text
    assert "nothing of it is left on the disk" in browser.get(receipt).text
    assert browser.get(f"/streams/{DOOR}/preview.jpg").status_code == 204
    assert "keeps statistics only" in browser.get("/").text
    assert "keeps statistics only" in browser.get("/detections").text
    assert box.store.problems() == []


def test_sums_are_of_twenty_minutes_and_of_five_persons_and_more(box: Watched) -> None:
    privacy.keep_statistics_only(box.config, box.store, OPERATOR, box.clock.now)
    to_next_span(box)
    start_utc = int(box.clock.now.utc // SPAN_S) * SPAN_S
    leaves(box, DOOR, State.MASK, 12)
    leaves(box, DOOR, State.NO_MASK, 4)
    leaves(box, LAB, State.MASK, 3)
    assert rows(box) == []
    to_next_span(box)
    assert rows(box) == [(DOOR, start_utc, 12, 0, 0, 0)]
    leaves(box, DOOR, State.NO_MASK, 1)
    to_next_span(box)
    assert rows(box) == [(DOOR, start_utc, 12, 0, 0, 0), (DOOR, start_utc + SPAN_S, 0, 5, 0, 0)]
    assert box.store.trends.counts(DetectionFilter(since_utc=start_utc - 3600)) == Counts(mask=12, no_mask=5)
    assert box.store.detections.counts(DetectionFilter()).total == 0
    assert box.store.problems() == []


def test_what_was_summed_finer_is_summed_by_half_hours_and_small_groups_go(box: Watched) -> None:
    start_utc = int(box.clock.now.utc // 3600 - 5) * 3600
    for minute, persons in ((2, 3), (17, 3), (31, 4), (62, 2), (125, 4)):
        for _ in range(persons):
            box.store.detections.add(DOOR, Passing(start_utc + 60.0 * minute, 0).detection)
    privacy.keep_statistics_only(box.config, box.store, OPERATOR, box.clock.now)
    quarters = box.store.db.execute("select start_utc, mask from quarters order by 1").fetchall()
    # 3 + 3 in the first half hour; the 4 of the second wait for the 2 of the third; the last 4 are too few.
    assert [((row[0] - start_utc) // 60, row[1]) for row in quarters] == [(0, 6), (60, 6)]
    assert box.store.db.execute("select sum(mask) from days").fetchone()[0] == 12
    assert rows(box) == []
    assert box.store.problems() == []


def test_who_was_recorded_before_is_not_counted_again_and_who_is_in_view_is_recorded_after(box: Watched) -> None:
    seen = [Passing(box.clock.now.utc, 0) for _ in range(6)]

    def take(ended: bool) -> None:
        for who in seen:
            box.watcher.recorder.take(Sighting(who.model, DOOR, None, who.detection, None, ended=ended))
        box.step(1)

    take(ended=False)
    assert box.store.trends.counts(DetectionFilter()).total == 6
    privacy.keep_statistics_only(box.config, box.store, OPERATOR, box.clock.now)
    take(ended=True)
    to_next_span(box)
    to_next_span(box)
    assert box.store.trends.counts(DetectionFilter()).total == 6
    seen = [Passing(box.clock.now.utc, 0)]
    take(ended=False)
    privacy.keep_detections(box.store)
    take(ended=False)
    take(ended=True)
    assert box.store.detections.counts(DetectionFilter()).total == 1
    assert box.store.problems() == []


def test_images_and_live_pictures_are_not_even_drawn(box: Watched) -> None:
    class Drawing:
        """Stands in for an analysis."""

        image_mode, draws = ImageMode.FULL, True

    drawing = Drawing()
    follow = box.watcher.kept.follow
    follow(box.store, {DOOR: drawing}, box.watcher.recorder, box.watcher.sums)  # type: ignore[dict-item]
    assert (drawing.image_mode, drawing.draws) == (ImageMode.EYES_PIXELATED, True)
    privacy.keep_statistics_only(box.config, box.store, OPERATOR, box.clock.now)
    follow(box.store, {DOOR: drawing}, box.watcher.recorder, box.watcher.sums)  # type: ignore[dict-item]
    assert (drawing.image_mode, drawing.draws) == (ImageMode.NO_IMAGES, False)


@given(EVENTS)
def test_of_any_persons_none_is_lost_but_fewer_than_five_of_a_cell_and_no_cell_is_small(
    events: list[tuple[int, int, State]],
) -> None:
    tally, written, now_utc = Tally(), {}, 0.0  # type: ignore[var-annotated]
    for wait_s, stream_id, state in events:
        now_utc += wait_s
        if due := tally.due(now_utc):
            assert due.start_utc % SPAN_S == 0
            for each, counts in due.counts.items():
                for name in (state.value for state in State):
                    count = getattr(counts, name)
                    assert count == 0 or count >= LEAST
                    written[each, name] = written.get((each, name), 0) + count
        tally.committed()
        tally.add(stream_id, state)
    if due := tally.due(now_utc + SPAN_S):
        for each, counts in due.counts.items():
            for state in State:
                written[each, state.value] = written.get((each, state.value), 0) + getattr(counts, state.value)
    for stream_id in (1, 2):
        for state in State:
            true = sum(event[1:] == (stream_id, state) for event in events)
            assert 0 <= true - written.get((stream_id, state.value), 0) < LEAST
