"""From sightings to the record: what the analyses saw waits here until the next transaction."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from appliance.disk import Reserve
from appliance.images import ImageFiles
from appliance.keeping import STRICTNESS, ImageMode
from appliance.language import N_, _
from appliance.outside import system_words
from appliance.secrets import new_token
from appliance.store import PictureKind, Store, StoredImage, StoredPicture
from appliance.vision.analysis import Sighting
from appliance.vision.beside import Beside
from appliance.watch.tally import Tally

log = logging.getLogger(__name__)

UPDATE_PAUSE_S = 2.0
IMAGE_PAUSE_S = 5.0
MAX_WAITING = 10_000
MAX_WAITING_IMAGES = 500  # about 10 MB
MAX_WAITING_BESIDE = 100  # persons, of whom something waits to be kept beside the image; about 5 MB
IMAGES_LOST = N_("Images cannot be written ({reason}); detections are kept without.")
FULL = N_("More persons wait to be recorded than fit into memory; those who come now are lost.")


@dataclass(slots=True)
class _Person:
    """How far the record of one person is. Times are seconds of the uptime clock."""

    newest: Sighting  # without its image
    detection_id: int | None
    stored: Sighting | None = None  # what the store has
    stored_s: float = 0.0
    jpeg: bytes | None = None  # not yet on the disk
    placed: StoredImage | None = None  # on the disk, not yet in the store
    beside: list[Beside] = field(default_factory=list)  # not yet on the disk
    placed_beside: list[StoredPicture] = field(default_factory=list)  # on the disk, not yet in the store
    image_s: float = 0.0
    deleted: bool = False  # somebody deleted the detection while the person was still in view

    @property
    def waiting(self) -> bool:
        """Whether the store does not have the newest of it."""
        return self.newest is not self.stored


class Recorder:
    """Takes sightings from any thread; `write` puts what is due into the store, from one thread only.

    If the disk is full or the store is busy, everything waits in memory and is tried again: nothing is lost while
    the process lives. `problem` says so, for a person to read.
    """

    def __init__(self, images: ImageFiles, reserve: Reserve, tally: Tally | None = None) -> None:
        self.tally = tally or Tally()
        self.images = images
        self.reserve = reserve
        self.problem: str | None = None
        self.news = threading.Event()  # somebody came, or is in another state: worth a transaction soon
        self._modes: dict[int, ImageMode] = {}
        self._people: dict[str, _Person] = {}
        self._batch: list[tuple[_Person, Sighting, int | None]] = []
        self._left: list[Sighting] = []
        self._lock = threading.Lock()

    def take(self, sighting: Sighting) -> None:
        """Remember what an analysis saw; quick."""
        with self._lock:
            person = self._people.get(sighting.key)
            if _is_news(sighting, person):
                self.news.set()
            if person is None:
                if len(self._people) >= MAX_WAITING:
                    self._say(FULL)
                    return
                person = self._people[sighting.key] = _Person(sighting, sighting.detection_id)
            person.newest = replace(sighting, jpeg=None, beside=())
            if sighting.jpeg and (person.jpeg or self._waiting_images() < MAX_WAITING_IMAGES):
                person.jpeg = sighting.jpeg
            if sighting.beside and (person.beside or self._waiting_beside() < MAX_WAITING_BESIDE):
                person.beside = _newest_scene([*person.beside, *sighting.beside])

    def follow(self, modes: Mapping[int, ImageMode]) -> None:
        """What is written of the images of these streams from now on. Images that wait were taken for what was before.

        Where that was less strict, they are dropped: nobody should find one that was forbidden a moment ago.
        """
        with self._lock:
            for person in self._people.values():
                mode, before = modes.get(person.newest.stream_id), self._modes.get(person.newest.stream_id)
                if mode is not None and before is not None and STRICTNESS[mode] > STRICTNESS[before]:
                    person.jpeg, person.beside = None, []
            self._modes = dict(modes)

    def waiting(self) -> int:
        """How many persons are not yet stored as they are now."""
        with self._lock:
            return sum(person.waiting for person in self._people.values())

    def _waiting_images(self) -> int:
        return sum(person.jpeg is not None for person in self._people.values())

    def _waiting_beside(self) -> int:
        return sum(bool(person.beside) for person in self._people.values())

    def write(self, store: Store, uptime_s: float, everything: bool = False) -> None:
        """Store what is due, within the caller's transaction (store.writing()). Raises sqlite3.Error.

        Call `committed` after the commit: only then is anything taken as stored.
        """
        if store.privacy.statistics_only():
            self._batch = self._tallied(store)
            return
        with self._lock:
            self.news.clear()
            due = [person for person in self._people.values() if everything or _is_due(person, uptime_s)]
        streams = store.streams.ids()
        for person in due:
            if person.newest.stream_id not in streams:
                person.deleted = True
            if not person.deleted:
                self._place_image(person, uptime_s, everything)
                self._place_beside(person)
        self._sync(due)
        self._batch = [(person, person.newest, self._store(store, person)) for person in due]

    def _tallied(self, store: Store) -> list[tuple[_Person, Sighting, int | None]]:
        """Of whoever has left, who is to be counted: nobody who was recorded before, and counted by that."""
        with self._lock:
            self.news.clear()
            for person in self._people.values():
                person.jpeg = person.placed = None
                person.beside, person.placed_beside = [], []
            gone = [person for person in self._people.values() if person.newest.ended]
        streams = store.streams.ids()
        new = [person for person in gone if person.detection_id is None and not person.deleted]
        self._left = [person.newest for person in new if person.newest.stream_id in streams]
        return [(person, person.newest, None) for person in gone]

    def _place_image(self, person: _Person, uptime_s: float, everything: bool) -> None:
        """Put a new image on the disk, if there is one and the last was not just now. Without room: no image."""
        at_once = person.detection_id is None or person.newest.ended or everything
        if person.jpeg is None or person.placed or not (at_once or uptime_s - person.image_s >= IMAGE_PAUSE_S):
            return
        try:
            if self.reserve.is_needed():  # rows are smaller, and matter more
                self._say(IMAGES_LOST.format(reason=_("the disk is full")))
                return
            place = self.images.append(person.jpeg, person.newest.detection.last_seen_utc)
        except OSError as error:
            self._say(IMAGES_LOST.format(reason=system_words(error)))
            return
        person.placed = StoredImage(place.day, place.offset, place.size_bytes, new_token(), crc32=place.crc32)
        person.jpeg, person.image_s = None, uptime_s
        self._say(None)

    def _place_beside(self, person: _Person) -> None:
        """The same for what is kept beside the image, as far as there is one; what finds no room is given up."""
        with self._lock:
            if not person.beside or not person.image_s:
                return
            waiting, person.beside = person.beside, []
        utc = person.newest.detection.last_seen_utc
        try:
            if self.reserve.is_needed():
                return
            for each in waiting:
                place = self.images.append(each.jpeg, utc)
                kind = PictureKind.SCENE if each.bbox else PictureKind.FACE
                person.placed_beside.append(
                    StoredPicture(
                        place.day, place.offset, place.size_bytes, new_token(), kind, each.at_utc, each.bbox,
                        crc32=place.crc32,
                    )
                )  # fmt: skip
        except OSError as error:
            self._say(IMAGES_LOST.format(reason=system_words(error)))

    def _sync(self, due: list[_Person]) -> None:
        """Images must be on the disk before the store refers to them; else they are given up."""
        days = {person.placed.day for person in due if person.placed}
        for day in days | {each.day for person in due for each in person.placed_beside}:
            try:
                self.images.sync(day)
            except OSError as error:
                self._say(IMAGES_LOST.format(reason=system_words(error)))
                for person in due:
                    person.placed, person.placed_beside = None, []

    def _store(self, store: Store, person: _Person) -> int | None:
        """Insert or update one person; the detection's id, None if it is gone."""
        detection_id = self._store_row(store, person)
        for each in person.placed_beside:
            if detection_id is None or not store.pictures.add(detection_id, each):
                store.erasures.add(each)
        return detection_id

    def _store_row(self, store: Store, person: _Person) -> int | None:
        detection_id = person.detection_id
        if person.deleted:
            detection_id = None
        elif detection_id is None:
            return store.detections.add(person.newest.stream_id, person.newest.detection, person.placed)
        elif not store.detections.update(detection_id, person.newest.detection):
            detection_id = None
        if person.placed and detection_id is None:
            store.erasures.add(person.placed)
        elif person.placed and detection_id is not None:
            store.detections.set_image(detection_id, person.placed)
        return detection_id

    def committed(self, uptime_s: float) -> None:
        """The transaction is on the disk: forget who has left."""
        for person, sighting, detection_id in self._batch:
            person.deleted = detection_id is None
            person.detection_id, person.stored, person.stored_s = detection_id, sighting, uptime_s
            person.placed, person.placed_beside = None, []
        for sighting in self._left:
            self.tally.add(sighting.stream_id, sighting.detection.state)
        self._batch, self._left = [], []
        with self._lock:
            gone = [key for key, person in self._people.items() if person.newest.ended and not person.waiting]
            for key in gone:
                del self._people[key]
        if self.problem == FULL and len(self._people) < MAX_WAITING:
            self._say(None)

    def _say(self, problem: str | None) -> None:
        if problem and problem != self.problem:
            log.error("%s", problem)
        self.problem = problem


def _newest_scene(waiting: list[Beside]) -> list[Beside]:
    """What waits, without the scenes that a later one takes the place of."""
    scenes = [each for each in waiting if each.bbox]
    return [each for each in waiting if not each.bbox or each is scenes[-1]]


def _is_news(sighting: Sighting, person: _Person | None) -> bool:
    if person is None:
        return sighting.detection_id is None
    return sighting.detection.state is not person.newest.detection.state


def _is_due(person: _Person, uptime_s: float) -> bool:
    newest, stored = person.newest, person.stored
    return person.waiting and (
        stored is None
        or newest.ended
        or newest.detection.state is not stored.detection.state
        or uptime_s - person.stored_s >= UPDATE_PAUSE_S
    )
