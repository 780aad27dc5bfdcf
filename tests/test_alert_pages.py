"""The pages of alerts and their API on a box: who sees and changes what, what is refused, what a test comes to."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import mail
from appliance.accounts.audit import Action
from appliance.alerts.judge import What
from appliance.alerts.kinds import ALL, KINDS, OF_BOX, Nobody, Offline, stream
from appliance.alerts.log_page import PAGE_SIZE
from appliance.alerts.recipients import Way
from appliance.alerts.rule_forms import ABOUT
from appliance.alerts.rules import Quiet
from appliance.alerts.tried import AT_ONCE, Trials
from appliance.errors import InputError
from appliance.mail import Security
from tests.alerted import OFFICE, OFFLINE, note, something_is_wrong
from tests.http_servers import Player, serving_http
from tests.mail_servers import PASSWORD, USER, mail_server
from tests.site import Box

SECRET = "sixteen letters or more"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def alerted(box: Box) -> Box:
    with box.store.writing():
        something_is_wrong(box.store.alerts, box.clock.now)
    return box


def heartbeat(box: Box) -> None:
    box.store.services.heartbeat("notify", 1, box.clock.now.utc, None, box.clock.now)


def entries(box: Box, action: Action) -> list[str]:
    rows = box.store.db.query("select subject, details from audit where action = ? order by number", [action.value])
    return [f"{row['subject']} {row['details']}" for row in rows]


def lines(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


def test_an_open_alert_stands_on_home_on_its_stream_in_the_list_and_on_its_page(alerted: Box) -> None:
    heartbeat(alerted)
    ann = alerted.browser("ann")
    for path in ("/", "/streams/1", "/alerts"):
        assert OFFLINE in ann.get(path).text, path
    assert '<a class="pill warn target" href="/streams/1">' in ann.get("/streams").text
    assert OFFLINE not in ann.get("/streams/2").text
    page = lines(ann.get("/alerts").text)
    assert "sent Office, by e-mail" in page and "not running" not in page
    assert "broken now" in lines(ann.get("/alerts/rules").text)


def test_while_nothing_is_watched_the_page_does_not_say_that_all_is_well(box: Box) -> None:
    box.store.alerts.rules.add(Offline(), ALL, 60, None, 0)
    page = lines(box.browser("ann").get("/alerts").text)
    assert "`notify`" not in page and "notify is not running" in page and "no rule is broken" not in page
    heartbeat(box)
    page = lines(box.browser("ann").get("/alerts").text)
    assert "Nothing: no rule is broken." in page and "Nobody is told of an alert" in page


def test_a_scientist_sees_alerts_of_own_streams_only(alerted: Box) -> None:
    with alerted.store.writing():
        note(alerted.store.alerts, What.OVER, 0, stream(2), "sci:lab", "sci:lab is LIVE again.")
        note(alerted.store.alerts, What.TEST, 0, ALL, "box", "This is a test.")
    sci, ann = alerted.browser("sci"), alerted.browser("ann")
    for path in ("/alerts", "/api/v1/alerts"):
        theirs = sci.get(path, headers={"Authorization": "Bearer token of sci"} if "/api/" in path else {}).text
        assert OFFLINE not in theirs and "sci:lab is LIVE again." in theirs and "This is a test." not in theirs
    assert OFFLINE not in sci.get("/").text
    assert OFFLINE in ann.get("/alerts").text and "This is a test." in ann.get("/alerts").text


def test_a_scientist_makes_rules_about_own_streams_and_picks_recipients_by_name(alerted: Box) -> None:
    sci = alerted.browser("sci")
    form = sci.get("/alerts/rules/new?kind=nobody").text
    assert "sci:lab" in form and "ann:door" not in form and OFFICE not in form and "Office" in form
    assert "kind=disk" not in sci.get("/alerts/rules/new").text
    fields = {"kind": "nobody", "minutes": "30", "cool_down": "60", "to": "chosen", "recipients": "1"}
    for subject in ("all", "stream:1", "service:serve", "stream:99"):
        answer = sci.post("/alerts/rules", **fields, subject=subject)
        assert answer.status_code == 400 and "of your own" in answer.text, subject
    assert sci.post("/alerts/rules", **fields, subject="stream:2").headers["location"] == "/alerts/rules"
    made = alerted.store.alerts.rules.all()[-1]
    assert (made.parameters, made.subject, made.recipient_ids) == (Nobody(minutes=30), stream(2), (1,))
    assert sci.get("/alerts/rules/1").status_code == 403  # about every stream: it is seen, and left alone
    assert sci.post("/alerts/rules/1/remove").status_code == 403
    eve = alerted.browser("eve")
    assert f"/alerts/rules/{made.id}" not in eve.get("/alerts/rules").text
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/remove"), ("POST", "/remove")):
        address = f"/alerts/rules/{made.id}{path}"
        assert (eve.get(address) if method == "GET" else eve.post(address)).status_code == 404, path
    assert "sci:lab" in entries(alerted, Action.ALERT_RULE_ADDED)[0]


def test_what_is_typed_wrong_comes_back_with_why(box: Box) -> None:
    ann = box.browser("ann")
    fields = {"kind": "rate", "subject": "all", "percent": "80", "minutes": "15", "persons": "20", "cool_down": "60"}
    for wrong, words in (
        ({"percent": "101"}, "Under: a whole number from 1 to 100"),
        ({"minutes": "ten"}, "Over the last: a whole number from 5"),
        ({"cool_down": ""}, "The cool-down is a whole number of minutes"),
        ({"to": "chosen", "recipients": "7"}, "choose again who is told"),
        ({"subject": "stream:7"}, "this one is gone"),
        ({"subject": "garbage"}, "Choose what the rule is about."),
    ):
        answer = ann.post("/alerts/rules", **{**fields, **wrong})
        assert answer.status_code in (400, 404) and words in answer.text, (wrong, answer.text)
        assert all(f'value="{value}"' in answer.text for name, value in wrong.items() if name in ("percent", "minutes"))
    assert ann.post("/alerts/rules", kind="garbage").status_code == 400
    assert box.store.alerts.rules.all() == []


def test_an_admin_changes_switches_off_and_removes_a_rule(alerted: Box) -> None:
    ann = alerted.browser("ann")
    form = ann.get("/alerts/rules/1").text
    assert 'name="minutes" value="5"' in form and "Watches each stream." in form and 'name="subject"' not in form
    ann.post("/alerts/rules/1", minutes="7", cool_down="0", to="chosen")
    (rule,) = alerted.store.alerts.rules.all()
    assert (rule.parameters, rule.cool_down_minutes, rule.active, rule.recipient_ids) == (Offline(7), 0, False, ())
    page = lines(ann.get("/alerts/rules").text)
    assert "off" in page and "tells nobody" in page
    assert OFFLINE not in ann.get("/").text  # nothing is wrong by a rule that is off
    assert "Stream offline for 7 min" in ann.get("/alerts/rules/1/remove").text
    ann.post("/alerts/rules/1/remove")
    assert alerted.store.alerts.rules.all() == [] and ann.get("/alerts/rules/1").status_code == 404
    assert OFFLINE in ann.get("/alerts").text  # what was told stays


def test_one_click_makes_the_recommended_rules_and_a_second_one_none(box: Box) -> None:
    ann = box.browser("ann")
    assert "Use the recommended rules" in ann.get("/alerts").text
    assert "Use the recommended rules" not in box.browser("sci").get("/alerts").text
    ann.post("/alerts/rules/recommended")
    made = len(box.store.alerts.rules.all())
    ann.post("/alerts/rules/recommended")
    assert made == len(box.store.alerts.rules.all()) >= 5
    rules = ann.get("/alerts/rules").text
    assert "Use the recommended rules" not in rules
    assert "tells everybody" in rules and "Nobody is told of an alert" in rules, "as long as there is no recipient"
    assert "Nobody is told of an alert" not in box.browser("sci").get("/alerts/rules").text
    assert ann.post("/alerts/recipients", kind="mqtt", name="office", mqtt="mb9k/alerts").is_redirect
    assert "Nobody is told of an alert" not in ann.get("/alerts/rules").text
    assert len(entries(box, Action.ALERT_RULE_ADDED)) == made


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [("22:00", "07:00", Quiet(1320, 420)), ("12:30:00", "13:05", Quiet(750, 785)), ("", "", None)],
)
def test_quiet_hours_are_set_and_ended(box: Box, since: str, until: str, expected: Quiet | None) -> None:
    box.store.alerts.rules.set_quiet(Quiet(1, 2))
    ann = box.browser("ann")
    assert ann.post("/alerts/quiet", **{"from": since, "until": until}).status_code == 303
    assert box.store.alerts.rules.quiet() == expected
    for wrong in (("22:00", ""), ("24:00", "07:00"), ("7", "8"), ("08:00", "08:00")):
        answer = ann.post("/alerts/quiet", **{"from": wrong[0], "until": wrong[1]})
        assert answer.status_code == 400 and "such as 22:00 to 07:00" in answer.text
    assert box.store.alerts.rules.quiet() == expected


def test_the_log_is_paged_to_its_end(box: Box) -> None:
    count = 2 * PAGE_SIZE + 3
    with box.store.writing():
        for number in range(count):
            note(box.store.alerts, What.RAISED, number, stream(1), "ann:door", f"Event {number}.")
    ann, seen, path = box.browser("ann"), [], "/alerts"
    while path:
        page = ann.get(path).text
        seen += re.findall(r"Event (\d+)\.", page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        path = older[1] if older else ""
    assert [int(number) for number in seen] == list(reversed(range(count)))
    assert ann.get("/alerts?before=99999999999999999999").is_success and ann.get("/alerts?before=x").is_success


class Hook(Player):
    """Takes a message, or answers as it is told to."""

    status = 204
    taken: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        """Note it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((dict(self.headers), body))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_a_webhook_is_added_tried_changed_and_removed_and_its_secret_is_never_shown(box: Box) -> None:
    ann, hook = box.browser("ann"), type("One", (Hook,), {"taken": []})
    with serving_http(hook) as port:
        address = f"http://127.0.0.1:{port}/a-token-in-the-path"
        answer = ann.post("/alerts/recipients", kind="webhook", name="Chat", webhook=address, secret=SECRET)
        assert answer.status_code == 303
        ann.post("/alerts/recipients/1/test")
        page = ann.get("/alerts/recipients").text
        assert "The test was taken" in page and SECRET not in page and "a-token-in-the-path" not in page
        ((headers, body),) = hook.taken  # type: ignore[attr-defined]
        assert json.loads(body)["what"] == "test" and "webhook-signature" in {name.lower() for name in headers}
        hook.status = 500  # type: ignore[attr-defined]
        ann.post("/alerts/recipients/1/test")
        assert "answers 500" in ann.get("/alerts/recipients").text
        assert "answers 500" in lines(ann.get("/alerts").text) and "failed Chat" in lines(ann.get("/alerts").text)
    form = ann.get("/alerts/recipients/1").text
    assert SECRET not in form and "Sign messages no longer" in form
    ann.post("/alerts/recipients/1", name="Chat 2", webhook=address, secret="")
    (kept,) = box.store.alerts.recipients.all()
    assert (kept.name, kept.secret) == ("Chat 2", SECRET)
    ann.post("/alerts/recipients/1", name="Chat 2", webhook=address, secret="", unsigned="yes")
    assert not box.store.alerts.recipients.all()[0].has_secret
    assert ann.post("/alerts/recipients/1", name="", webhook=address).status_code == 400
    ann.post("/alerts/recipients/1/remove")
    assert box.store.alerts.recipients.all() == [] and ann.get("/alerts/recipients/1").status_code == 404
    trail = "\n".join(f"{row['subject']} {row['details']}" for row in box.store.db.query("select * from audit"))
    assert "Chat" in trail and SECRET not in trail and "a-token-in-the-path" not in trail


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "webhook", "webhook": "ftp://example.org"}, "http:// or https://"),
        ({"kind": "webhook", "webhook": "https://example.org", "secret": "short"}, "The secret has 16"),
        ({"kind": "email", "email": "two@example.org, three@example.org"}, "it looks like name@example.org"),
        ({"kind": "mqtt", "mqtt": "a/#"}, "A topic is"),
        ({"kind": "carrier pigeon"}, "Choose how it is told"),
        ({"kind": "email", "email": OFFICE, "name": "Office"}, "choose another name"),
    ],
)
def test_a_recipient_that_cannot_be_told_is_refused_with_why(alerted: Box, fields: dict[str, str], words: str) -> None:
    answer = alerted.browser("ann").post("/alerts/recipients", **{"name": "New", **fields})
    assert answer.status_code in (400, 409) and words in answer.text
    assert alerted.store.alerts.recipients.count() == 1


def test_the_mail_server_is_set_tried_and_forgotten_and_its_password_is_never_shown(box: Box, tmp_path: Path) -> None:
    ann = box.browser("ann")
    with mail_server(tmp_path, Security.STARTTLS) as inbox:
        server = inbox.server
        typed = {
            "host": server.host,
            "port": str(server.port),
            "security": "starttls",
            "user": USER,
            "sender": server.sender,
            "authority": server.authority,
        }
        assert ann.post("/alerts/mail", **typed, password=PASSWORD).status_code == 303
        page = ann.get("/alerts/mail").text
        assert "The mail server is saved." in page and PASSWORD not in page and "it stays as it is" in page
        ann.post("/alerts/mail/test", to=OFFICE)
        assert f"has taken a message to {OFFICE}" in ann.get("/alerts/mail").text
        assert inbox.messages[0]["To"] == OFFICE and "test" in inbox.messages[0]["Subject"].lower()
        ann.post("/alerts/mail", **typed, password="")
        assert mail.load(box.config.state) == mail.checked(server)
        box.store.alerts.recipients.add(Way.EMAIL, "Office", OFFICE, "", 0)
        inbox.refuses[OFFICE] = "550 no such person"
        ann.post("/alerts/recipients/1/test")
        assert "no such person" in ann.get("/alerts/recipients").text
    wrong = ann.post("/alerts/mail", **{**typed, "port": "no"}, password="typed in vain")
    assert wrong.status_code == 400 and "The port is a number" in wrong.text and "typed in vain" not in wrong.text
    assert ann.post("/alerts/mail/test", to="nobody").status_code == 400
    ann.post("/alerts/mail/remove")
    assert mail.load(box.config.state) is None
    assert "Set the mail server first" in ann.post("/alerts/mail/test", to=OFFICE).text
    trail = "\n".join(f"{row['subject']} {row['details']}" for row in box.store.db.query("select * from audit"))
    assert server.where in trail and PASSWORD not in trail


def test_a_mail_server_that_cannot_be_read_is_said_and_can_be_set_again(box: Box) -> None:
    (box.config.state / mail.FILE).write_text("garbage")
    ann = box.browser("ann")
    for path in ("/alerts/mail", "/alerts/recipients"):
        answer = ann.get(path)
        assert "set the mail server again" in answer.text, path
    fields = {"host": "mail.example.org", "port": "25", "security": "none", "sender": OFFICE}
    assert ann.post("/alerts/mail", **fields).status_code == 303
    assert ann.get("/alerts/mail").is_success


def test_so_many_tests_at_once_and_no_more(box: Box) -> None:
    trials, begun, go_on = Trials(), threading.Barrier(AT_ONCE + 1), threading.Event()

    def waits() -> str:
        begun.wait(10)
        go_on.wait(10)
        return "taken"

    threads = [
        threading.Thread(target=trials.run, args=(str(number), box.clock.now, waits)) for number in range(AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    begun.wait(10)
    with pytest.raises(InputError, match="try again in a minute"):
        trials.run("one more", box.clock.now, lambda: "taken")
    go_on.set()
    for thread in threads:
        thread.join()
    kept = trials.of("0", box.clock.now)
    assert kept and kept.ok and trials.of("one more", box.clock.now) is None
    box.clock.forward(3600)
    assert trials.of("0", box.clock.now) is None


def test_programs_make_change_and_remove_rules_and_only_admins_see_where_alerts_go(alerted: Box) -> None:
    client = alerted.browser().client

    def ask(who: str, method: str, path: str, **content: object) -> tuple[int, dict[str, object]]:
        headers = {"Authorization": f"Bearer token of {who}"}
        answer = client.request(method, f"/api/v1/{path}", headers=headers, json=content or None)
        return answer.status_code, answer.json() if answer.content else {}

    assert ask("ann", "GET", "alert-recipients")[1]["recipients"][0]["address"] == OFFICE  # type: ignore[index]
    assert ask("sci", "GET", "alert-recipients")[1]["recipients"][0]["address"] is None  # type: ignore[index]
    lab = {"of": "stream", "id": "2"}
    status, made = ask("sci", "POST", "alert-rules", kind="offline", about=lab, parameters={"minutes": 3})
    assert status == 201 and made["words"] == "Stream offline for 3 min" and made["recipients"] is None
    path = f"alert-rules/{made['id']}"
    assert ask("sci", "PATCH", path, recipients=[1], active=False)[1]["recipients"] == [1]
    assert ask("sci", "PATCH", path, parameters={"minutes": 4})[1]["parameters"] == {"minutes": 4}
    assert ask("sci", "PATCH", path, parameters={"hours": 4})[0] == 400
    assert ask("eve", "GET", path)[0] == ask("eve", "DELETE", path)[0] == 404
    assert ask("sci", "POST", "alert-rules", kind="offline")[0] == 403
    assert ask("sci", "POST", "alert-rules", kind="offline", about={"of": "stream", "id": "1"})[0] == 404
    assert ask("sci", "DELETE", "alert-rules/1")[0] == 403 and ask("sci", "GET", "alert-rules/1")[0] == 200
    assert ask("ann", "POST", "alert-rules", kind="disk", about=lab)[0] == 400
    assert ask("ann", "GET", "alerts?limit=0")[0] == 400
    assert ask("sci", "DELETE", path)[0] == 204 and ask("sci", "GET", path)[0] == 404


def test_each_kind_of_rule_is_explained_and_offered(box: Box) -> None:
    assert set(ABOUT) == set(KINDS)
    page = box.browser("ann").get("/alerts/rules/new").text
    for kind in KINDS.values():
        assert (f"kind={kind.name}" in page) == (kind.type in OF_BOX)
        if kind.type in OF_BOX:
            form = box.browser("ann").get(f"/alerts/rules/new?kind={kind.name}&subject=stream:1").text
            assert all(f'name="{each.name}" value="{each.default}"' in form for each in kind.parameters)


def test_a_deleted_stream_leaves_neither_its_rules_nor_its_alerts(alerted: Box) -> None:
    alerted.store.alerts.rules.add(Nobody(), stream(1), 60, None, 0)
    ann = alerted.browser("ann")
    ann.post("/streams/1/delete")
    page = ann.get("/alerts").text
    assert OFFLINE not in page and "Nobody judged" not in ann.get("/alerts/rules").text
    assert ann.get("/").is_success
