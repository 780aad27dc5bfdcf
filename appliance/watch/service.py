"""The loop of the watcher: once a second it polls who publishes, records what was seen, and says how it is.

Who is new, or in another state, is recorded in between.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from appliance.config import Config
from appliance.disk import FOR_PEOPLE_BYTES, Reserve
from appliance.errors import UserError
from appliance.images import ImageFiles
from appliance.keeping import Keeping
from appliance.language import N_
from appliance.media.mediamtx import Client, read_url
from appliance.previews import Previews
from appliance.rules.detections import erase_some
from appliance.secrets import secret_from_file
from appliance.service import HEARTBEAT_S, notify
from appliance.store import Store
from appliance.times import Now, now
from appliance.vision.analysis import Analysis
from appliance.vision.backends import Backends
from appliance.vision.budget import Budget, Costs, measured_costs, processors
from appliance.vision.detector import Detector
from appliance.vision.golden import self_test
from appliance.vision.onnx import load_detector
from appliance.vision.reading.reach import Reach
from appliance.watch.kept import Kept
from appliance.watch.publishers import Origin, Publisher, Publishers
from appliance.watch.recorder import Recorder
from appliance.watch.retention import Retention
from appliance.watch.rounding import rounded
from appliance.watch.status import Status, but_for_health
from appliance.watch.sums import Sums
from appliance.watch.views import Views, fault_of
from appliance.watch.zones import Zones

log = logging.getLogger(__name__)

POLL_S = 1.0
GATHER_S = 0.05  # who comes in the same frame is recorded together
WRITE_PAUSE_S = 0.25  # between two transactions
HEALTH_PAUSE_S = 10.0  # it moves all the time, and is no reason to wear out an SD card
TIDY_S = 60.0
RESUME_S = 10.0  # who was seen so short a time ago may still be in view after a restart
STOP_S = 2.0
CONNECTED = N_("Somebody is connected with this stream's key; waiting for data from there.")
STARTING = N_("Starting: the model is being tested.")
NOT_JUDGED = N_("Nothing is judged: {error}")
SELF_TEST_FAILS = N_("Nothing is judged, because the model fails its self-test: {problems}")
NOT_WRITTEN = N_("The record cannot be written ({error}); free some room on the disk.")
BUSY_TIMEOUT_S = 1.0  # what cannot be written now is tried again a second later anyway


def usable_detector(config: Config) -> tuple[Detector | None, str | None]:
    """The detector if it passes its self-test; else None and what is wrong, for a person to read."""
    try:
        detector = load_detector(config.vision.model)
        problems = self_test(detector)
    except UserError as error:
        return None, NOT_JUDGED.format(error=error)
    if problems:
        return None, SELF_TEST_FAILS.format(problems="; ".join(problems))
    return detector, None


class Watcher:
    """The service. All of it but the analyses runs in one thread, with one Store."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.store = Store.open(config.store_path, BUSY_TIMEOUT_S)
        self.secret = secret_from_file(config.local_secret_path)
        self.reach = Reach(config.source_folders, frozenset(config.sources.own_ports))
        self.images = ImageFiles(config.images_dir)
        self.previews = Previews(config.run)
        self.reserve = Reserve(config.state)
        self.recorder = Recorder(self.images, self.reserve)
        self.retention = Retention(self.images, config.images, self.reserve)
        self.kept = Kept(config, self.previews)
        self.sums = Sums()
        self.zones = Zones()
        self.views = Views()
        self.publishers = Publishers(Client(config.media.api_port, self.secret))
        self.analyses: dict[int, Analysis] = {}
        self.budget = Budget(processors() * 1000 * config.vision.cpu_share)
        self.judging: tuple[Detector, Costs] | None = None
        self.backends: Backends | None = None
        self.model_problem: str | None = STARTING
        self.store_problem: str | None = None
        self.started_utc = time.time()
        self._statuses: dict[int, Status] = {}
        self._stored: dict[int, Status] | None = None  # None: not even that we have begun
        self._heartbeat_due_s = self._tidy_due_s = self._retain_due_s = self._health_due_s = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Watch until `stopping` is set."""
        try:
            self._write(now())
        except sqlite3.Error as error:
            log.error("the store cannot be written (%s); trying again", error)
        detector, self.model_problem = usable_detector(self.config)
        if detector is not None:
            self.begin_judging(detector)
        if self.model_problem:
            log.error("%s", self.model_problem)
        notify("READY=1")
        try:
            self.loop(stopping)
        finally:
            self._stop()

    def begin_judging(self, cpu: Detector) -> None:
        """Judge on the CPU, and on a GPU as soon as one does it right."""
        vision = self.config.vision
        self.backends = Backends(vision.backend, vision.model, cpu, self.config.engines_dir)
        costs = measured_costs(cpu)
        costs.spent_s = self.backends.judge.spent_s
        self.judging, self.model_problem = (self.backends.judge, costs), None
        self.backends.start()

    def judge_with(self, detector: Detector) -> None:
        """Analyse streams with this detector, which passed its self-test. Measures what it costs here."""
        self.judging, self.model_problem = (detector, measured_costs(detector)), None

    def loop(self, stopping: threading.Event) -> None:
        """A step at each full second, until `stopping` is set; news are written in between."""
        written_s, poll_due_s = 0.0, _next_poll_s()
        while not stopping.is_set():
            if time.monotonic() >= poll_due_s:
                self.step(now())
                written_s, poll_due_s = time.monotonic(), _next_poll_s()
            elif self.recorder.news.wait(poll_due_s - time.monotonic()):
                write_due_s = max(time.monotonic() + GATHER_S, written_s + WRITE_PAUSE_S)
                stopping.wait(max(0.0, min(write_due_s, poll_due_s) - time.monotonic()))
                if time.monotonic() < poll_due_s:
                    self.write_news(now())
                    written_s = time.monotonic()

    def step(self, moment: Now) -> None:
        """One poll, one write. Trouble with the store is logged and tried again with nothing lost."""
        notify("WATCHDOG=1")  # here alone: a loop that only writes does not watch
        with self._trouble_told():
            if moment.uptime_s >= self._tidy_due_s:
                self._tidy(moment)  # first: it makes room
            self._statuses = self._health_held(self._poll(moment), moment)
            self.sums.watch([each for each, status in self._statuses.items() if status.is_judged], moment)
            self._write(moment)

    def write_news(self, moment: Now) -> None:
        """Record who came or changed, without a poll. While the store has trouble, this is left to the steps."""
        if not self.store_problem:
            with self._trouble_told():
                self._write(moment)

    @contextmanager
    def _trouble_told(self) -> Iterator[None]:
        try:
            yield
            if self.store_problem:
                log.info("the store can be written again")
            self.store_problem = None
        except sqlite3.Error as error:
            self.store.make_room(FOR_PEOPLE_BYTES)
            if self.store_problem is None:
                log.error(
                    "the store cannot be written (%s); trying again, %d persons wait", error, self.recorder.waiting()
                )
            self.store_problem = NOT_WRITTEN.format(error=error)

    def _poll(self, moment: Now) -> dict[int, Status]:
        """Who publishes, who is being analysed; starts and stops analyses to fit."""
        publishers = self.publishers.poll(self.store.streams.active_keys(), moment.uptime_s)
        sources = self.store.streams.active_sources()
        # What the ingest plays lies on loopback, where nothing that a person typed may lead.
        origins = {
            stream_id: Origin(read_url(self.config, self.publishers.engine, publisher.path, self.secret))
            for stream_id, publisher in publishers.items()
        }
        origins |= {each: Origin(source.url, self.reach, source.watch_url) for each, source in sources.items()}
        self._reconcile(origins, moment)
        self.kept.follow(self.store, self.analyses, self.recorder, self.sums)
        self.zones.follow(self.store, self.analyses)
        self.views.follow(self.store, self.analyses)
        statuses = {stream_id: Status(False, None, CONNECTED) for stream_id in self.publishers.waiting}
        statuses |= {stream_id: self._pushed(publisher) for stream_id, publisher in publishers.items()}
        return statuses | {stream_id: self._pulled(stream_id) for stream_id in sources}

    def _pushed(self, publisher: Publisher) -> Status:
        return self._status(publisher.stream_id, True, publisher.remote)

    def _pulled(self, stream_id: int) -> Status:
        analysis = self.analyses.get(stream_id)
        return self._status(stream_id, analysis is not None and analysis.camera.is_live, None)

    def _status(self, stream_id: int, live: bool, remote: str | None) -> Status:
        analysis = self.analyses.get(stream_id)
        if analysis is None:
            return Status(live, remote, self.model_problem)
        camera, interval_s = analysis.camera, analysis.camera.condition.key_interval_s
        return Status(
            live,
            remote,
            analysis.problem,
            analysis.watch_problem,
            codec=camera.condition.codec,
            width=camera.width,
            height=camera.height,
            transport=camera.transport if camera.has_transports else None,
            key_interval_s=None if interval_s is None else round(interval_s),
            decoded_by=analysis.decoded_by,
            health=rounded(analysis.health),
            work=analysis.work,
            fault=fault_of(analysis),
        )

    def _health_held(self, statuses: dict[int, Status], moment: Now) -> dict[int, Status]:
        """The statuses, but as they are stored where only their health or work differs, for a while."""
        if moment.uptime_s >= self._health_due_s:
            self._health_due_s = moment.uptime_s + HEALTH_PAUSE_S
            return statuses
        stored = self._stored or {}
        return {each: but_for_health(status, stored.get(each)) for each, status in statuses.items()}

    def _reconcile(self, origins: Mapping[int, Origin], moment: Now) -> None:
        for stream_id, analysis in list(self.analyses.items()):
            if not analysis.is_alive():
                log.error("the analysis of stream %d died or hangs; starting it again", stream_id)
            present = Origin(analysis.url, analysis.reach, analysis.watch_url)
            if origins.get(stream_id) != present or not analysis.is_alive():
                analysis.stop()
                analysis.join(STOP_S)
                del self.analyses[stream_id]
                self.previews.forget(stream_id)
        for stream_id, origin in origins.items():
            if stream_id not in self.analyses and self.judging is not None:
                self._begin(stream_id, origin, *self.judging, moment)

    def _begin(self, stream_id: int, origin: Origin, detector: Detector, costs: Costs, moment: Now) -> None:
        vision = self.config.vision
        stream = self.store.streams.get(stream_id, moment)
        analysis = Analysis(
            stream_id,
            origin.url,
            detector,
            vision,
            self.kept.mode(stream.keeping if stream else Keeping()),
            self.previews,
            self.recorder.take,
            origin.reach,
            self.budget,
            costs,
            transport=(stream and stream.transport) or "tcp",
            watch_url=origin.watch_url,
        )
        recent = self.store.detections.open_since(stream_id, moment.utc - RESUME_S)
        analysis.resume([(stored.id, stored.detection) for stored in recent])
        self.zones.begin(self.store, analysis)
        self.views.begin(self.store, analysis, moment.uptime_s)
        self.analyses[stream_id] = analysis
        analysis.start()

    def _write(self, moment: Now) -> None:
        """One transaction, if there is anything to say. Raises sqlite3.Error."""
        statuses = self._statuses
        heartbeat = moment.uptime_s >= self._heartbeat_due_s
        due = self.recorder.tally.due(moment.utc)
        waits = self.recorder.waiting() or self.zones.waits(self.analyses, moment.utc)
        if statuses == self._stored and not heartbeat and not waits and not due:
            return
        with self.store.writing():
            if self._stored is None:
                self.store.streams.all_offline(moment.utc)
            else:  # first: who crossed a line did so by the clock that was
                self.zones.write(self.store, self.analyses, moment.utc)
            self._write_statuses(statuses, self._stored or {}, moment)
            self.sums.write(self.store, moment)
            self.recorder.write(self.store, moment.uptime_s)
            if due:
                self.store.without_row.add(due.counts, due.start_utc)
            if heartbeat:
                judging = self.backends.judging if self.backends else None
                self.store.services.heartbeat("watch", os.getpid(), self.started_utc, self._problem(), moment, judging)
        self.recorder.committed(moment.uptime_s)
        self.recorder.tally.committed()
        self.sums.committed(moment)
        self.zones.committed()
        self._stored = statuses
        if heartbeat:
            self._heartbeat_due_s = moment.uptime_s + HEARTBEAT_S

    def _write_statuses(self, statuses: dict[int, Status], stored: dict[int, Status], moment: Now) -> None:
        streams = self.store.streams
        existing = streams.ids()
        for stream_id in (stored.keys() - statuses.keys()) & existing:
            streams.set_offline(stream_id, moment.utc)
            streams.set_problem(stream_id, None)
        for stream_id in statuses.keys() & existing:
            status, before = statuses[stream_id], stored.get(stream_id, Status(False))
            if status == before:
                continue
            if status.live and not before.live:
                streams.set_live(stream_id, status.remote, moment.utc)
            elif before.live and not status.live:
                streams.set_offline(stream_id, moment.utc)
            streams.set_problem(stream_id, status.problem, status.watch_problem)
            if status.width:
                shape = (status.codec, status.width, status.height)
                streams.describe(stream_id, *shape, status.transport, status.key_interval_s, status.decoded_by)
            streams.set_health(stream_id, status.health, status.work)
            if stream_id in self.analyses and (status.fault != before.fault or not before.live):
                streams.set_picture_fault(stream_id, *(status.fault or (None, None)))

    def _problem(self) -> str | None:
        return self.model_problem or self.publishers.problem or self.recorder.problem

    def _tidy(self, moment: Now) -> None:
        """Once a minute, and at the start: erase what was deleted, forget what is past its time."""
        more = erase_some(self.store, self.images)
        self._tidy_due_s = moment.uptime_s + (0.0 if more else TIDY_S)  # first: whatever cannot be done waits a minute
        if moment.uptime_s >= self._retain_due_s:
            self._retain_due_s = moment.uptime_s + TIDY_S
            self.reserve.make()
            self._keep_room()
            try:
                self.retention.step(self.store, moment)
            except OSError as error:
                log.error("images that are too old cannot be removed: %s", error)
            self.sums.tidy(self.store, moment)
            self.views.keep(self.store, self.analyses, moment)
        if self.kept.forget(self.store, moment):
            self._tidy_due_s = moment.uptime_s

    def _keep_room(self) -> None:
        with suppress(OSError):
            if not self.reserve.is_needed():
                self.store.keep_room()

    def _stop(self) -> None:
        for analysis in self.analyses.values():
            analysis.stop()
        for analysis in self.analyses.values():
            analysis.join(STOP_S)
        if self.backends is not None:
            self.backends.stop()
        try:
            with self.store.writing():
                if self._stored is not None:
                    self.zones.write(self.store, self.analyses, now().utc, everything=True)
                self.sums.write(self.store, now(), everything=True)
                self.recorder.write(self.store, now().uptime_s, everything=True)
                self.store.streams.all_offline(now().utc)
            self.recorder.committed(now().uptime_s)
            if due := self.recorder.tally.due(now().utc, everything=True):
                with self.store.writing():
                    self.store.without_row.add(due.counts, due.start_utc)
            self.views.keep(self.store, self.analyses, now(), everything=True)
        except sqlite3.Error as error:
            log.error("the last %d persons could not be recorded: %s", self.recorder.waiting(), error)
        self.store.close()


def _next_poll_s() -> float:
    return (time.monotonic() // POLL_S + 1) * POLL_S


def serve(config: Config) -> None:
    """Watch until SIGTERM. Raises UserError."""
    Watcher(config).run(threading.Event())
