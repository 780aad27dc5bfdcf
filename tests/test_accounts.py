"""Accounts: an old box's people, a second site built from the same rooms, and whose tries are counted."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bottle import HTTPError
from sqlite_utils import Database

from appliance.accounts import account, sign_in
from appliance.accounts.audit import Audit
from appliance.accounts.guard import Guard, Visitor, visitor_now
from appliance.accounts.people import People, Person, Role, Session
from appliance.accounts.schema import migrations
from appliance.accounts.site import VIEWS, Accounts
from appliance.secrets import digest
from appliance.store import Store
from appliance.times import Now, now, utc_seconds, utc_text
from appliance.web.access import Access, App
from appliance.web.address import SiteAddress
from appliance.web.cookies import Cookie
from appliance.web.pages import Link, Pages
from appliance.web.render import Renderer
from appliance.web.static import Static
from tests.conftest import REPOSITORY
from tests.site import PASSWORD, PASSWORD_HASH, Browser


def test_a_box_from_before_accounts_keeps_everything(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "mb9k.db")
    old.executescript((REPOSITORY / "tests" / "box_before_accounts.sql").read_text())
    before = {line for line in old.iterdump() if line.startswith("INSERT")}
    old.close()
    unready = Store.open_readonly(tmp_path / "mb9k.db")
    assert "migration m001_people has not run; start the box once" in unready.problems()
    unready.close()
    store = Store.open(tmp_path / "mb9k.db")
    assert store.problems() == []
    new = {
        "tokens": "expires_utc",
        "detections": "crc32, too_small, judged_state, reviewed_by, reviewed_utc",
        "streams": "watch_url, images, images_days, detections_days, forgotten_id, images_forgotten_id, receipt_id",
    }  # the last columns of each
    after = set(store.db.conn.iterdump())
    for table, columns in new.items():
        values = r",[^,]*" * len(columns.split())
        longer = re.compile(rf'^(INSERT INTO "{table}" .*?){values}\);$')
        after = {longer.sub(r"\1);", line) for line in after}
    assert before <= after, "no row was lost or changed"
    ann, sci = store.people.all()
    assert (ann.name, ann.role, sci.name, sci.role) == ("ann", Role.ADMIN, "sci", Role.DATA_SCIENTIST)
    session = store.people.session(digest("session of ann"))
    assert session and session.person == ann and session.created_utc == "1970-01-01T00:02:00.000Z"
    token = store.people.token(digest("token of sci"))
    assert token and token.owner == sci
    assert [stream.title for stream in store.streams.all(now())] == ["sci:lab"]
    assert not store.people.remove(sci.id), "who owns a stream stays"
    store.close()


def test_an_old_box_and_a_new_one_have_the_same_tables(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "mb9k.db")
    old.executescript((REPOSITORY / "tests" / "box_before_accounts.sql").read_text())
    old.close()

    def tables(store: Store) -> set[tuple[str, str]]:
        rows = store.db.query("select name, sql from sqlite_schema where tbl_name in ('people', 'sessions', 'tokens')")
        return {
            (row["name"], re.sub(r"(?i)create (table|index) (if not exists )?", "", row["sql"] or "")) for row in rows
        }

    assert tables(Store.open(tmp_path / "mb9k.db")) == tables(Store.in_memory())


def test_tokens_from_before_they_expired_have_a_year(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "mb9k.db")
    old.executescript((REPOSITORY / "tests" / "box_before_accounts.sql").read_text())
    ahead = "2096-02-29T12:00:00.000Z"  # made while the clock was ahead; a clock that is behind does not end it
    old.execute("update tokens set last_used_utc = ? where id = (select max(id) from tokens)", [ahead])
    old.execute("insert into tokens (person_id, name, token_sha256, created_utc) values (1, 'n', 'd', '1970-01-01')")
    old.commit()
    old.close()
    before_utc = now().utc
    store = Store.open(tmp_path / "mb9k.db")
    used_ahead, unused = store.people.all_tokens()[-1], store.people.token("d")
    assert used_ahead.expires_utc == "2097-02-28T12:00:00.000Z"
    year_s = 365 * 86400
    assert unused and before_utc - 1 <= utc_seconds(unused.expires_utc) - year_s <= now().utc + 1
    store.close()


# A second site, of accounts and web alone: people sign in to it, and own noticeboards.


class Centre:
    """The second site's own file."""

    def __init__(self, path: Path) -> None:
        self.db = Database(path)
        self.db.execute("pragma foreign_keys=on")
        self.people = People(self.db)
        self.audit = Audit(self.db)

    @contextmanager
    def saving(self) -> Iterator[None]:
        with self.audit.within(self._transaction()):
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self.db.atomic():
            yield

    def close(self) -> None:
        self.db.close()


def owned_board(store: Centre, _now: Now, visitor: Visitor, address: Mapping[str, Any]) -> dict[str, Any]:
    for row in store.db.query("select owner_id, title from boards where id = ?", [address["board_id"]]):
        if visitor.may_edit(row["owner_id"]):
            return {"title": row["title"]}
    raise HTTPError(404, "There is no such board, or it is not yours.")


def make_centre(folder: Path) -> App:
    path = folder / "centre.db"
    centre = Centre(path)
    migrations.apply(centre.db)
    centre.db.execute(
        "create table boards (id integer primary key, title text,"
        " owner_id integer references people (id) on delete restrict)"
    )
    centre.close()
    (folder / "home.html").write_text('% rebase("base.html", title="Boards")\n<h1>Hello {{visitor.name}}</h1>')
    links = (Link("/", "Boards"), Link("/people", "People", admin_only=True), Link("/account", "Account"))
    views, form_cookie = Renderer(folder, VIEWS), Cookie("centre_form", https=False)
    pages = Pages("head office", "centre", views, Static(), form_cookie, visitor_now, links)
    accounts = Accounts(
        pages,
        Cookie("centre_session", https=False),
        Cookie("centre_device", https=False),
        folder / "claim-code",
        explain=str,
    )
    app = App(pages.error_page, SiteAddress(names=frozenset({"box.test"})))
    app.install(Guard(accounts, lambda: Centre(path), now, owned_board))
    for module in (sign_in, account):
        module.add_routes(app, accounts)
    pages.static.add_routes(app)
    app.get("/", access=Access.SIGNED_IN)(lambda: pages.page("home.html"))
    app.get("/api/board/<board_id:int>", access=Access.OWNER)(lambda board_id, title: f"{board_id} {title}")
    app.get("/broken", access=Access.ANYONE)(lambda: pages.page("no-such-view.html"))
    return app


def test_a_second_site_is_built_from_accounts_and_web_alone(tmp_path: Path) -> None:
    app = make_centre(tmp_path)
    browser = Browser(app)
    assert browser.get("/").headers["location"] == "/claim"
    claim_page = browser.get("/claim").text
    code = (tmp_path / "claim-code").read_text().strip()
    claimed = browser.post("/claim", page="/claim", name="ann", code=code, password=PASSWORD, again=PASSWORD)
    assert claimed.headers["location"] == "/" and browser.client.cookies["centre_session"]
    home = browser.get("/").text
    assert "Hello ann" in home and "head office" in home and 'href="/people"' in home

    made = browser.follow("/account/tokens", name="report").text
    assert "\\" not in made, "no line of a template that was to go on"
    token = made.split('id="token"')[1].split(">")[1].split("<")[0]
    centre = Centre(tmp_path / "centre.db")
    sci = centre.people.add("sci", PASSWORD_HASH, Role.DATA_SCIENTIST, 0.0)
    centre.db.execute("insert into boards (title, owner_id) values ('mine', ?)", [sci])
    program = Browser(app)
    assert program.get("/api/board/1").status_code == 401
    assert program.get("/api/board/1", headers={"Authorization": f"Bearer {token}"}).text == "1 mine"
    assert not centre.people.remove(sci), "who owns a board stays"

    assert browser.post("/sign-out").headers["location"] == "/sign-in"
    assert browser.get("/").headers["location"] == "/sign-in"
    sign_in_page = browser.get("/sign-in").text
    assert browser.sign_in("sci").headers["location"] == "/"
    scientists_home, nothing = browser.get("/").text, browser.get("/nothing")
    assert 'href="/people"' not in scientists_home and nothing.status_code == 404
    foreign, broken = browser.client.post("/sign-out").text, browser.get("/broken").text
    assert "a page of this centre" in foreign and "the log of the centre" in broken
    for page in (claim_page, home, made, sign_in_page, nothing.text, foreign, broken):
        assert not re.search(r"\bbox\b(?!\.test)", page), "it is no box"
    centre.close()


def test_a_session_is_over_after_seven_days_unused_or_thirty_in_all() -> None:
    ann, day_s = Person(1, "ann", Role.ADMIN, "hash", utc_text(0.0)), 86400.0

    def is_over(created_s: float, last_used_s: float) -> bool:
        now_s = 100 * day_s
        return Session(ann, "csrf", utc_text(now_s - created_s), utc_text(now_s - last_used_s)).is_over(now_s)

    assert [is_over(7 * day_s, 7 * day_s), is_over(30 * day_s, 0.0)] == [False, False]
    assert [is_over(7 * day_s + 1, 7 * day_s + 1), is_over(30 * day_s + 1, 0.0)] == [True, True]
