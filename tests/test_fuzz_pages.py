"""Whatever a browser sends to a page or a form, the site answers with a sentence: no fault of ours, no traceback."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.site import Box

FUZZ = hypothesis.settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
FIELDS = ("name", "kind", "source", "watch", "source_user", "source_password",
          "owner", "role", "password", "again", "current", "state", "next", "code", "search", "points", "seen",
          "stream", "since", "until", "before", "after", "csrf")  # fmt: skip
ODD = ("", "0", "-1", str(2**63), "9" * 5000, "1e400", "nan", "\x00", "\ud800", "\u202e", "٣", "²", "0000-01-01",
       "9999-12-31T23:59", "2026-11-24T10:00:00+01:00", "rtsp://[", "rtsp://a:b@c:99999/", "//evil.example", "/\\evil",
       "admin", "key", "source", "mask", "{{1}}", "%00", "<b>")  # fmt: skip
text = st.one_of(st.sampled_from(ODD), st.text(max_size=60), st.integers().map(str))
raw = st.one_of(text.map(lambda one: one.encode(errors="surrogatepass")), st.binary(max_size=40))
pairs = st.lists(st.tuples(st.sampled_from(FIELDS), raw), max_size=6)


def encoded(given: list[tuple[str, bytes]]) -> str:
    return "&".join(f"{name}={quote(value)}" for name, value in given)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    made = Box(tmp_path_factory.mktemp("box") / "state")
    made.browser("ann")
    yield made
    made.close()


def ask(box: Box, method: str, path: bytes, query: str = "", body: bytes = b"", **headers: str) -> tuple[int, str]:
    """Ask as ann in a browser, at the level of WSGI: no client tidies up what is sent. The status and the page."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path.decode("latin1"),
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_HOST": "box.test",
        "HTTP_COOKIE": "mb9k_session=session-of-ann",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        **headers,
    }
    status: list[int] = []
    answer = box.app(environ, lambda line, _headers, _info=None: status.append(int(line.split()[0])))
    page = b"".join(answer).decode(errors="replace")
    fault = environ["wsgi.errors"].getvalue()
    assert status[0] < 500 and not fault, f"{method} {path!r}?{query} {body!r}: {status[0]}\n{fault}"
    assert "Traceback" not in page
    return status[0], page


def filled(rule: str, number: str) -> bytes:
    return re.sub(r"<(\w+)(:\w+)?>", number.replace("\\", ""), rule).encode(errors="surrogatepass")


def rules(box: Box, method: str) -> list[str]:
    return [route.rule for route in box.app.routes if route.method == method and not route.rule.startswith("/api/")]


@FUZZ
@hypothesis.given(data=st.data())
def test_no_address_of_a_page_is_a_fault(box: Box, data: st.DataObject) -> None:
    rule = data.draw(st.sampled_from(rules(box, "GET")))
    number = data.draw(st.one_of(st.sampled_from(("1", "2")), text))
    ask(box, "GET", filled(rule, number), encoded(data.draw(pairs)))


@FUZZ
@hypothesis.given(data=st.data())
def test_no_form_is_a_fault(box: Box, monkeypatch: pytest.MonkeyPatch, data: st.DataObject) -> None:
    monkeypatch.setattr("appliance.accounts.site.hash_password", lambda *_: "no hash")  # argon2 takes its time
    monkeypatch.setattr("appliance.accounts.sign_in.password_matches", lambda *_: False)
    monkeypatch.setattr("appliance.accounts.account.password_matches", lambda *_: True)
    rule = data.draw(st.sampled_from(sorted(set(rules(box, "POST")) - {"/sign-out"})))
    number = data.draw(st.one_of(st.sampled_from(("2", "3")), text))
    form = "csrf=csrf-ann&" + encoded(data.draw(pairs))
    ask(box, "POST", filled(rule, number), encoded(data.draw(pairs)), form.encode())


@FUZZ
@hypothesis.given(path=raw, query=raw, body=raw, kind=text, data=st.data())
def test_no_bytes_are_a_fault(box: Box, path: bytes, query: bytes, body: bytes, kind: str, data: st.DataObject) -> None:
    names = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_IF_NONE_MATCH",
             "HTTP_X_FORWARDED_FOR", "HTTP_HOST", "HTTP_X_CSRF_TOKEN", "HTTP_ACCEPT", "HTTP_REFERER")  # fmt: skip
    header = data.draw(st.sampled_from(names))
    value = data.draw(st.one_of(raw, st.sampled_from((b"https://[", b"Bearer \xff", b'a="\\', b"[::1", b"null"))))
    kinds = ("multipart/form-data", "multipart/form-data; boundary=x", "application/json", kind)
    sent = {header: value.decode("latin1"), "CONTENT_TYPE": data.draw(st.sampled_from(kinds))}
    method = data.draw(st.sampled_from(("GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT")))
    where = data.draw(st.sampled_from((b"/" + path, b"/sign-in", b"/streams", b"/api/v1/streams", b"/static/" + path)))
    ask(box, method, where, query.decode("latin1"), body, **sent)
