"""What a Prometheus server is told of a centre. docs/monitoring.md explains it, docs/grafana-centre.json draws it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from bottle import HTTPResponse

from appliance.accounts.audit import Action
from appliance.accounts.guard import Visitor
from appliance.accounts.metrics_token import METRICS
from appliance.central.store import Box, CentralStore
from appliance.central.store.records import Process
from appliance.central.viewer.condition import Age, Condition, Severity, condition
from appliance.central.viewer.pages import Centre
from appliance.central.viewer.recorded import TOKEN_ENDED, TOKEN_MADE
from appliance.language import _
from appliance.times import Now
from appliance.version import version
from appliance.web.access import Access, App
from appliance.web.forms import see_other
from appliance.web.metrics import Labels, Metric, answer, counter, gauge, labels
from appliance.web.pages import Page

log = logging.getLogger(__name__)
KINDS = ("ingest", "serve", "joining", "notify")
REFUSED_S = 86_400


def add_routes(app: App, centre: Centre) -> None:
    """The figures, and the token for them."""
    token = centre.accounts.metrics_token
    assert token is not None

    @app.get("/metrics", access=Access.METRICS)
    def figures(store: CentralStore, now: Now) -> HTTPResponse:
        """For a program with the metrics token, and for admins."""
        refused = store.records.count_letters(now.utc - REFUSED_S)
        processes, boxes = store.records.processes(), store.boxes.all(None)
        return answer(metrics(centre.config.name, boxes, processes, refused, now.utc))

    @app.post("/events/metrics-token", access=Access.ADMIN)
    def make_token(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        with store.saving():  # first: none is made that is not on record
            store.records.note(now.utc, TOKEN_MADE, visitor.name)
            store.audit.add(Action.TOKEN_MADE, METRICS)
        centre.accounts.shown.keep(METRICS, visitor.person.id, token.make(), now)
        return see_other("/events?token=new")

    @app.post("/events/metrics-token/forget", access=Access.ADMIN)
    def forget_token(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        with store.saving():
            store.records.note(now.utc, TOKEN_ENDED, visitor.name)
            store.audit.add(Action.TOKEN_REVOKED, METRICS)
        token.forget()
        return centre.pages.done("/events", _("The metrics token has ended."))


def metrics(
    name: str, boxes: Sequence[Box], processes: Sequence[Process], refused: int, now_utc: float
) -> Iterator[Metric]:
    """All of them; pure. name: of the centre. refused: messages that could not be taken in the last day."""
    yield gauge("mb9k_centre_info", "The centre, always 1.", [(labels(centre=name, version=version()), 1)])
    yield from _processes(processes, now_utc)
    yield gauge("mb9k_centre_refused_messages", "Messages that could not be taken, of the last day.", refused)
    present = [box for box in boxes if box.revoked_utc is None]
    conditions = [condition(box, now_utc) for box in present]
    yield from _fleet(boxes, conditions)
    yield from _boxes([*zip(present, conditions, strict=True)])


def _processes(processes: Sequence[Process], now_utc: float) -> Iterator[Metric]:
    alive = [process for process in processes if process.is_alive(now_utc)]
    count = Counter(process.kind for process in alive)
    kinds = dict.fromkeys((*KINDS, *count))
    yield gauge(
        "mb9k_centre_processes",
        "Processes of the centre that give heartbeats, by kind.",
        [(labels(kind=kind), count[kind]) for kind in kinds],
    )
    yield gauge(
        "mb9k_centre_process_problem",
        "Whether the process says that something is wrong.",
        [(_of(process), bool(process.problem)) for process in alive],
    )
    taking = [process for process in alive if process.kind == "ingest"]
    yield counter(
        "mb9k_centre_rows_taken_total",
        "Rows of boxes that the process has taken in since it started.",
        [(_of(process), process.rows_taken) for process in taking],
    )
    yield counter(
        "mb9k_centre_messages_taken_total",
        "Messages of boxes that the process has taken in since it started.",
        [(_of(process), process.messages_taken) for process in taking],
    )


def _fleet(boxes: Sequence[Box], conditions: Iterable[Condition]) -> Iterator[Metric]:
    conditions = list(conditions)
    ages = Counter(each.age for each in conditions)
    yield gauge(
        "mb9k_centre_boxes",
        "Boxes by the age of their newest data: fresh, late, stale, never.",
        [(labels(age=age.value), ages[age]) for age in Age],
    )
    yield gauge(
        "mb9k_centre_boxes_with_problem",
        "Boxes of which the page Fleet shows a problem.",
        sum(each.severity is Severity.PROBLEM for each in conditions),
    )
    yield gauge(
        "mb9k_centre_boxes_revoked", "Boxes that were shut out.", sum(box.revoked_utc is not None for box in boxes)
    )


def _boxes(known: Sequence[tuple[Box, Condition]]) -> Iterator[Metric]:
    named = [(labels(box=box.id, name=box.name, site=box.site or "", version=box.version), 1) for box, _counts in known]
    yield gauge("mb9k_centre_box_info", "The box, always 1.", named)
    yield gauge(
        "mb9k_centre_box_age_seconds",
        "How old the newest data of the box is.",
        [(_of_box(box), condition.age_s) for box, condition in known],
    )
    yield gauge(
        "mb9k_centre_box_problem",
        "Whether the page Fleet shows a problem of the box.",
        [(_of_box(box), condition.severity is Severity.PROBLEM) for box, condition in known],
    )
    yield gauge(
        "mb9k_centre_box_backlog_rows",
        "Rows that the box has yet to tell.",
        [(_of_box(box), box.backlog) for box, _counts in known],
    )
    yield gauge(
        "mb9k_centre_box_live_streams",
        "Streams that the box receives.",
        [(_of_box(box), len(box.live)) for box, _counts in known],
    )
    yield gauge(
        "mb9k_centre_box_disk_free_bytes",
        "Room on the disk of the box, as it said last.",
        [(_of_box(box), None if box.disk_free_mb is None else box.disk_free_mb * 1e6) for box, _counts in known],
    )
    yield gauge(
        "mb9k_centre_box_temperature_celsius",
        "The warmest part of the box, as it said last.",
        [(_of_box(box), box.temperature_c) for box, _counts in known],
    )


def _of_box(box: Box) -> Labels:
    return labels(box=box.id)


def _of(process: Process) -> Labels:
    return labels(process=process.name)
