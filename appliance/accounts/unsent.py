"""A form whose sign-in has ended comes back to its person: whose it is, and on which page it stands.

The CSRF token in a form says so itself: the session that knew may be gone. It carries the person's id, under a MAC by
the device cookie, which stays in the browser when a session ends and which no page of another site knows.
"""

from __future__ import annotations

import hmac
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from bottle import HTTPError, HTTPResponse, request

from appliance.accounts.site import Accounts, Store
from appliance.secrets import digest, equal_in_constant_time, new_token
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.cookies import is_same_origin
from appliance.web.forms import all_fields, field, local_path, query_value, see_other, whole_number
from appliance.web.pages import Page
from appliance.web.unsent import FORM_CHARACTERS, UNSENT, UNSENT_ID, UNSENT_PAGE, unsent_now

URLENCODED = "application/x-www-form-urlencoded"


def add_routes(app: App, accounts: Accounts) -> None:
    """The page of what was typed, where its form is no more."""

    @app.get(UNSENT_PAGE, access=Access.SIGNED_IN)
    def unsent() -> Page:
        form = unsent_now()
        return accounts.pages.page("unsent.html", form=form) if form else see_other("/")


def marked_token(device: str, person_id: int) -> str:
    """A new CSRF token of this person in the browser with this device cookie."""
    random = new_token()
    return f"{random}.{person_id}.{_mac(device, random, person_id)}"


def _mac(device: str, random: str, person_id: int) -> str:
    text = f"csrf {random} {person_id}".encode("utf-8", "surrogateescape")
    return hmac.digest(device.encode("utf-8", "surrogateescape"), text, "sha256").hex()


def _person_of(token: str, device: str) -> int | None:
    """Whose token this is, if it was made in this browser; None: nobody knows."""
    random, _, rest = token.partition(".")
    number, _, mac = rest.partition(".")
    person_id = whole_number(number)
    if person_id is None or not equal_in_constant_time(mac, _mac(device, random, person_id)):
        return None
    return person_id


def kept_at(accounts: Accounts, store: Store, now: Now, only: int | None = None) -> str | None:
    """Keep the form of the present request, which is not accepted; the path of the page to which it comes back.

    only: the id of the person whose it must be; None: anybody's. Answers None where nobody knows whose it is, and where
    it is too long, brings a file, or comes from another site.
    """
    device = accounts.device_cookie.read()
    if device is None or request.method != "POST" or not is_same_origin(accounts.pages.address):
        return None
    # Three characters for each that is escaped.
    if not request.content_type.startswith(URLENCODED) or request.content_length > 3 * FORM_CHARACTERS:
        return None
    person_id = _person_of(field("csrf"), device)
    if person_id is None or only not in (None, person_id) or request.path == "/sign-out":
        return None
    if not store.people.knows_device(digest(device), now.utc, person_id):
        return None  # whoever invents a device cookie fills no memory
    kept = accounts.unsent.keep(person_id, request.path, all_fields(), now)
    return _page_of_form(accounts, kept.id) if kept else None


def _page_of_form(accounts: Accounts, unsent_id: str) -> str:
    """Where the browser says that the form stood. It can lead to no other site: only the path is taken."""
    referer = request.environ.get("HTTP_REFERER", "")
    nowhere = f"{UNSENT_PAGE}?{UNSENT_ID}={unsent_id}"
    try:
        parts = urlsplit(referer)
    except ValueError:
        return nowhere
    path = parts.path
    prefix = accounts.pages.address.prefix
    if prefix and f"{path}/".startswith(f"{prefix}/"):
        path = path[len(prefix) :] or "/"
    if not referer.isascii() or local_path(path) != path or path.startswith("/api/") or not _is_page(path):
        return nowhere
    others = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != UNSENT_ID]
    return f"{path}?{urlencode([*others, (UNSENT_ID, unsent_id)])}#unsent"


def _is_page(path: str) -> bool:
    try:
        request.app.router.match({"REQUEST_METHOD": "GET", "PATH_INFO": unquote(path)})
    except (HTTPError, HTTPResponse):
        return False
    return True


def is_kept(accounts: Accounts, then: str, now: Now) -> bool:
    """Whether a form comes back on the page with this path."""
    query = dict(parse_qsl(urlsplit(then).query))
    return accounts.unsent.holds(query.get(UNSENT_ID, ""), now)


def bring_back(accounts: Accounts, person_id: int, now: Now) -> None:
    """Have the page of the present request show the form that its address names, if it is this person's."""
    if request.method == "GET" and (asked := query_value(UNSENT_ID)):
        request.environ[UNSENT] = accounts.unsent.of(asked, person_id, now)
