"""What a Prometheus server is told of a box. docs/monitoring.md explains it, docs/grafana-box.json draws it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from appliance.board import Throttling
from appliance.faces import Counts, PictureFault, State
from appliance.local.health import BoxHealth
from appliance.service import SERVICES
from appliance.store import Stream
from appliance.times import utc_seconds
from appliance.web.metrics import Labels, Metric, counter, gauge, labels, summary


def metrics(box: str, version: str, model: str, health: BoxHealth, today: Mapping[int, Counts]) -> Iterator[Metric]:
    """All of them. box: its name. model: that is configured. today: persons since midnight, by stream."""
    yield gauge("mb9k_info", "The box, always 1.", [(labels(box=box, version=version, model=model), 1)])
    yield gauge("mb9k_problems", "How many problems the page Health shows.", len(health.problems))
    yield gauge("mb9k_notices", "How many notices the page Health shows.", len(health.notices))
    yield gauge("mb9k_alerts_open", "How many alerts are raised and not over.", health.open_alerts)
    yield gauge("mb9k_alert_messages_waiting", "Messages about alerts yet to be delivered.", health.waiting_messages)
    yield from _services(health)
    yield from _streams(health.streams)
    yield from _judged(health.streams)
    yield gauge("mb9k_persons_today", "Persons since midnight, by the box's time zone.", list(_persons(health, today)))
    yield from _machine(health)


def _services(health: BoxHealth) -> Iterator[Metric]:
    known = [(_of_service(service.name), health.service(service.name)) for service in SERVICES]
    yield gauge(
        "mb9k_service_up",
        "Whether the service gives heartbeats; while the disk is full this cannot be told.",
        [(which, bool(service and service.alive)) for which, service in known],
    )
    yield gauge(
        "mb9k_service_problem",
        "Whether the service says that something is wrong.",
        [(which, bool(service and service.alive and service.problem)) for which, service in known],
    )
    yield gauge(
        "mb9k_service_start_time_seconds",
        "When the service was started, seconds since 1970.",
        [(which, utc_seconds(service.started_utc)) for which, service in known if service and service.alive],
    )
    judging = health.judging
    yield gauge("mb9k_judging", "Whether a model that passed its self-test judges the streams.", judging is not None)
    if judging:
        judge = labels(backend=judging.backend, name=judging.name)
        yield gauge("mb9k_judging_info", "What judges: onnx (the processor), tensorrt or jetson.", [(judge, 1)])


def _streams(streams: list[Stream]) -> Iterator[Metric]:
    known = [(_of(each), each) for each in streams]
    live = [(which, each) for which, each in known if each.live]
    yield gauge(
        "mb9k_stream_info",
        "The stream, always 1.",
        [(labels(stream=str(each.id), name=each.title, codec=each.codec or ""), 1) for each in streams],
    )
    yield gauge(
        "mb9k_stream_active", "Whether the stream may come in.", [(which, each.active) for which, each in known]
    )
    yield gauge("mb9k_stream_live", "Whether the stream is received.", [(which, each.live) for which, each in known])
    yield gauge(
        "mb9k_stream_problem",
        "Whether something keeps the stream from being judged.",
        [(which, bool(each.active and each.problem)) for which, each in known],
    )
    yield gauge(
        "mb9k_stream_picture_fault",
        "Whether this is wrong with the picture that comes; moved: the camera looks elsewhere.",
        [
            (labels(stream=str(each.id), fault=fault.value), each.picture_fault is fault)
            for _which, each in live
            for fault in PictureFault
        ],
    )
    yield gauge(
        "mb9k_stream_faces_too_small_ratio",
        "Of the persons of the last ten minutes: whose faces were too small to judge, 0 to 1.",
        [(which, each.health.too_small) for which, each in live],
    )
    yield gauge(
        "mb9k_stream_looks_ratio",
        "Of the looks wanted in the last ten minutes: those for which there was computing time, 0 to 1.",
        [(which, each.health.looks) for which, each in live],
    )
    yield gauge(
        "mb9k_stream_smallest_face_pixels",
        "Shorter side of the smallest face that is judged.",
        [(which, each.health.smallest_face_px) for which, each in live],
    )
    yield gauge(
        "mb9k_stream_decoding_ratio",
        "CPU seconds that decoding takes a second.",
        [(which, None if (ms := each.health.decoding_ms) is None else ms / 1000) for which, each in live],
    )


def _judged(streams: list[Stream]) -> Iterator[Metric]:
    """Sums begin at 0 again where the box begins to judge a stream again; a stream that is not LIVE has none."""
    live = [(_of(stream), stream.work) for stream in streams if stream.live]
    yield counter(
        "mb9k_stream_frames_judged_total",
        "Frames in which the detector looked at a part.",
        [(which, work.frames_judged) for which, work in live],
    )
    yield counter(
        "mb9k_stream_looks_put_off_total",
        "Looks that were wanted, and not made for want of computing time.",
        [(which, work.looks_put_off) for which, work in live],
    )
    yield counter(
        "mb9k_stream_dropped_seconds_total",
        "How much of the stream nobody took in time, so that it was not seen.",
        [(which, work.dropped_s) for which, work in live],
    )
    yield counter(
        "mb9k_stream_persons_total", "Persons who left.", [(which, work.persons_left) for which, work in live]
    )
    yield counter(
        "mb9k_stream_faces_too_small_total",
        "Of the persons who left: whose faces were too small to judge.",
        [(which, work.faces_too_small) for which, work in live],
    )
    yield summary(
        "mb9k_stream_delay_seconds",
        "From when the camera showed a frame until it was judged.",
        [(which, work.delays_s, work.frames_judged) for which, work in live],
    )


def _persons(health: BoxHealth, today: Mapping[int, Counts]) -> Iterator[tuple[Labels, float]]:
    nobody = Counts()
    for stream in health.streams:
        counts = today.get(stream.id, nobody)
        for state, which in _by_state(stream.id):
            yield which, getattr(counts, state)


def _machine(health: BoxHealth) -> Iterator[Metric]:
    disk, board, memory = health.disk, health.board, health.board.memory
    yield gauge("mb9k_disk_free_bytes", "Room on the disk of the record.", disk.free_bytes)
    yield gauge("mb9k_disk_size_bytes", "Size of the disk of the record.", disk.size_bytes)
    yield gauge("mb9k_disk_full", "Whether the disk counts as full, so that no image is kept.", disk.is_full)
    yield gauge("mb9k_record_size_bytes", "Size of the record, without images.", disk.record_bytes)
    if memory:
        yield gauge("mb9k_memory_available_bytes", "Memory that a program could have.", memory.available_bytes)
        yield gauge("mb9k_memory_size_bytes", "All memory.", memory.size_bytes)
    yield gauge("mb9k_load", "Processes that wanted to run, on average of a minute.", board.load)
    yield gauge("mb9k_processors", "Processors of the machine.", board.processors)
    zones = [(labels(zone=zone), warmth_c) for zone, warmth_c in board.temperatures_c.items()]
    yield gauge("mb9k_temperature_celsius", "How warm a zone of the board is.", zones)
    if board.throttled:
        told = [reason for reason in Throttling if reason in board.throttled.told]
        yield gauge(
            "mb9k_throttled",
            "Whether the board is slowed down, by reason.",
            [(labels(reason=reason.label), reason in board.throttled.now) for reason in told],
        )
        yield gauge(
            "mb9k_throttled_since_start",
            "Whether it was slowed down since the machine started, by reason; only some boards tell.",
            [(labels(reason=reason.label), reason in board.throttled.since_start) for reason in told],
        )
    yield gauge("mb9k_clock_synchronised", "Whether a time server set the clock lately.", health.is_synchronised)
    yield gauge("mb9k_clock_believed", "Whether the box believes its clock.", health.is_clock_believed)
    yield gauge("mb9k_uptime_seconds", "Since the machine started.", health.now.uptime_s)


def _of(stream: Stream) -> Labels:
    return labels(stream=str(stream.id))


@lru_cache(2048)
def _by_state(stream_id: int) -> list[tuple[str, Labels]]:
    """Kept: four of each stream are most of the labels there are."""
    return [(state.value, labels(stream=str(stream_id), state=state.value)) for state in State]


def _of_service(name: str) -> Labels:
    return labels(service=name)
