"""What each camera looks at: given to its analysis, learned again where somebody says so, and kept."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.faces import PictureFault
from appliance.store import Store
from appliance.times import Now, utc_seconds, utc_text
from appliance.vision.analysis import Analysis
from appliance.vision.looking.view import Faulty, View

KEEP_PAUSE_S = 3600.0  # it changes all the time, by very little

Fault = tuple[PictureFault, str]
"""What is wrong with a picture, and since when."""


class Views:
    """Stands between the analyses and the store."""

    def __init__(self) -> None:
        self._asked: dict[int, int] = {}
        self._kept: dict[int, tuple[bytes, float]] = {}  # what, and when it was written

    def begin(self, store: Store, analysis: Analysis, uptime_s: float) -> None:
        """An analysis goes on with what is known, also of what was wrong. Raises sqlite3.Error."""
        stream_id = analysis.stream_id
        stored, fault = store.views.get(stream_id), store.streams.picture_fault(stream_id)
        analysis.view = View(stored.learned, Faulty(fault[0], utc_seconds(fault[1])) if fault else None)
        self._asked[stream_id] = stored.asked
        self._kept.pop(stream_id, None)
        if stored.learned is not None:
            self._kept[stream_id] = stored.learned, uptime_s

    def follow(self, store: Store, analyses: Mapping[int, Analysis]) -> None:
        """Whose view is another now, learns it. Raises sqlite3.Error."""
        asked = store.views.asked()
        for stream_id, analysis in analyses.items():
            if asked.get(stream_id, 0) != self._asked.get(stream_id):
                analysis.view = View()
                self._asked[stream_id] = asked.get(stream_id, 0)
                self._kept.pop(stream_id, None)

    def keep(self, store: Store, analyses: Mapping[int, Analysis], moment: Now, everything: bool = False) -> None:
        """Write what was learned: at once where it is new, now and then as it changes. Raises sqlite3.Error."""
        for stream_id, analysis in analyses.items():
            before, written_s = self._kept.get(stream_id, (None, 0.0))
            if before is not None and not everything and moment.uptime_s - written_s < KEEP_PAUSE_S:
                continue
            learned = analysis.view.learned
            if learned is None or learned == before:
                continue
            with store.writing():
                store.views.keep(stream_id, self._asked[stream_id], learned, moment.utc)
            self._kept[stream_id] = learned, moment.uptime_s


def fault_of(analysis: Analysis) -> Fault | None:
    """What is wrong with its picture, as the store has it."""
    faulty = analysis.view.faulty
    return (faulty.fault, utc_text(faulty.since_utc)) if faulty else None
