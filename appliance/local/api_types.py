"""The JSON of the API: one type per shape. The OpenAPI document is made from these, so it cannot disagree."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from appliance import names
from appliance.address import shown
from appliance.faces import Counts as FaceCounts
from appliance.faces import Detection as FaceDetection
from appliance.faces import PictureFault, State
from appliance.keeping import MAX_DAYS, ImageMode
from appliance.local.words import UNKNOWN_WHILE_FULL
from appliance.rates import compliance
from appliance.reception import Reception, ReceptionState
from appliance.store import ServiceStatus, StoredDetection
from appliance.store import Stream as StoredStream
from appliance.store.measuring import Measured
from appliance.times import utc_text
from appliance.web.openapi import TIME_SCHEMA

# Said here and not checked: the rules refuse a wrong name, in the same words as on a page.
Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": names.MAX_LENGTH})]
Time = Annotated[str, Meta(extra_json_schema=TIME_SCHEMA)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Days = Annotated[int, Meta(ge=1, le=MAX_DAYS)]


class Health(Struct, kw_only=True):
    """How well a stream can be judged, of the last ten minutes; null: not known yet, or it is not live.

    too_small: share of persons whose faces were too small to judge. looks: share of the looks wanted that the box could
    afford. smallest_face_px: shorter side of the smallest face that is judged. decoding_ms: computing a second that
    decoding takes; idle_ms: while nothing moves, if key frames came each second (null: they do). delay_s: from when the
    camera showed a frame until it was judged, on average.
    """

    too_small: Ratio | None
    looks: Ratio | None
    smallest_face_px: float | None
    decoding_ms: float | None
    idle_ms: float | None
    delay_s: float | None


_RENAMED = {
    "live_since_utc": "live_since",
    "created_utc": "created",
    "picture_fault_since_utc": "picture_fault_since",
}


class Stream(Struct, kw_only=True, rename=_RENAMED):
    """A named video source. live: it is being received just now. source_url: what the box fetches, password masked.

    watch_url: a smaller picture of the same camera in which the box watches for movement, password masked.
    problem: why nobody in it is being judged. watch_problem: why the large picture is watched instead of the smaller.
    images, images_days, detections_days: what was chosen of what is kept; null: as the box has it.
    decoded_by: what decodes it just now, FFmpeg or a chip; null: nothing does, or it is not known yet.
    picture_fault: what is wrong with the picture that comes, if anything is: moved is a camera that looks elsewhere.
    state: unknown is the box's own fault, refused is somebody who sends and is not let in. state_since: since when
    (refused: when last); null: not known. state_words: what is wrong and what to do; null: nothing.
    """

    id: int
    owner: str
    name: str
    title: str
    has_key: bool
    source_url: str | None
    watch_url: str | None
    active: bool
    live: bool
    live_since_utc: str | None
    remote: str | None
    codec: str | None
    width: int | None
    height: int | None
    decoded_by: str | None
    problem: str | None
    watch_problem: str | None
    picture_fault: PictureFault | None
    picture_fault_since_utc: str | None
    health: Health
    images: ImageMode | None
    images_days: Days | None
    detections_days: Days | None
    created_utc: str
    state: ReceptionState
    state_since: str | None
    state_words: str | None


class StreamWithKey(Stream, kw_only=True):
    """A stream and its new stream key, which is shown this once."""

    stream_key: str | None


class NewStream(Struct, forbid_unknown_fields=True):
    """With source_url the box fetches it; without, people publish to it with a stream key. owner: for admins.

    source_user, source_password: of the camera, in plain text, if they do not stand in source_url.
    watch_url: a smaller picture of the same camera (its sub-stream), in which the box watches for movement.
    """

    name: Name
    source_url: str | None = None
    source_user: str | None = None
    source_password: str | None = None
    watch_url: str | None = None
    images: ImageMode | None = None
    images_days: Days | None = None
    detections_days: Days | None = None
    owner: str | None = None


class StreamChange(Struct, forbid_unknown_fields=True):
    """What is left out stays. source_url: fetch it from there from now on. owner: for admins.

    source_user, source_password: of the camera at source_url, or of the present one if that is left out.
    watch_url: null ends it; it also ends with its source, unless it is given with the new one.
    images: full (an admin's choice), eyes_pixelated, no_images; null: as the box's settings say. images_days: null: as
    long as the box keeps any, which is the most. detections_days: null: until somebody deletes them.
    """

    name: Name | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    source_url: str | UnsetType = UNSET
    source_user: str | UnsetType = UNSET
    source_password: str | UnsetType = UNSET
    watch_url: str | UnsetType | None = UNSET
    images: ImageMode | UnsetType | None = UNSET
    images_days: Days | UnsetType | None = UNSET
    detections_days: Days | UnsetType | None = UNSET
    owner: str | UnsetType = UNSET


class Detection(Struct, kw_only=True):
    """One person who passed. box: [x, y, width, height] in pixels of a frame of frame_width x frame_height.

    reason: why the state is unknown: the face was too small to judge. null: another reason, or another state.
    judged_state: what the box had judged, where a person said what the state is; null: nobody did, or it is not known.
    reviewed: whether somebody looked at it and marked it, or corrected it; reviewed_by, reviewed_at: who, and when.
    """

    id: int
    stream_id: int
    stream: str
    first_seen: str
    last_seen: str
    state: State
    reason: Literal["too_small"] | None
    confidence: Ratio
    votes: int
    box: tuple[float, float, float, float]
    frame_width: int
    frame_height: int
    model: str
    edited_by: str | None
    judged_state: State | None
    image: str | None
    reviewed: bool
    reviewed_by: str | None
    reviewed_at: str | None


class NewDetection(Struct, forbid_unknown_fields=True):
    """One entered by hand or by an import. Times: ISO 8601 with their zone. last_seen: first_seen if left out."""

    stream_id: int
    state: State
    first_seen: Time
    last_seen: Time | None = None
    confidence: Ratio = 1.0


class DetectionChange(Struct, forbid_unknown_fields=True):
    """A person says what the state really is, whether they reviewed it, or both. A correction is a review, too."""

    state: State | UnsetType = UNSET
    reviewed: bool | UnsetType = UNSET


class Counts(Struct, kw_only=True):
    """Persons by state. compliance: mask / (mask + no_mask + incorrect) with its 95 % interval; null if nobody.

    judged: of how many persons that is; enough: whether these are so many that the box's own pages show it.
    corrected: the compliance without the errors of the cameras, with its interval; null: not all are calibrated, or a
    state or a search is asked for. wrong: of those whom the box judged, the share that a person said to be of another
    state, with its interval: at least so many were judged wrongly; null: nobody was corrected.
    """

    total: int
    mask: int
    no_mask: int
    incorrect: int
    unknown: int
    compliance: Ratio | None
    compliance_low: Ratio | None
    compliance_high: Ratio | None
    judged: int
    enough: bool
    corrected: Ratio | None = None
    corrected_low: Ratio | None = None
    corrected_high: Ratio | None = None
    wrong: Ratio | None = None
    wrong_low: Ratio | None = None
    wrong_high: Ratio | None = None


class Judging(Struct, kw_only=True, rename={"since_utc": "since"}):
    """What judges the streams. backend: onnx (the processor), tensorrt or jetson. progress: what is being prepared."""

    backend: str
    name: str
    reason: str
    since_utc: str
    progress: str | None


class Service(Struct, kw_only=True, rename={"started_utc": "started"}):
    """A service of the box. alive: its last heartbeat is a few seconds old at most. judging: of the watcher."""

    name: str
    alive: bool
    started_utc: str
    problem: str | None
    judging: Judging | None


class Status(Struct, kw_only=True):
    """How the box is. statistics_only_since: since when it keeps no detections and no images; null: it does."""

    box: str
    time: str
    statistics_only_since: str | None
    services: list[Service]
    live: list[str]


class StreamPage(Struct, kw_only=True):
    """Streams by title; where a page was asked for, by id. next: the address of the following page, a link; null: none.

    Without `limit` and `after` they are all in one answer.
    """

    streams: list[Stream]
    next: str | None


class DetectionPage(Struct, kw_only=True):
    """Detections, newest first. next: the address of the following page, a link; null on the last one."""

    detections: list[Detection]
    next: str | None


_STORED = tuple(name for name in Stream.__struct_fields__ if not name.startswith("state"))
"""The fields that the record has, too."""


def stream_json(stream: StoredStream, received: Reception) -> Stream:
    """A stream as the API shows it. received: how it is received."""
    health = msgspec.convert(stream.health, Health, from_attributes=True)
    values = {name: getattr(stream, name) for name in _STORED}
    values["source_url"] = shown(stream.source_url) if stream.source_url else None
    values["watch_url"] = shown(stream.watch_url) if stream.watch_url else None
    return Stream(
        **{**values, "health": health},
        state=received.state,
        state_since=received.since_utc,
        state_words=received.words or None,
    )


def with_key(stream: Stream, key: str | None) -> StreamWithKey:
    """A stream as the API shows it, and the key that was made for it just now."""
    return StreamWithKey(**msgspec.structs.asdict(stream), stream_key=key)


def detection_json(stored: StoredDetection, prefix: str = "") -> Detection:
    """A detection as the API shows it. prefix: the path below which the site lies."""
    seen: FaceDetection = stored.detection
    left, top, right, bottom = seen.bbox_px
    return Detection(
        id=stored.id,
        stream_id=stored.stream_id,
        stream=stored.stream,
        first_seen=utc_text(seen.first_seen_utc),
        last_seen=utc_text(seen.last_seen_utc),
        state=seen.state,
        reason="too_small" if seen.too_small else None,
        confidence=round(seen.confidence, 4),
        votes=seen.votes,
        box=(round(left, 1), round(top, 1), round(right - left, 1), round(bottom - top, 1)),
        frame_width=seen.frame_width,
        frame_height=seen.frame_height,
        model=seen.model,
        edited_by=stored.edited_by,
        judged_state=stored.judged_state,
        image=f"{prefix}/api/v1/detections/{stored.id}/image" if stored.image else None,
        reviewed=stored.reviewed_utc is not None,
        reviewed_by=stored.reviewed_by,
        reviewed_at=stored.reviewed_utc,
    )


def counts_json(counts: FaceCounts, measured: Measured | None = None) -> Counts:
    """Counts with their compliance rate. measured: how far they can be trusted."""
    rate = compliance(counts)
    corrected, wrong = (measured.corrected, measured.wrong) if measured else (None, None)
    return Counts(
        total=counts.total,
        mask=counts.mask,
        no_mask=counts.no_mask,
        incorrect=counts.incorrect,
        unknown=counts.unknown,
        compliance=round(rate.value, 4) if rate else None,
        compliance_low=round(rate.low, 4) if rate else None,
        compliance_high=round(rate.high, 4) if rate else None,
        judged=counts.classified,
        enough=rate is not None and rate.is_enough,
        corrected=round(corrected.value, 4) if corrected else None,
        corrected_low=round(corrected.low, 4) if corrected else None,
        corrected_high=round(corrected.high, 4) if corrected else None,
        wrong=round(wrong.value, 4) if wrong else None,
        wrong_low=round(wrong.low, 4) if wrong else None,
        wrong_high=round(wrong.high, 4) if wrong else None,
    )


def service_json(service: ServiceStatus, disk_is_full: bool) -> Service:
    """A service as the API shows it."""
    if disk_is_full and not service.alive:
        service = replace(service, problem=UNKNOWN_WHILE_FULL.format(names=service.name))
    return msgspec.convert(service, Service, from_attributes=True)
