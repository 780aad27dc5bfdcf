# Made by `python -m scripts.docs` from the OpenAPI document of a box; change the code, not this file.
"""A client of the JSON API of an mb9k box: one file, nothing but Python's standard library (3.10 or newer).

    from mb9k_client import Box, BoxError

    box = Box("http://lobby.local:8000", "the token that you made on your account page")
    for stream in box.get_streams()["streams"]:
        print(stream["title"], box.get_counts(stream=stream["id"])["mask"])

A method is called like its operation: GET /api/v1/streams/{stream_id}/zones is get_stream_zones(stream_id). What cannot
be done raises BoxError with the sentence that the box says. Types are for editors and type checkers.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any, BinaryIO, Literal, TypedDict, cast
from urllib.parse import quote, urlencode


class AlertRecipient(TypedDict):
    """Who is told. address: a URL, a mail address, a topic; null: only admins see it. signed: messages are."""

    id: int
    name: str
    way: Way
    address: str | None
    signed: bool


Way = Literal["email", "mqtt", "webhook"]
"""How somebody is told."""


class AlertRecipients(TypedDict):
    """Recipients, by name."""

    recipients: list[AlertRecipient]


class AlertRule(TypedDict):
    """What is watched for. parameters: whole numbers, by the names that its kind has. recipients: null: all of them.

    cool_down_minutes: for so long after a message none says the same again. words: the rule for people.
    """

    id: int
    kind: str
    about: AlertAbout
    parameters: dict[str, int]
    cool_down_minutes: int
    active: bool
    recipients: list[int] | None
    words: str


class AlertAbout(TypedDict):
    """What a rule or an alert is about. id: of the stream, the site, the box or the service; empty where it is all."""

    of: Of
    id: str


Of = Literal["all", "box", "service", "site", "stream"]
"""What a rule or an alert can be about."""


class AlertRuleChange(TypedDict, total=False):
    """What is named is changed; the rest stays. Of parameters, too."""

    parameters: dict[str, int]
    cool_down_minutes: int
    active: bool
    recipients: list[int] | None


class AlertRules(TypedDict):
    """Rules, in the order in which they were made."""

    rules: list[AlertRule]


class AlertTest(TypedDict):
    """What came of a test. taken: by the other side; whether somebody reads it is another matter."""

    taken: bool
    words: str


class Alerts(TypedDict):
    """What is wrong now, and what happened, newest first. next: where the events before them are.

    not_watched: why nothing is watched just now; null: all is.
    """

    now: list[AlertNow]
    not_watched: str | None
    events: list[AlertEvent]
    next: str | None


class AlertNow(TypedDict):
    """What is wrong now. held_back: quiet hours or the cool-down of the rule keep it untold."""

    rule: int
    kind: str
    about: AlertAbout
    title: str
    words: str
    since: str
    held_back: bool


class AlertEvent(TypedDict):
    """What happened. message: the id that each message about it has. alert: the same for `raised` and its `over`.

    rule: which may be removed by now; null: it was a test. title: of what it is about, as it was called then.
    figures: what was measured.
    """

    id: int
    message: str
    alert: str
    what: What
    at: str
    since: str
    rule: int | None
    kind: str
    about: AlertAbout
    title: str
    words: str
    figures: dict[str, Any]
    deliveries: list[AlertDelivery]


What = Literal["over", "raised", "test"]
"""What an entry of the log, or a message, says."""


class AlertDelivery(TypedDict):
    """A message to one recipient. tried: last; null: not yet. problem: why that failed; empty: it did not."""

    recipient: str
    way: Way
    outcome: Outcome
    tries: int
    tried: str | None
    problem: str


Outcome = Literal["failed", "sent", "waiting"]
"""How it is with a message to one recipient."""


class AuditPage(TypedDict):
    """Entries, newest first. next: where the ones before them are. head: the last entry there is, NUMBER:HASH."""

    entries: list[AuditEntry]
    next: str | None
    head: str


class AuditEntry(TypedDict):
    """Who did what. details: a JSON object as text, or empty. sha256: its hash, see docs/audit.md.

    actor: a name; of a program with its token's. address: from where. subject: of what.
    """

    number: int
    at_utc: str
    actor_kind: ActorKind
    actor_id: int | None
    actor: str
    address: str
    action: str
    subject: str
    details: str
    sha256: str


ActorKind = Literal["centre", "itself", "operator", "person", "stranger", "token"]
"""Who may do something."""


class Begun(TypedDict):
    """What happens now."""

    words: str


class CalibrationState(TypedDict):
    """Whether a stream is calibrated; null: none is finished. A person makes one on the stream's page."""

    calibration: Calibration | None


class Calibration(TypedDict):
    """The newest finished calibration. since: first seen of whom it speaks. told: of how many faces a person knew it.

    holds: rates are corrected by it. changes: why it does not hold any more. wrong: of all whom the box judged.
    threshold: the share of the votes below which a person had better be unknown; null: too few labels.
    """

    begun: str
    since: str
    model: str
    labelled: int
    told: int
    holds: bool
    changes: list[Change]
    states: list[StateErrors]
    wrong: Share | None
    threshold: float | None


Change = Literal["model", "picture", "source", "view", "zones"]
"""What is another than when a camera was calibrated."""


class StateErrors(TypedDict):
    """How the box errs about one state. sensitivity: of those who are, it says so; specificity: of others, it does not.

    null: no such face was labelled, or the box says it of nobody.
    """

    state: State
    sensitivity: Share | None
    specificity: Share | None


State = Literal["incorrect", "mask", "no_mask", "unknown"]
"""How a person wears the mask."""


class Share(TypedDict):
    """A share that was estimated by labels, with its 95 % interval; faces: of how many labelled ones."""

    value: float
    low: float
    high: float
    faces: int


class _Counts(TypedDict):
    total: int
    mask: int
    no_mask: int
    incorrect: int
    unknown: int
    compliance: float | None
    compliance_low: float | None
    compliance_high: float | None
    judged: int
    enough: bool


class Counts(_Counts, total=False):
    """Persons by state. compliance: mask / (mask + no_mask + incorrect) with its 95 % interval; null if nobody.

    judged: of how many persons that is; enough: whether these are so many that the box's own pages show it.
    corrected: the compliance without the errors of the cameras, with its interval; null: not all are calibrated, or a
    state or a search is asked for. wrong: of those whom the box judged, the share that a person said to be of another
    state, with its interval: at least so many were judged wrongly; null: nobody was corrected.
    """

    corrected: float | None
    corrected_low: float | None
    corrected_high: float | None
    wrong: float | None
    wrong_low: float | None
    wrong_high: float | None


class DeletionReceipt(TypedDict):
    """What was deleted. sha256: over the detections that were, see docs/privacy.md. by: empty: the box's command line.

    finished: since when nothing of it is left on the disk of the box, but in backups made before; null: not yet.
    """

    id: int
    kind: Kind
    title: str
    by: str
    deleted: str
    detections: int
    images: int
    image_bytes: int
    sha256: str
    finished: str | None


Kind = Literal["detection", "images", "person", "statistics", "stream"]
"""What was deleted."""


class DeletionReceipts(TypedDict):
    """The latest receipts, newest first."""

    receipts: list[DeletionReceipt]


class Detection(TypedDict):
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
    confidence: float
    votes: int
    box: list[float]
    frame_width: int
    frame_height: int
    model: str
    edited_by: str | None
    judged_state: State | None
    image: str | None
    reviewed: bool
    reviewed_by: str | None
    reviewed_at: str | None


class DetectionChange(TypedDict, total=False):
    """A person says what the state really is, whether they reviewed it, or both. A correction is a review, too."""

    state: State
    reviewed: bool


class DetectionPage(TypedDict):
    """Detections, newest first. next: the address of the following page, a link; null on the last one."""

    detections: list[Detection]
    next: str | None


class _NewAlertRecipient(TypedDict):
    name: str
    way: Way
    address: str


class NewAlertRecipient(_NewAlertRecipient, total=False):
    """secret: of a webhook, 16 characters or more; empty: messages are not signed. No answer has it."""

    secret: str


class _NewAlertRule(TypedDict):
    kind: str


class NewAlertRule(_NewAlertRule, total=False):
    """parameters: those left out are as the kind has them. recipients: null: all of them."""

    about: AlertAbout | None
    parameters: dict[str, int]
    cool_down_minutes: int
    recipients: list[int] | None


class _NewDetection(TypedDict):
    stream_id: int
    state: State
    first_seen: str


class NewDetection(_NewDetection, total=False):
    """One entered by hand or by an import. Times: ISO 8601 with their zone. last_seen: first_seen if left out."""

    last_seen: str | None
    confidence: float


class _NewStream(TypedDict):
    name: str


class NewStream(_NewStream, total=False):
    """With source_url the box fetches it; without, people publish to it with a stream key. owner: for admins.

    source_user, source_password: of the camera, in plain text, if they do not stand in source_url.
    watch_url: a smaller picture of the same camera (its sub-stream), in which the box watches for movement.
    """

    source_url: str | None
    source_user: str | None
    source_password: str | None
    watch_url: str | None
    images: ImageMode | None
    images_days: int | None
    detections_days: int | None
    owner: str | None


ImageMode = Literal["eyes_pixelated", "full", "no_images"]
"""What of a person's picture is written."""


class Status(TypedDict):
    """How the box is. statistics_only_since: since when it keeps no detections and no images; null: it does."""

    box: str
    time: str
    statistics_only_since: str | None
    services: list[Service]
    live: list[str]


class Service(TypedDict):
    """A service of the box. alive: its last heartbeat is a few seconds old at most. judging: of the watcher."""

    name: str
    alive: bool
    started: str
    problem: str | None
    judging: Judging | None


class Judging(TypedDict):
    """What judges the streams. backend: onnx (the processor), tensorrt or jetson. progress: what is being prepared."""

    backend: str
    name: str
    reason: str
    since: str
    progress: str | None


class Stream(TypedDict):
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
    live_since: str | None
    remote: str | None
    codec: str | None
    width: int | None
    height: int | None
    decoded_by: str | None
    problem: str | None
    watch_problem: str | None
    picture_fault: PictureFault | None
    picture_fault_since: str | None
    health: Health
    images: ImageMode | None
    images_days: int | None
    detections_days: int | None
    created: str
    state: ReceptionState
    state_since: str | None
    state_words: str | None


PictureFault = Literal["blurred", "covered", "dark", "moved"]
"""Why a picture that comes does not show what it should: for longer than anybody stands before a camera."""


class Health(TypedDict):
    """How well a stream can be judged, of the last ten minutes; null: not known yet, or it is not live.

    too_small: share of persons whose faces were too small to judge. looks: share of the looks wanted that the box could
    afford. smallest_face_px: shorter side of the smallest face that is judged. decoding_ms: computing a second that
    decoding takes; idle_ms: while nothing moves, if key frames came each second (null: they do). delay_s: from when the
    camera showed a frame until it was judged, on average.
    """

    too_small: float | None
    looks: float | None
    smallest_face_px: float | None
    decoding_ms: float | None
    idle_ms: float | None
    delay_s: float | None


ReceptionState = Literal["inactive", "live", "offline", "refused", "unknown"]
"""How a stream is received. UNKNOWN: the box itself is at fault. REFUSED: somebody sends, and is not let in."""


class StreamChange(TypedDict, total=False):
    """What is left out stays. source_url: fetch it from there from now on. owner: for admins.

    source_user, source_password: of the camera at source_url, or of the present one if that is left out.
    watch_url: null ends it; it also ends with its source, unless it is given with the new one.
    images: full (an admin's choice), eyes_pixelated, no_images; null: as the box's settings say. images_days: null: as
    long as the box keeps any, which is the most. detections_days: null: until somebody deletes them.
    """

    name: str
    active: bool
    source_url: str
    source_user: str
    source_password: str
    watch_url: str | None
    images: ImageMode | None
    images_days: int | None
    detections_days: int | None
    owner: str


class StreamCrossings(TypedDict):
    """Of each line there is, and of each that was taken away or renamed and somebody crossed then.

    time_zone: by whose clocks hours and days are cut.
    """

    time_zone: str
    lines: list[LineCrossings]


LineCrossings = TypedDict(
    "LineCrossings", {"line": str, "drawn": bool, "in": int, "out": int, "buckets": list["CrossingBucket"]}
)
"""Of one line: every step that the range touches, also those in which nobody crossed. drawn: it is there now."""

CrossingBucket = TypedDict("CrossingBucket", {"start": str, "end": str, "in": int, "out": int})
"""Persons who crossed at start or later and before end.

in: to the line's right, seen from its first point; out: to its left.
"""


class StreamPage(TypedDict):
    """Streams by title; where a page was asked for, by id. next: the address of the following page, a link; null: none.

    Without `limit` and `after` they are all in one answer.
    """

    streams: list[Stream]
    next: str | None


class StreamWithKey(TypedDict):
    """A stream and its new stream key, which is shown this once."""

    id: int
    owner: str
    name: str
    title: str
    has_key: bool
    source_url: str | None
    watch_url: str | None
    active: bool
    live: bool
    live_since: str | None
    remote: str | None
    codec: str | None
    width: int | None
    height: int | None
    decoded_by: str | None
    problem: str | None
    watch_problem: str | None
    picture_fault: PictureFault | None
    picture_fault_since: str | None
    health: Health
    images: ImageMode | None
    images_days: int | None
    detections_days: int | None
    created: str
    state: ReceptionState
    state_since: str | None
    state_words: str | None
    stream_key: str | None


class StreamZones(TypedDict):
    """All of a stream, in the order in which people gave them."""

    zones: list[StreamZone]


class StreamZone(TypedDict):
    """A polygon or a line, drawn at the height of faces. points: [x, y], 0 to 1 of the picture's width and height.

    kind: count (where there are such, only who was seen in one is counted), never (a face in it is nobody), line.
    today: null: it is no line.
    """

    kind: ZoneKind
    name: str
    points: list[list[float]]
    today: CrossedToday | None


ZoneKind = Literal["count", "line", "never"]
"""What a zone is for."""

CrossedToday = TypedDict("CrossedToday", {"in": int, "out": int})
"""How many persons crossed a line since midnight, by the box's clocks.

in: to its right, seen from its first point; out: to its left.
"""


class TrendBuckets(TypedDict):
    """A range, cut into its buckets in the order of time. zone: by whose clocks; step: how long a bucket is.

    stream: null: of all streams. counts: of the whole range.
    """

    since: str
    until: str
    zone: str
    step: Shown
    stream: int | None
    counts: Counts
    buckets: list[TrendBucket]


Shown = Literal["day", "hour", "month", "quarter", "week"]
"""How long a bar of a chart is. Weeks and months are days put together."""


class TrendBucket(TypedDict):
    """Persons who were first seen in start <= time < end. watched_s: for how long streams were LIVE and judged then,
    added up over the streams; 0: nobody looked. complete: no more is to come, but for late corrections.
    """

    start: str
    end: str
    watched_s: int
    complete: bool
    counts: Counts


class _UpdateAddress(TypedDict):
    address: str


class UpdateAddress(_UpdateAddress, total=False):
    """Where a bundle is, https only. sha256: which it must have."""

    sha256: str


class Updates(TypedDict):
    """How the box stands with updates. release: what runs; null: it has none, and `problem` says why.

    releases: all that are kept. back: the one to go back to. can: whether root may be asked from here. bundle: null:
    none, or an update is under way. fetch_problem: why the last one fetched was not taken. outcomes: newest first.
    """

    release: str | None
    releases: list[str]
    back: str | None
    can: bool
    problem: str
    bundle: UpdateBundle | None
    fetch: UpdateFetch | None
    fetch_problem: str
    progress: UpdateProgress | None
    outcomes: list[UpdateOutcome]


class UpdateBundle(TypedDict):
    """A signed bundle that the box has taken, and what it would change, a sentence each. by: who sent it."""

    name: str
    size_bytes: int
    by: str
    sent: str
    before: str
    after: str
    changes: list[str]


class UpdateFetch(TypedDict):
    """A bundle on its way from an address. total_bytes: null: the other side has not said."""

    address: str
    received_bytes: int
    total_bytes: int | None


class UpdateProgress(TypedDict):
    """An update that is under way. step `asked`: it begins. trouble: why it is being undone, or empty."""

    step: Literal[
        "asked", "building", "checking", "copying", "settling", "stopping", "switching", "trying", "undoing", "writing"
    ]
    before: str
    after: str
    begun: str
    trouble: str


class UpdateOutcome(TypedDict):
    """How an update ended. runs: what ran then. trouble: why it was undone, or empty. record: what became of it."""

    begun: str
    before: str
    after: str
    runs: str
    trouble: str
    record: str


class UploadPlace(TypedDict):
    """Where a bundle may be sent until then: POST the file as the whole body, of application/octet-stream."""

    address: str
    expires: str


class ZonesChange(TypedDict):
    """All that there are from now on. A zone has 3 to 40 points, its border does not cross itself; a line has 2."""

    zones: list[Zone]


class Zone(TypedDict):
    """A polygon, or a line, with a name that no other zone of its stream has.

    points: the corners in order, the last is joined to the first; of a line its two ends.
    """

    kind: ZoneKind
    name: str
    points: list[list[float]]


class Error(TypedDict):
    """Why it was not done, and the next step."""

    error: str


class BoxError(Exception):
    """The box did not do it, and says why. status: of HTTP, such as 404; None: no answer of a box came."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status


class _StaysHere(urllib.request.HTTPRedirectHandler):
    """Follows nobody: the token is for the address that was given."""

    def redirect_request(self, *_: Any) -> None:
        """No request."""


class Box:
    """One box. May be used by several threads at once.

    address: what stands in the browser, such as https://box.example.org or http://192.0.2.7:8000. context: for a
    certificate that this machine does not know: ssl.create_default_context(cafile="box.pem").
    """

    def __init__(
        self, address: str, token: str | None = None, timeout_s: float = 30.0, context: ssl.SSLContext | None = None
    ) -> None:
        if not address.startswith(("http://", "https://")):
            raise ValueError(f"the address of a box begins with http:// or https://: {address!r}")
        self.address = address.rstrip("/")
        self.timeout_s = timeout_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._opener = urllib.request.build_opener(_StaysHere, urllib.request.HTTPSHandler(context=context))

    def _open(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> BinaryIO:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        request = urllib.request.Request(  # noqa: S310 - see __init__
            self.address + path + (f"?{urlencode(given)}" if given else ""),
            None if body is None else json.dumps(body).encode(),
            {**self._headers, **({} if body is None else {"Content-Type": "application/json"})},
            method=method,
        )
        try:
            return cast(BinaryIO, self._opener.open(request, timeout=self.timeout_s))
        except urllib.error.HTTPError as error:
            with error:
                raise BoxError(_sentence(error), error.code) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise BoxError(f"The box at {self.address} cannot be reached: {reason}.") from error

    def _bytes(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> bytes:
        try:
            with self._open(method, path, query, body) as answer:
                return answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise BoxError(f"The box at {self.address} broke off its answer: {error}.") from error

    def _json(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        content = self._bytes(method, path, query, body)
        try:
            return json.loads(content)
        except ValueError as error:
            raise BoxError(f"What answers at {self.address} is no box of mb9k: it sent no JSON.") from error

    def get_openapi(self) -> dict[str, Any]:
        """This document."""
        return cast(dict[str, Any], self._json("GET", "/api/openapi.json"))

    def get_status(self) -> Status:
        """How the box is: services, and streams that are LIVE."""
        return cast(Status, self._json("GET", "/api/v1/status"))

    def get_streams(
        self, *, search: str | None = None, limit: int | None = None, after: int | None = None
    ) -> StreamPage:
        """Your streams; for an admin all.

        search: owner:name contains this, in any case
        limit: how many at most; all if it and `after` are left out
        after: only streams with a larger id; `next` of an answer has it
        """
        return cast(
            StreamPage, self._json("GET", "/api/v1/streams", {"search": search, "limit": limit, "after": after})
        )

    def post_streams(self, body: NewStream) -> StreamWithKey:
        """Make a stream; the answer holds its key, this once."""
        return cast(StreamWithKey, self._json("POST", "/api/v1/streams", body=body))

    def get_stream(self, stream_id: int) -> Stream:
        """One stream."""
        return cast(Stream, self._json("GET", f"/api/v1/streams/{_path(stream_id)}"))

    def patch_stream(self, stream_id: int, body: StreamChange) -> Stream:
        """Change a stream."""
        return cast(Stream, self._json("PATCH", f"/api/v1/streams/{_path(stream_id)}", body=body))

    def delete_stream(self, stream_id: int) -> None:
        """Delete a stream with all its detections."""
        self._bytes("DELETE", f"/api/v1/streams/{_path(stream_id)}")

    def delete_stream_images(self, stream_id: int) -> None:
        """Delete all its images; its detections stay."""
        self._bytes("DELETE", f"/api/v1/streams/{_path(stream_id)}/images")

    def post_stream_key(self, stream_id: int) -> StreamWithKey:
        """Give it a new key, and cut off who uses the old one."""
        return cast(StreamWithKey, self._json("POST", f"/api/v1/streams/{_path(stream_id)}/key"))

    def post_stream_view(self, stream_id: int) -> Stream:
        """Learn the view of its camera again."""
        return cast(Stream, self._json("POST", f"/api/v1/streams/{_path(stream_id)}/view"))

    def get_detections(
        self,
        *,
        stream: int | None = None,
        state: Literal["mask", "no_mask", "incorrect", "unknown"] | None = None,
        since: str | None = None,
        until: str | None = None,
        reviewed: bool | None = None,
        search: str | None = None,
        limit: int | None = None,
        before: int | None = None,
    ) -> DetectionPage:
        """Detections, newest first.

        stream: only this stream's
        state: only this state
        since: first seen at this time or later, ISO 8601 with its zone
        until: first seen before this time, ISO 8601 with its zone
        reviewed: only those that somebody reviewed, or only those that nobody did
        search: owner:name contains this, in any case
        limit: how many at most; 50 if left out
        before: only what follows the detection with this id; `next` of an answer has it
        """
        return cast(
            DetectionPage,
            self._json(
                "GET",
                "/api/v1/detections",
                {
                    "stream": stream,
                    "state": state,
                    "since": since,
                    "until": until,
                    "reviewed": reviewed,
                    "search": search,
                    "limit": limit,
                    "before": before,
                },
            ),
        )

    def post_detections(self, body: NewDetection) -> Detection:
        """Enter a detection by hand (admin)."""
        return cast(Detection, self._json("POST", "/api/v1/detections", body=body))

    def get_detection(self, detection_id: int) -> Detection:
        """One detection."""
        return cast(Detection, self._json("GET", f"/api/v1/detections/{_path(detection_id)}"))

    def patch_detection(self, detection_id: int, body: DetectionChange) -> Detection:
        """Correct its state, or mark it as reviewed (admin)."""
        return cast(Detection, self._json("PATCH", f"/api/v1/detections/{_path(detection_id)}", body=body))

    def delete_detection(self, detection_id: int) -> None:
        """Delete it with its image (admin)."""
        self._bytes("DELETE", f"/api/v1/detections/{_path(detection_id)}")

    def get_detection_image(self, detection_id: int) -> bytes:
        """Its image."""
        return self._bytes("GET", f"/api/v1/detections/{_path(detection_id)}/image")

    def post_detection_not_a_person(self, detection_id: int) -> None:
        """Delete what is a poster or a screen, and count nobody any more where it was (admin)."""
        self._bytes("POST", f"/api/v1/detections/{_path(detection_id)}/not-a-person")

    def get_counts(
        self,
        *,
        stream: int | None = None,
        state: Literal["mask", "no_mask", "incorrect", "unknown"] | None = None,
        since: str | None = None,
        until: str | None = None,
        reviewed: bool | None = None,
        search: str | None = None,
    ) -> Counts:
        """Persons by state, and the compliance rate.

        stream: only this stream's
        state: only this state
        since: first seen at this time or later, ISO 8601 with its zone
        until: first seen before this time, ISO 8601 with its zone
        reviewed: only those that somebody reviewed, or only those that nobody did
        search: owner:name contains this, in any case
        """
        return cast(
            Counts,
            self._json(
                "GET",
                "/api/v1/counts",
                {
                    "stream": stream,
                    "state": state,
                    "since": since,
                    "until": until,
                    "reviewed": reviewed,
                    "search": search,
                },
            ),
        )

    def get_stream_calibration(self, stream_id: int) -> CalibrationState:
        """How the box errs at its camera."""
        return cast(CalibrationState, self._json("GET", f"/api/v1/streams/{_path(stream_id)}/calibration"))

    def get_stream_zones(self, stream_id: int) -> StreamZones:
        """Its zones, and who crossed its lines today."""
        return cast(StreamZones, self._json("GET", f"/api/v1/streams/{_path(stream_id)}/zones"))

    def put_stream_zones(self, stream_id: int, body: ZonesChange) -> StreamZones:
        """Replace its zones; the box counts by them within seconds."""
        return cast(StreamZones, self._json("PUT", f"/api/v1/streams/{_path(stream_id)}/zones", body=body))

    def get_stream_crossings(
        self,
        stream_id: int,
        *,
        since: str | None = None,
        until: str | None = None,
        step: Literal["quarter", "hour", "day"] | None = None,
    ) -> StreamCrossings:
        """Who crossed its lines, by time; without a range today.

        since: from this time on, ISO 8601 with its zone
        until: before this time, ISO 8601 with its zone
        step: of a bucket; hour if left out
        """
        return cast(
            StreamCrossings,
            self._json(
                "GET", f"/api/v1/streams/{_path(stream_id)}/crossings", {"since": since, "until": until, "step": step}
            ),
        )

    def get_trends(
        self,
        *,
        range: Literal["live", "day", "week", "month", "own"] | None = None,
        day: str | None = None,
        since: str | None = None,
        until: str | None = None,
        stream: int | None = None,
    ) -> TrendBuckets:
        """Persons and compliance by quarter, hour, day, week or month.

        range: live (today, if left out), day, week, month, or own: from since until until
        day: which day, or one of the week or month, 2026-11-24; today if left out
        since: of an own range: 2026-11-24 or 2026-11-24T14:00, by the clocks of the box
        until: the same; now if left out
        stream: only this stream's
        """
        return cast(
            TrendBuckets,
            self._json(
                "GET", "/api/v1/trends", {"range": range, "day": day, "since": since, "until": until, "stream": stream}
            ),
        )

    def get_receipts(self) -> DeletionReceipts:
        """Receipts of what was deleted; for an admin all."""
        return cast(DeletionReceipts, self._json("GET", "/api/v1/receipts"))

    def get_receipt(self, receipt_id: int) -> DeletionReceipt:
        """One receipt."""
        return cast(DeletionReceipt, self._json("GET", f"/api/v1/receipts/{_path(receipt_id)}"))

    def get_export_detections(
        self,
        *,
        format: Literal["csv", "jsonl", "sqlite", "zip"] | None = None,
        stream: int | None = None,
        state: Literal["mask", "no_mask", "incorrect", "unknown"] | None = None,
        since: str | None = None,
        until: str | None = None,
        reviewed: bool | None = None,
        search: str | None = None,
    ) -> BinaryIO:
        """Detections as a file, a row each; as a ZIP with the images of your streams, for an admin of all.

        format: in which form; csv if left out
        stream: only this stream's
        state: only this state
        since: first seen at this time or later, ISO 8601 with its zone
        until: first seen before this time, ISO 8601 with its zone
        reviewed: only those that somebody reviewed, or only those that nobody did
        search: owner:name contains this, in any case
        """
        return self._open(
            "GET",
            "/api/v1/export/detections",
            {
                "format": format,
                "stream": stream,
                "state": state,
                "since": since,
                "until": until,
                "reviewed": reviewed,
                "search": search,
            },
        )

    def get_export_sums(
        self,
        *,
        format: Literal["csv", "jsonl", "sqlite"] | None = None,
        step: Literal["quarter", "hour", "day"] | None = None,
        stream: int | None = None,
        since: str | None = None,
        until: str | None = None,
        search: str | None = None,
    ) -> BinaryIO:
        """Persons by stream and time as a file, also of times whose detections are gone.

        format: in which form; csv if left out
        step: of a row; hour if left out
        stream: only this stream's
        since: first seen at this time or later, ISO 8601 with its zone
        until: first seen before this time, ISO 8601 with its zone
        search: owner:name contains this, in any case
        """
        return self._open(
            "GET",
            "/api/v1/export/sums",
            {"format": format, "step": step, "stream": stream, "since": since, "until": until, "search": search},
        )

    def get_export_faces(
        self,
        *,
        stream: int | None = None,
        since: str | None = None,
        until: str | None = None,
        search: str | None = None,
    ) -> BinaryIO:
        """Images of your streams (for an admin all) that a person corrected or the model was unsure of, to learn from.

        stream: only this stream's
        since: first seen at this time or later, ISO 8601 with its zone
        until: first seen before this time, ISO 8601 with its zone
        search: owner:name contains this, in any case
        """
        return self._open(
            "GET", "/api/v1/export/faces", {"stream": stream, "since": since, "until": until, "search": search}
        )

    def get_updates(self) -> Updates:
        """How the box stands with updates (admin)."""
        return cast(Updates, self._json("GET", "/api/v1/updates"))

    def post_updates_upload(self) -> UploadPlace:
        """Ask where a bundle may be sent (admin)."""
        return cast(UploadPlace, self._json("POST", "/api/v1/updates/upload"))

    def delete_updates_upload(self) -> None:
        """Forget the bundle there is (admin)."""
        self._bytes("DELETE", "/api/v1/updates/upload")

    def post_updates_fetch(self, body: UpdateAddress) -> Updates:
        """Have the box fetch a bundle (admin)."""
        return cast(Updates, self._json("POST", "/api/v1/updates/fetch", body=body))

    def delete_updates_fetch(self) -> None:
        """Stop fetching (admin)."""
        self._bytes("DELETE", "/api/v1/updates/fetch")

    def post_updates_start(self) -> Begun:
        """Update by the bundle there is (admin)."""
        return cast(Begun, self._json("POST", "/api/v1/updates/start"))

    def post_updates_back(self) -> Begun:
        """Go back to the release before (admin)."""
        return cast(Begun, self._json("POST", "/api/v1/updates/back"))

    def get_audit(
        self,
        *,
        search: str | None = None,
        action: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        before: int | None = None,
    ) -> AuditPage:
        """Who did what, newest first (admin).

        search: who, from where, of what or the details contain this, in any case
        action: only this action
        since: recorded at this time or later, ISO 8601 with its zone
        until: recorded before this time, ISO 8601 with its zone
        limit: how many at most; 50 if left out
        before: only entries with a lower number; `next` of an answer has it
        """
        return cast(
            AuditPage,
            self._json(
                "GET",
                "/api/v1/audit",
                {"search": search, "action": action, "since": since, "until": until, "limit": limit, "before": before},
            ),
        )

    def get_alerts(self, *, limit: int | None = None, before: int | None = None) -> Alerts:
        """What is wrong now, and what happened, newest first.

        limit: how many events at most; 50 if left out
        before: only events before the one with this id; `next` of an answer has it
        """
        return cast(Alerts, self._json("GET", "/api/v1/alerts", {"limit": limit, "before": before}))

    def get_alert_rules(self) -> AlertRules:
        """What is watched for."""
        return cast(AlertRules, self._json("GET", "/api/v1/alert-rules"))

    def post_alert_rules(self, body: NewAlertRule) -> AlertRule:
        """Watch for something."""
        return cast(AlertRule, self._json("POST", "/api/v1/alert-rules", body=body))

    def get_alert_rule(self, rule_id: int) -> AlertRule:
        """One rule."""
        return cast(AlertRule, self._json("GET", f"/api/v1/alert-rules/{_path(rule_id)}"))

    def patch_alert_rule(self, rule_id: int, body: AlertRuleChange) -> AlertRule:
        """Change a rule."""
        return cast(AlertRule, self._json("PATCH", f"/api/v1/alert-rules/{_path(rule_id)}", body=body))

    def delete_alert_rule(self, rule_id: int) -> None:
        """Remove a rule."""
        self._bytes("DELETE", f"/api/v1/alert-rules/{_path(rule_id)}")

    def get_alert_recipients(self) -> AlertRecipients:
        """Who can be told."""
        return cast(AlertRecipients, self._json("GET", "/api/v1/alert-recipients"))

    def post_alert_recipients(self, body: NewAlertRecipient) -> AlertRecipient:
        """Add a recipient (admin)."""
        return cast(AlertRecipient, self._json("POST", "/api/v1/alert-recipients", body=body))

    def delete_alert_recipient(self, recipient_id: int) -> None:
        """Remove a recipient (admin)."""
        self._bytes("DELETE", f"/api/v1/alert-recipients/{_path(recipient_id)}")

    def post_alert_recipient_test(self, recipient_id: int) -> AlertTest:
        """Send a test there (admin)."""
        return cast(AlertTest, self._json("POST", f"/api/v1/alert-recipients/{_path(recipient_id)}/test"))


def _sentence(error: urllib.error.HTTPError) -> str:
    """What the box says of it, or what stands before the box."""
    elsewhere = error.headers.get("Location")
    if 300 <= error.code < 400 and elsewhere:
        return f"The box is at another address: {elsewhere}"
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return f"The answer is {error.code} {error.reason}, without a reason that can be read."


def _path(value: object) -> str:
    return quote(str(value), safe="")
