"""What the watcher writes and draws of each stream, as people choose it; and what it forgets, once a minute."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from appliance.config import Config
from appliance.keeping import ImageMode, Keeping
from appliance.previews import Previews
from appliance.rules import privacy
from appliance.store import Store
from appliance.store.privacy import SPAN_S
from appliance.times import Now
from appliance.vision.analysis import Analysis
from appliance.watch.forgetting import Forgetting
from appliance.watch.recorder import Recorder
from appliance.watch.sums import Sums

log = logging.getLogger(__name__)

MINUTE_S = 60


class Kept:
    """Follows the store, so that what somebody chooses holds from the next second on."""

    def __init__(self, config: Config, previews: Previews) -> None:
        self.config = config
        self.previews = previews
        self.forgetting = Forgetting(config.images.keep_days)

    def mode(self, keeping: Keeping) -> ImageMode:
        """What of persons' pictures is written where this was chosen."""
        return keeping.mode(self.config.images.keep, self.config.images.pixelate_eyes)

    def follow(self, store: Store, analyses: Mapping[int, Analysis], recorder: Recorder, sums: Sums) -> None:
        """Write and draw from now on what was chosen. Raises sqlite3.Error."""
        statistics_only = store.privacy.statistics_only() is not None
        modes = {
            stream_id: ImageMode.NO_IMAGES if statistics_only else self.mode(keeping)
            for stream_id, keeping in store.streams.keeping().items()
        }
        for stream_id, analysis in analyses.items():
            analysis.image_mode = modes.get(stream_id, ImageMode.NO_IMAGES)
            analysis.keeps_beside = self.config.images.scene
            analysis.draws = not statistics_only
        recorder.follow(modes)
        sums.follow(SPAN_S if statistics_only else MINUTE_S)

    def forget(self, store: Store, moment: Now) -> bool:
        """Forget what is past its time; whether there is more. Raises sqlite3.Error."""
        if store.privacy.statistics_only():
            self._leave_no_picture(store)
        clock = store.ages.clock()
        if clock is None:
            return False
        more = self.forgetting.step(store, clock)
        self.forgetting.leave_nothing(store, clock, moment.utc)
        return more

    def _leave_no_picture(self, store: Store) -> None:
        """Remove what an answer that was cut off has left, and the last live pictures."""
        try:
            if store.privacy.has_files_to_remove():
                privacy.remove_files(self.config, store)
            for stream_id in store.streams.ids():
                self.previews.forget(stream_id)
        except OSError as error:
            log.error("images and copies of before cannot be removed yet, trying again: %s", error)
