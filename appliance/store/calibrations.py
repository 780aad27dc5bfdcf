"""Calibrations of cameras: which faces were drawn, from how many, and how people labelled them."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.address import shown
from appliance.calibration import SURE, Stratum, Told
from appliance.faces import CLASSES, PictureFault, State
from appliance.sqlite import Database
from appliance.store.summaries_schema import BY_HAND
from appliance.times import utc_seconds, utc_text


@dataclass(frozen=True, slots=True)
class Camera:
    """What a calibration holds for: the model, the size of the frame, the source and the zones of a stream.

    source: where the box fetches it, without secrets; empty: by a key. zones: a digest; empty: there are none.
    view: how often somebody had said that this is the camera's new view; MOVED: it shows another, and nobody said so.
    """

    model: str
    frame_width: int
    frame_height: int
    source: str
    zones: str
    view: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """One sample of faces of a stream. since_utc: when the first person was seen whom it speaks of.

    drawn: how many faces; labelled: how many a person was asked about; told: of how many of them they could tell the
    state; left: how many can still be asked about: they have an image, and no label.
    """

    id: int
    stream_id: int
    begun_utc: float
    by_name: str
    since_utc: float
    camera: Camera
    drawn: int
    labelled: int
    told: int
    left: int

    @property
    def finished(self) -> bool:
        """Whether nobody is to be asked any more."""
        return self.left == 0


@dataclass(frozen=True, slots=True)
class DrawnFace:
    """A face of a sample that is to be labelled."""

    position: int
    detection_id: int


MOVED = -1
_JUDGED = "coalesce(judged_state, state)"
_STATES = ", ".join(f"'{state.value}'" for state in CLASSES)
_FRAME = f"""
    stream_id = :stream_id and image_day is not null and last_seen_utc < :until and model = :model
      and frame_width = :width and frame_height = :height and votes > 0 and {_JUDGED} in ({_STATES})
      and (edited_by is null or judged_state is not null)
"""
_SURE = f"(confidence >= {SURE})"
_OPEN = """
    calibration_faces join detections on detections.id = detection_id
    where calibration_id = :id and label is null and image_day is not null
"""
_SELECT = f"""
    select calibrations.*,
      (select count(*) from calibration_faces where calibration_id = calibrations.id) as drawn,
      (select count(label) from calibration_faces where calibration_id = calibrations.id) as labelled,
      (select count(*) from calibration_faces where calibration_id = calibrations.id and label <> 'unknown') as told,
      (select count(*) from {_OPEN.replace(":id", "calibrations.id")}) as left
    from calibrations
"""


class Calibrations:
    """The statements. Writes belong inside store.writing()."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def camera(self, stream_id: int) -> Camera | None:
        """What the newest person of a stream was judged by, and its source and zones now; None: nobody was yet."""
        row = self.db.execute(
            "select model, frame_width, frame_height, source_url,"
            f" iif(picture_fault = '{PictureFault.MOVED.value}', {MOVED}, coalesce(asked, 0)) as view"
            " from detections join streams on streams.id = detections.stream_id"
            " left join stream_status using (stream_id) left join views using (stream_id)"
            f" where detections.stream_id = ? and votes > 0 and substr(model, 1, {len(BY_HAND)}) <> '{BY_HAND}'"
            " order by first_seen_utc desc limit 1",
            [stream_id],
        ).fetchone()
        if row is None:
            return None
        source = shown(row["source_url"] or "")
        return Camera(
            row["model"], row["frame_width"], row["frame_height"], source, self._zones(stream_id), row["view"]
        )

    def _zones(self, stream_id: int) -> str:
        """What tells one set of zones from another; lines change nothing of who is judged."""
        rows = self.db.execute(
            "select kind, points from zones where stream_id = ? and kind <> 'line' order by kind, points", [stream_id]
        )
        zones = [tuple(row) for row in rows]
        return hashlib.sha256(json.dumps(zones).encode()).hexdigest()[:16] if zones else ""

    def strata(self, stream_id: int, camera: Camera, until_utc: float) -> list[Stratum]:
        """The persons that could be drawn: with an image, judged as the camera is now, gone by until_utc."""
        rows = self.db.execute(
            f"select {_JUDGED} as judged, {_SURE} as sure, count(*) as persons from detections"
            f" where {_FRAME} group by 1, 2 order by 1, 2",
            _frame(stream_id, camera, until_utc),
        )
        return [Stratum(State(row["judged"]), bool(row["sure"]), row["persons"]) for row in rows]

    def begin(
        self,
        stream_id: int,
        camera: Camera,
        drawn: Sequence[tuple[Stratum, int]],
        by_name: str,
        now_utc: float,
        until_utc: float,
        chance: random.Random,
    ) -> int:
        """Draw so many of each stratum by chance, and put them in an order by chance; the calibration's id."""
        first = self.db.execute(
            "select min(first_seen_utc) as since_utc from detections"
            " where stream_id = ? and model = ? and frame_width = ? and frame_height = ?",
            [stream_id, camera.model, camera.frame_width, camera.frame_height],
        ).fetchone()
        cursor = self.db.execute(
            "insert into calibrations (stream_id, begun_utc, by_name, since_utc, model, frame_width, frame_height,"
            " source, zones, view) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(stream_id, utc_text(now_utc), by_name, first["since_utc"], camera.model),
                *(camera.frame_width, camera.frame_height, camera.source, camera.zones, camera.view),
            ],
        )
        calibration_id = int(cursor.lastrowid or 0)
        faces = self._drawn(_frame(stream_id, camera, until_utc), drawn, chance)
        chance.shuffle(faces)
        self.db.conn.executemany(
            "insert into calibration_strata (calibration_id, judged, sure, persons) values (?, ?, ?, ?)",
            [(calibration_id, each.judged.value, int(each.sure), each.persons) for each, _ in drawn],
        )
        self.db.conn.executemany(
            "insert into calibration_faces (calibration_id, position, detection_id, judged, sure, confidence)"
            " values (?, ?, ?, ?, ?, ?)",
            [(calibration_id, position, *face) for position, face in enumerate(faces)],
        )
        return calibration_id

    def _drawn(
        self, frame: dict[str, str | int], drawn: Sequence[tuple[Stratum, int]], chance: random.Random
    ) -> list[tuple[int, str, int, float]]:
        ranks = [
            [stratum.judged.value, int(stratum.sure), rank + 1]
            for stratum, faces in drawn
            for rank in chance.sample(range(stratum.persons), faces)
        ]
        rows = self.db.execute(
            "select id, judged, sure, confidence from ("
            f"select id, {_JUDGED} as judged, {_SURE} as sure, confidence,"
            f" row_number() over (partition by {_JUDGED}, {_SURE} order by id) as rank from detections where {_FRAME})"
            " where (judged, sure, rank) in"
            " (select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')"
            " from json_each(:ranks)) order by id",
            {**frame, "ranks": json.dumps(ranks)},
        )
        return [(row["id"], row["judged"], row["sure"], row["confidence"]) for row in rows]

    def of_stream(self, stream_id: int) -> list[Calibration]:
        """The calibrations of a stream, newest first."""
        rows = self.db.execute(f"{_SELECT} where stream_id = ? order by id desc", [stream_id])
        return [_calibration(row) for row in rows]

    def streams(self) -> set[int]:
        """The streams that have any."""
        return {row["stream_id"] for row in self.db.execute("select distinct stream_id from calibrations")}

    def labelled(self, calibration_id: int) -> list[Stratum]:
        """Its strata with what people told of their faces."""
        told: dict[tuple[str, int], list[Told]] = {}
        for row in self.db.execute(
            "select judged, sure, label, confidence from calibration_faces"
            " where calibration_id = ? and label <> 'unknown' order by position",
            [calibration_id],
        ):
            told.setdefault((row["judged"], row["sure"]), []).append(Told(State(row["label"]), row["confidence"]))
        rows = self.db.execute(
            "select judged, sure, persons from calibration_strata where calibration_id = ?", [calibration_id]
        )
        return [
            Stratum(
                State(row["judged"]),
                bool(row["sure"]),
                row["persons"],
                tuple(told.get((row["judged"], row["sure"]), ())),
            )
            for row in rows
        ]

    def next_face(self, calibration_id: int) -> DrawnFace | None:
        """The face that is to be labelled next; None: none is left."""
        row = self.db.execute(
            f"select position, detection_id from {_OPEN} order by position limit 1", {"id": calibration_id}
        ).fetchone()
        return DrawnFace(row["position"], row["detection_id"]) if row else None

    def label(self, calibration_id: int, position: int, state: State) -> int | None:
        """What a person says of a face; the id of its detection. None: it has a label, or is gone."""
        row = self.db.execute(
            "update calibration_faces set label = ?, labelled = ("
            "select coalesce(max(labelled), 0) + 1 from calibration_faces where calibration_id = ?)"
            " where calibration_id = ? and position = ? and label is null and detection_id is not null"
            " returning detection_id",
            [state.value, calibration_id, calibration_id, position],
        ).fetchone()
        return None if row is None else int(row["detection_id"])

    def take_back(self, calibration_id: int) -> int | None:
        """Take back the newest label whose face can be asked about again; the id of its detection. None: none can."""
        row = self.db.execute(
            "update calibration_faces set label = null, labelled = null where calibration_id = :id and position = ("
            "select position from calibration_faces join detections on detections.id = detection_id"
            " where calibration_id = :id and label is not null and image_day is not null"
            " order by labelled desc limit 1) returning detection_id",
            {"id": calibration_id},
        ).fetchone()
        return None if row is None else int(row["detection_id"])

    def forget(self, stream_id: int) -> int:
        """Remove all calibrations of a stream with their labels; how many there were."""
        return self.db.execute("delete from calibrations where stream_id = ?", [stream_id]).rowcount


def _frame(stream_id: int, camera: Camera, until_utc: float) -> dict[str, str | int]:
    return {
        "stream_id": stream_id,
        "until": utc_text(until_utc),
        "model": camera.model,
        "width": camera.frame_width,
        "height": camera.frame_height,
    }


def _calibration(row: sqlite3.Row) -> Calibration:
    camera = Camera(row["model"], row["frame_width"], row["frame_height"], row["source"], row["zones"], row["view"])
    return Calibration(
        id=row["id"],
        stream_id=row["stream_id"],
        begun_utc=utc_seconds(row["begun_utc"]),
        by_name=row["by_name"],
        since_utc=utc_seconds(row["since_utc"]),
        camera=camera,
        drawn=row["drawn"],
        labelled=row["labelled"],
        told=row["told"],
        left=row["left"],
    )
