"""The audit in the reader's language: each entry that the code writes, told again; what is on record stays."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args, get_type_hints
from urllib.parse import quote

import pytest

from appliance.accounts import audit_details
from appliance.accounts.audit import ENTRIES, Action, Actor, ActorKind, Entry
from appliance.accounts.audit_details import NAMES, VALUES, detail_words
from appliance.accounts.audit_meant import NOTHING, meant
from appliance.accounts.audit_site import told
from appliance.accounts.audit_subjects import COMMANDS, EXPORTED, NOBODY, ROUTES, SUBJECTS, WATCHED, subject_words
from appliance.accounts.audit_words import words_of
from appliance.accounts.people import Role
from appliance.alerts import site as alert_site
from appliance.alerts.kinds import KINDS, Of
from appliance.alerts.recipients import Way
from appliance.central.store.sums import STEP_S
from appliance.exports.export import What
from appliance.faces import State
from appliance.keeping import ImageMode, Keeping
from appliance.language import ENGLISH, LANGUAGES, _, n_, p_, speaking
from appliance.mail import Security
from appliance.messages import Command
from appliance.reports.periods import Kind as Period
from appliance.reports.periods import day_number, period_of
from appliance.retold import told_as
from appliance.rules import detections, streams, zones
from appliance.zones import Zone, ZoneKind
from tests.conftest import REPOSITORY
from tests.fleets import Fleet
from tests.site import PASSWORD, Box

OTHERS = [code for code in LANGUAGES if code != ENGLISH]
MODULES = {path: ast.parse(path.read_text()) for path in sorted((REPOSITORY / "appliance").rglob("*.py"))}
TELLING = ("_details", "_changes_of", "_told", "count", "left_out", "parameters", "receipt")
"""The functions that make details, by their names."""
ADDING = ("add", "record", "_record", "_note", "_begin_audit")
SAME = {"Data Scientist", "site 7", "7 images", "service Dr. No of stream 7 (mask), the box."}
"""What a language has as English does."""


def calls() -> Iterator[tuple[ast.Module, ast.Call]]:
    """Every call that adds an entry."""
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and any("Action." in ast.unparse(each) for each in node.args[:4]):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
                if called in ADDING:
                    yield tree, node


@cache
def functions() -> dict[str, list[ast.FunctionDef]]:
    found: dict[str, list[ast.FunctionDef]] = {}
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name in TELLING:
                found.setdefault(node.name, []).append(node)
    return found


@cache
def assigned(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """What is assigned to each name."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                found.setdefault(ast.unparse(target), []).append(node.value)
    return found


def names_in(tree: ast.AST, value: ast.AST | None, depth: int = 6) -> set[str]:
    """The keys that a dictionary may have, by reading the code that makes it; tree: where that stands."""
    if value is None or depth == 0:
        return set()
    found = set[str]()
    for node in ast.walk(value):
        if isinstance(node, ast.Dict):
            found |= {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
        elif isinstance(node, ast.Name):
            for each in assigned(tree).get(node.id, []):
                found |= names_in(tree, each, depth - 1)
        elif isinstance(node, ast.Call):
            for function in functions().get(ast.unparse(node.func).rpartition(".")[2], []):
                returned = [each.value for each in ast.walk(function) if isinstance(each, ast.Return)]
                if "dict[str" in ast.unparse(function.returns or ast.Constant(None)):
                    found = found.union(*(names_in(function, each, depth - 1) for each in returned))
    return found


def names_on_record() -> set[str]:
    """What details are called that the code writes."""
    found: set[str] = set()
    for tree, call in calls():
        for each in call.keywords:
            found |= {each.arg} if each.arg else names_in(tree, each.value)
    for kind in KINDS.values():
        found |= {"kind", *(each.name for each in kind.parameters)}
    found |= set(Keeping.__slots__)
    for path, tree in MODULES.items():  # the numbers in the address of what is sent and accepted
        if "web" not in path.parts:
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found |= set(re.findall(r"/<([a-z_]+):int>", node.value))
    return found


def test_every_detail_that_the_code_writes_has_a_name_in_each_language() -> None:
    written = names_on_record()
    assert {"had_image", "before", "cool_down_minutes", "stream_id", "failures_before", "not_reviewed"} <= written
    assert {each.replace("_", " ") for each in written} - set(NAMES) == set()
    for language in OTHERS:
        with speaking(language):
            untold = {each for each in NAMES if p_("audit", each) == each}
            assert len(untold) < 12, untold  # what two languages call alike: format, type, source


def test_no_subject_is_written_that_cannot_be_told_again() -> None:
    """A text that is put together, or a constant, belongs to SUBJECTS: but for the address of a request."""
    for _tree, call in calls():
        for each in call.args:
            assert not isinstance(each, ast.Constant), ast.unparse(call)
            assert not isinstance(each, ast.JoinedStr) or "/" in ast.unparse(each) or "route.rule" in ast.unparse(each)


def test_the_words_on_record_are_those_that_the_program_has() -> None:
    assert set(audit_details.STATES) == {each.value for each in State}
    assert set(audit_details.ROLES) == {each.value for each in Role}
    assert set(audit_details.MODES) == {each.value for each in ImageMode}
    assert set(audit_details.WAYS) == {each.value for each in Way}
    assert set(audit_details.SECURITY) == {each.value for each in Security}
    assert set(audit_details.KINDS) == set(KINDS)
    assert set(audit_details.ZONES) == {each.value for each in ZoneKind}
    assert set(audit_details.SPANS) == {*(each.value for each in Period), *STEP_S}
    assert set(EXPORTED) == {each.value for each in What}
    assert set(COMMANDS) == set(get_args(get_type_hints(Command)["action"]))
    together = {*alert_site.EACH.values(), *alert_site.ALL_TOGETHER.values()}
    assert together <= set(WATCHED) and {each.value for each in Of} - {"all"} <= {each.split()[0] for each in WATCHED}


@pytest.mark.parametrize("language", OTHERS)
def test_each_subject_and_each_value_is_told_with_what_a_person_typed_as_it_is(language: str) -> None:
    typed = "Dr. No of stream 7 (mask), the box."
    for action, marked in SUBJECTS.items():
        for each in marked:
            form = each[1] if isinstance(each, tuple) else each
            whole = dict.fromkeys(("n", "id", "first", "last"), 7)
            texts = dict.fromkeys(("title", "name", "site", "since", "until", "day"), typed)
            text = form.format(
                **{**whole, **texts, **({"name": "my script"} if "{owner}" in form else {})}, owner="kim"
            )
            details = {"where": "x"} if action is Action.RECIPIENT_TESTED else {}
            assert subject_words(action.value, text, details) == text, "in English"
            with speaking(language):
                said = subject_words(action.value, text, details)
            assert said != text or text in SAME, f"{language}: {text}"
            assert (typed in said) == (typed in text) and ("my script" in said) == ("my script" in text)
    for name, values in VALUES.items():
        for value in values:
            assert detail_words(name, value) == f"{name.replace('_', ' ')}: {value.replace('_', ' ')}", "in English"
            with speaking(language):
                said = p_("audit", value)
            assert said != value or said.casefold() == value or said in SAME, f"{language}: {value}"
            assert "_" not in said


def test_what_a_person_typed_is_never_told_again() -> None:
    with speaking("de"):
        words = (
            "Claimed",
            "the box",
            "none",
            "3 images",
            "report 3",
            "mask",
            "for /metrics",
            "the mail server",
            NOBODY,
        )
        for name in (*words, *WATCHED):
            for action in set(Action) - set(SUBJECTS):
                assert subject_words(action.value, name, {}) == name, action
            assert subject_words("token_made", name, {"days": 30}) == name
            assert subject_words("recipient_tested", name, {"way": "email"}) == name
            assert subject_words("sign_in_failed", name, {"person_id": 3}) == name
            for of_rule in ("alert_rule_added", "alert_rule_changed", "alert_rule_removed"):
                assert subject_words(of_rule, name, {"kind": "offline", "stream": "3"}) == name
            for detail in ("name", "host", "user", "site", "source", "search", "to", "removed", "file", "detail"):
                assert detail_words(detail, name).endswith(f": {name}")
        assert subject_words("stream_added", "stream 3 (Claimed)", {}) == "Stream 3 (Claimed)"
        assert subject_words("stream_added", "stream 3 (a (b) c)", {}) == "Stream 3 (a (b) c)"
        assert subject_words("token_revoked", "a of b of ann", {}) == "a of b of ann", "nobody knows whose"
        assert subject_words("token_revoked", "export of ann", {}) == "export von ann"
        assert (
            detail_words("drawn", "count: Door, never: Claimed") == "gezeichnet: hier zählen: Door, nie hier: Claimed"
        )
        zones_drawn = ["count: x, never: y", "line: Gate"]
        assert detail_words("drawn", zones_drawn) == "gezeichnet: hier zählen: x, never: y, Linie: Gate", (
            "a name that looks like the next zone"
        )
        assert detail_words("streams", ["stream 3 (Claimed)"]) == "Streams: Stream 3 (Claimed)"


def test_sentences_by_number_and_what_is_unknown() -> None:
    images = ("{n} image", "{n} images")
    assert told_as("3 images", "audit", images) == "3 images"
    with speaking("de"):
        assert told_as("3 images", "audit", images) == n_(*images, 3) == "3 Bilder"
        assert (
            told_as("1 image", "audit", images) == "1 Bild"
            and told_as("12345 images", "audit", images) == "12.345 Bilder"
        )
        assert told_as("three images", "audit", images) == "three images" and told_as("", "audit", images) == ""
        entry = Entry(1, "", "person", 1, "ann", "", "of_a_newer_version", "whatever 3", '{"new_thing":null}')
        assert told(entry) == ("whatever 3", ["new thing: ohne"])
        damaged = Entry(1, "", "person", 1, "ann", "", "claimed", "", "{")
        assert told(damaged) == ("", ["Einzelheiten: {"])


@pytest.mark.parametrize("kind", Period)
def test_the_days_of_a_report_are_dates_of_the_language(kind: Period) -> None:
    period = period_of(kind, day_number("2026-03-04"))
    on_record = period.title
    assert detail_words("of", on_record) == f"of: {on_record}"
    for language in OTHERS:
        with speaking(language):
            assert on_record != period.title and detail_words("of", on_record).endswith(f": {period.title}")
    with speaking("de"):
        assert detail_words("of", "29 February to 6 March 2028") == "Zeitraum: 29. Februar bis 6. März 2028"
        for on_record in ("28 December 2026 to 3 January 2027", "28 December to 3 January 2027"):
            assert detail_words("of", on_record) == "Zeitraum: 28. Dezember 2026 bis 3. Januar 2027"
        assert detail_words("of", "nothing known") == "Zeitraum: nothing known"


def test_a_word_that_is_told_is_looked_for_as_it_is_on_record() -> None:
    with speaking("de"):
        assert meant("anmeldung gesch", {}).actions == ("sign_in_failed",)
        assert meant("die box", {"itself": "die Box", "stranger": "jemand"}).actor_kinds == ("itself",)
        assert ("detection_deleted", "detection 12") in meant("Erfassung 12", {}).subjects
        assert ("key_changed", "stream 3{rest}") in meant("Stream 3", {}).subjects
        assert ("token_revoked", "export of ann") in meant("export von ann", {}).subjects
        assert ("changed", "POST /sites") in meant(p_("audit", ROUTES["POST /sites"]), {}).subjects
        assert '"state":"no_mask"' in meant("ohne Maske", {}).details
        assert meant("12", {}) == meant("  a", {}) == NOTHING, "too little for a word"
        assert meant("Quench3r", {}) == NOTHING
    assert meant("sign in f", {}).actions == ("sign_in_failed",), "in English, too, the page has words of its own"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.close()


def _do_much(box: Box) -> None:
    """What goes on record by the site itself, with names that are words of ours."""
    ann = box.browser("ann")
    ann.get("/streams/1")
    ann.post("/streams", name="Claimed")
    by = box.store.people.get(1)
    assert by
    found = streams.find(box.store, 1, box.clock.now)
    streams.change(box.store, by, found, name="the box", active=False, keeping=Keeping(ImageMode.NO_IMAGES, 3))
    detections.correct(box.store, by, 2, State.MASK, box.clock.now)
    drawn = (Zone(ZoneKind.COUNT, "mask", ((0.1, 0.1), (0.9, 0.1), (0.5, 0.9))),)
    zones.put(box.store, 1, drawn)
    ann.post("/detections/1/delete")
    ann.post("/people", name="kim", role="admin", password=PASSWORD, again=PASSWORD)
    ann.post("/people/4/role", role="data_scientist")
    ann.post("/account/tokens", name="none")
    ann.post("/alerts/rules/recommended")
    ann.post("/alerts/recipients", kind="email", name="all", email="x@example.org")
    ann.post("/alerts/quiet", **{"from": "22:00", "until": "07:00"})
    ann.post("/reports/1", kind="day", clock="07:00", recipients="y@example.org", about="all")
    ann.post("/settings/title", title="Front door")
    ann.get("/export/detections?format=csv")
    ann.get("/settings/bundle.zip")
    box.browser().sign_in("nobody", "wrong")
    with box.store.saving():
        box.store.audit.act_for(Actor(ActorKind.ITSELF))
        box.store.audit.add(Action.DROPPED, ENTRIES.format(first=1, last=2), last="2:ab")


def test_the_page_is_in_the_reader_s_language_and_the_record_as_ever(box: Box) -> None:
    _do_much(box)
    on_record = [tuple(row.values()) for row in box.store.db.query("select * from audit order by number")]
    assert {row[6] for row in on_record} >= DONE
    ann = box.browser("ann")
    english = rows_of(ann.get("/audit").text)
    for row, entry in zip(on_record, reversed(english), strict=True):
        subject, details = str(row[7]), audit_details.details_of(Entry(*row[:9]))
        names = [name.replace("_", " ") for name in details or {}]
        assert entry[0] == ROUTES.get(subject, subject) and [each.partition(":")[0] for each in entry[1:]] == names, (
            "English as ever"
        )
    for language in OTHERS:
        ann.client.headers["Accept-Language"] = language
        rows = rows_of(ann.get("/audit").text)
        untold = {cell for row, other in zip(rows, english, strict=True) for cell in row if cell in other}
        assert untold <= ALIKE, language
    assert [tuple(row.values()) for row in box.store.db.query("select * from audit order by number")] == on_record


OF_THE_GUARD = re.compile(
    "(POST|DELETE) /(api/v1/)?"
    "(settings/(?!privacy)|updates/|fleet/(?!leave)|sites|boxes|add-box|reports/.*/send|people/.*/sites)"
)


def test_what_only_the_guard_puts_on_record_has_words(box: Box, tmp_path: Path) -> None:
    """Whoever reads the audit knows no routes."""
    centre = Fleet(tmp_path / "centre", str(tmp_path / "central.db"))
    there = {f"{route.method} {route.rule}" for app in (box.app, centre.app) for route in app.routes}
    centre.close()
    assert set(ROUTES) == {route for route in there if OF_THE_GUARD.match(route)}


def test_what_stands_on_the_page_is_found_by_the_words_that_stand_there(box: Box) -> None:
    _do_much(box)
    ann = box.browser("ann")
    ann.post("/people", name=NOBODY, role="admin", password=PASSWORD, again=PASSWORD)
    ann.post("/streams", name="Ärztezimmer")
    box.browser().sign_in(NOBODY, "wrong")
    for language in LANGUAGES:
        ann.client.headers["Accept-Language"] = language
        whole = ann.get("/audit").text
        with speaking(language):
            words = {words_of("sign_in_failed"), p_("audit", "detection {id}", id=1), p_("audit", "no_mask"), "ÄRZTE"}
            for word in {*words, "Ärzte", n_("{n} image", "{n} images", 1), _("the box"), p_("audit", "role")}:
                address = f"/audit?search={quote(word.replace('_', ' '))}"
                rows = ROW.findall(ann.get(address).text)
                there = {row for row in ROW.findall(whole) if word.lower() in re.sub("<[^>]*>", "", row).lower()}
                assert rows and there <= set(rows) and len(rows) < 25, f"{language}: {word}"
                assert ROW.findall(ann.get(f"{address}&until=2020-01-01T00:00").text) == []
        found = [row[0] for row in rows_of(ann.get("/audit?action=sign_in_failed").text)]
        assert NOBODY in found and (language == ENGLISH or set(found) != {NOBODY}), "one is a name"


ROW = re.compile('(?s)<tr role="row"><td.*?</tr>')
DONE = {
    *("images_viewed", "exported", "downloaded", "stream_added", "stream_changed", "zones_changed"),
    *("detection_corrected", "detection_deleted", "person_added", "role_changed", "token_made", "sign_in_failed"),
    *("alert_rule_added", "recipient_added", "quiet_hours_changed", "report_changed", "changed"),
}
ALIKE = {"kim", "none", "all", "POST /settings/title", "1 image", "minutes: 2", "images: 1"}
"""Names that people typed, addresses, and what French has like English."""


def rows_of(page: str) -> list[list[str]]:
    """What stands in the last column of each row."""
    cells = re.findall(r'(?s)<td role="cell">((?:(?!</?td).)*)</td></tr>', page)
    texts = [html.unescape(re.sub(r"<[^>]*>", "\n", cell)) for cell in cells]
    return [[line.strip() for line in text.split("\n") if line.strip()] for text in texts]
