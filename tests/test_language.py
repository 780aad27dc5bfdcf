"""What people read, in their language: the kit, and that the catalogues and the marks in the code are whole."""

from __future__ import annotations

import ast
import re
import string
from datetime import date
from typing import Any, get_args

import pytest

from appliance import language
from appliance.language import CATALOGUES, ENGLISH, LANGUAGES, _, n_, number, speaking, wished
from appliance.sections import Language
from appliance.web.languages import language_of
from appliance.web.markup import Markup, m_, mn_
from scripts import languages
from tests.conftest import REPOSITORY

OTHERS = [each for each in LANGUAGES if each != ENGLISH]
VIEWS = sorted((REPOSITORY / "appliance").rglob("views/*.html"))
MODULES = sorted((REPOSITORY / "appliance").rglob("*.py"))
SAME_EVERYWHERE = re.compile(
    r"\b(mb9k|LIVE|OBS|RTMPS?|RTSP|HTTPS?|MQTT|API|JSON|CSV|SVG|PNG|ZIP|SQLite|UTC|URL|IP|Wi-Fi|Larix|FFmpeg|MediaMTX"
    r"|Prometheus|Grafana|kB|MB|GB|ms|px|min|h|s|ID|QR|n|SSH|SHA|PDF)\b"
)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("de", "de"),
        ("de-CH, en;q=0.8", "de"),
        ("it, de;q=0.5, en;q=0.4", "de"),
        ("en-GB,de;q=0.9", "en"),
        ("nl, pt;q=0.5", None),
        ("de;q=0", None),
        ("", None),
        (";;q=,,\x00, de;q=9", None),
    ],
)
def test_the_browser_s_wish(header: str, found: str | None) -> None:
    assert wished(header) == found


def test_the_choice_is_worth_more_than_the_wish_and_programs_are_spoken_to_in_english() -> None:
    wish = {"PATH_INFO": "/", "HTTP_ACCEPT_LANGUAGE": "de"}
    assert language_of(wish) == "de"
    assert language_of({**wish, "HTTP_COOKIE": "a=b; __Host-mb9k_language=en; c=d"}) == "en"
    assert language_of({**wish, "HTTP_COOKIE": "mb9k_language=xx"}) == "de"
    assert language_of({**wish, "PATH_INFO": "/api/v1/streams"}) == "en"
    assert language_of({**wish, "HTTP_AUTHORIZATION": "Bearer x"}) == "en"
    with pytest.raises(KeyError), speaking("xx"):
        pass


def test_what_a_configuration_may_name_is_what_is_spoken() -> None:
    assert set(get_args(Language)) == set(LANGUAGES)


def test_a_process_speaks_its_own_language_where_nobody_asks_for_another() -> None:
    try:
        language.speak("de")
        assert number(12345) == "12.345" and language_of({"HTTP_ACCEPT_LANGUAGE": "nl"}) == "de"
        with speaking("en"):
            assert number(12345) == "12\u202f345"
    finally:
        language.speak(ENGLISH)


def test_numbers_and_dates_follow() -> None:
    day = date(2026, 11, 23)
    said = {}
    for each in LANGUAGES:
        with speaking(each):
            said[each] = (number(12345), number(999), language.decimal(1234.56), language.full_date(day))
    assert said["en"] == ("12\u202f345", "999", "1\u202f234.6", "Monday, 23 November 2026")
    assert said["de"] == ("12.345", "999", "1.234,6", "Montag, 23. November 2026")
    assert said["es"] == ("12.345", "999", "1.234,6", "lunes, 23 de noviembre de 2026")
    assert said["fr"] == ("12\u202f345", "999", "1\u202f234,6", "lundi 23 novembre 2026")
    with speaking("de"):
        assert language.month_of_year(day) == "November 2026" and language.weekday_short(day) == "Mo"


def test_a_size_is_told_in_a_unit_that_fits_it() -> None:
    sizes = (0, 1, 4_200, 307_000, 999_600, 4_800_000, 9_960_000, 32_400_000, 999_900_000, 4_096_000_000, 128e9, 2e12)
    told = [
        "0 kB",
        "1 kB",
        "4 kB",
        "307 kB",
        "1.0 MB",
        "4.8 MB",
        "10 MB",
        "32 MB",
        "1.0 GB",
        "4.1 GB",
        "128 GB",
        "2.0 TB",
    ]
    assert [language.size_words(each) for each in sizes] == told
    with speaking("de"):
        assert language.size_words(4_800_000) == "4,8\u00a0MB"


def test_german_sentences_ask_for_the_dative_in_which_a_number_of_days_stands() -> None:
    sentences = [
        "images ({mode}) for {image_days}, detections for {days}",
        "images ({mode}) for {image_days}, detections until somebody deletes them",
        "no images; detections for {days}",
        "For {time} ({share} of the time) nobody looked: {times}. These are no zeros.",
        "The clock of this box is {how_far} behind the centre's: see that it is set right (`mb9k clock show`).",
        "The clock of this box is {how_far} ahead of the centre's: see that it is set right (`mb9k clock show`).",
    ]
    with speaking("de"):
        assert n_("{n} day", "{n} days", 30) == "30 Tagen"
        for sentence in sentences:
            for name in re.findall("{(image_days|days|time|how_far)}", sentence):
                assert re.search(rf"\b(bis zu|von) {{{name}}}", _(sentence)), sentence


def test_what_is_put_into_a_sentence_with_markup_is_text() -> None:
    assert m_("Send to <code>{address}</code>.", address="<b>") == "Send to <code>&lt;b&gt;</code>."
    assert m_("{a}", a=Markup("<i>x</i>")) == "<i>x</i>"
    assert mn_("<b>{n}</b> of {of}", "<b>{n}</b> of {of}s", 2000, of="<") == "<b>2\u202f000</b> of &lt;s"
    assert n_("{n} day", "{n} days", 1) == "1 day" and _("") == ""


def test_the_template_is_up_to_date() -> None:
    assert languages.written(languages.collected()) == languages.TEMPLATE.read_bytes(), (
        "run python -m scripts.languages"
    )


@pytest.mark.parametrize("code", OTHERS)
def test_a_catalogue_is_complete(code: str) -> None:
    """Every sentence is translated, with the same values in it, and the same markup."""
    catalogue = languages.brought_up_to_date(code, languages.collected())
    lacking = [message.id for message in languages.untranslated(catalogue)]
    assert lacking == [], f"{len(lacking)} not translated; python -m scripts.languages {code} --missing prints them"
    assert languages.written(catalogue) == (CATALOGUES / f"{code}.po").read_bytes(), "run python -m scripts.languages"
    for message in catalogue:
        if message.id:
            originals = [message.id] if isinstance(message.id, str) else list(message.id)
            told = [message.string] if isinstance(message.string, str) else list(message.string or ())
            _is_like(originals, told)


def _is_like(originals: list[str], told: list[str]) -> None:
    many = originals[-1]
    for text in told:
        assert _values(text) <= _values(many) | {"n"}, f"{text!r} has a value that {many!r} lacks"
        if len(originals) == 1:
            assert _values(text) == _values(many), f"{text!r} lacks a value of {many!r}"
        assert sorted(_tags(text)) == sorted(_tags(many)), f"{text!r} has other markup than {many!r}"
        assert text[:1].isspace() == many[:1].isspace() and text[-1:].isspace() == many[-1:].isspace(), repr(text)


def _values(text: str) -> set[str]:
    try:
        return {name for _text, name, _spec, _kind in string.Formatter().parse(text) if name is not None}
    except ValueError:
        return set()  # a sentence without values may hold a brace


def _tags(text: str) -> list[str]:
    return re.findall(r"</?[a-z]+[^>]*>|`[^`]*`", text)


def test_no_view_shows_the_backslashes_that_join_lines() -> None:
    """The template engine takes them away before a line of code and at the end; before a line of text it does not."""
    shown = re.compile(r"\\\\\n(?!\s*%)\s*\S")
    assert [view.name for view in VIEWS if shown.search(view.read_text())] == []


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view.parent.parent.name}/{view.name}")
def test_every_sentence_of_a_view_is_marked(view: Any) -> None:
    assert unmarked(view.read_text()) == []


def unmarked(source: str) -> list[str]:
    """What a reader would see of a view in every language alike: text, and attributes that are read out."""
    text = re.sub(r"(?s)<%.*?%>|(?m-s:^\s*%.*$)", "", source)
    text = re.sub(r"(?s)<!--.*?-->|<(script|style)\b.*?</\1>", "", text)
    text = re.sub(r"(?s)\{\{.*?\}\}+", "\0", text)
    text = re.sub(r'\sdata-[a-z-]+="\0"', "", text)  # of a part that only adds to a tag
    text = re.sub(r"(?s)<(code|kbd|samp|pre)\b[^>]*>.*?</\1>", "", text)
    read = re.findall(r'\s(?:aria-label|aria-description|title|alt|placeholder|label|summary)="([^"]*)"', text)
    found = [part for part in re.split(r"(?s)<[^>]*>|\\\\\n", text) if part] + read
    found = [SAME_EVERYWHERE.sub("", re.sub(r"&\w+;|\S+/\S*", " ", part)) for part in found]
    return [" ".join(part.split()) for part in found if re.search(r"[^\W\d_]", part)]


def test_unmarked_text_is_seen() -> None:
    source = '% rebase("x")\n<p title="x">{{_("Marked")}} LIVE <b>not\nmarked</b></p>\n% if a == "b":\n'
    assert unmarked(source) == ["not marked", "x"]


def test_no_module_uses_the_name_of_the_mark_for_anything_else() -> None:
    """`for _, x in ...` would hide it within its function."""
    for path in [*MODULES, *VIEWS]:
        tree = ast.parse(languages.code_of(path))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        if "_" in names or path.suffix == ".html":
            bound = {
                node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
            assert "_" not in bound, f"{path.name} names something else _"


def test_every_marked_sentence_is_collected() -> None:
    """One within an f-string is not: Babel takes that for one text."""
    told = {text for message in languages.collected() if message.id for text in _texts(message.id)}
    for path in [*MODULES, *VIEWS]:
        for node in ast.walk(ast.parse(languages.code_of(path))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in languages.KEYWORDS:
                first = node.args[1] if node.func.id in languages.IN_CONTEXT else node.args[0]
                if isinstance(first, ast.Constant) and first.value:
                    assert first.value in told, f"{path.name}: {first.value!r}"


def _texts(found: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (found,) if isinstance(found, str) else tuple(found)


def test_no_sentence_is_put_together_before_it_is_translated() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in languages.KEYWORDS:
                for argument in node.args[:2]:
                    assert not isinstance(argument, ast.JoinedStr | ast.BinOp), f"{path.name}:{node.lineno}"
