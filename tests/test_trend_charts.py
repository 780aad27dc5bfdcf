"""Charts as pure functions: what they say, with and without colours, and what stands alone."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.faces import Counts
from appliance.language import LANGUAGES, _, speaking
from appliance.rates import compliance
from appliance.web.chart_files import LIGHT, standalone
from appliance.web.charts import Bar, stacked_bars
from appliance.web.rate_charts import Point, rate_band
from appliance.web.svg import CHARACTER_PX, STATE_LABELS, WIDTH, Tick, key_list, scale_beside
from appliance.web.week_charts import Cell, Row, figure, heat_map, persons_words, shade_of, stream_rows
from appliance.web.words import TOO_FEW

STATIC = Path(__file__).parent.parent / "appliance" / "web" / "static"
CSS = "".join((STATIC / name).read_text() for name in ("app.css", "charts.css", "print.css"))


def parsed(svg: str) -> ElementTree.Element:
    """A chart of ours as XML."""
    return ElementTree.fromstring(svg.encode())  # noqa: S314 - our own


def parts(mask: int = 0, incorrect: int = 0, no_mask: int = 0, unknown: int = 0) -> tuple[tuple[str, int], ...]:
    return (("mask", mask), ("incorrect", incorrect), ("no_mask", no_mask), ("unknown", unknown))


def charts() -> dict[str, str]:
    """One of each kind, with everything in it that such a chart may have."""
    counts = Counts(mask=30, no_mask=4, incorrect=2, unknown=1)
    tick = [Tick(0, "09:00")]
    bars = [
        Bar(0.0, parts(3, 1, 2, 1), 0.4, is_certain=False, when="Mon 9:00", href="/detections?a=1&b=2", before=4),
        Bar(3600.0, parts(), 0.0),
    ]
    return {
        "persons": stacked_bars(bars, "By <hour>", ticks=tick),
        "rate": rate_band(
            [
                Point("9:00", compliance(counts), href="/trends"),
                Point("10:00", None),
                Point("11:00", None, is_gap=True),
            ],
            "Rate",
            tick,
        ),
        "week": heat_map([[Cell(None), *(Cell(float(hour)) for hour in range(23))]] * 7, "Week"),
        "streams": stream_rows(
            [Row("ann:<door>", counts, compliance(counts), "/trends"), Row("x", Counts(1), None)], "S"
        ),
    }


@pytest.mark.parametrize("name", ["persons", "rate", "week", "streams"])
def test_a_chart_is_xml_whose_columns_say_their_numbers(name: str) -> None:
    chart = parsed(charts()[name])
    columns = [each for each in chart.iter() if (each.get("class") or "").startswith("column")]
    assert columns and chart.get("role") == "group"
    for column in columns:
        label = column.get("aria-label") or ""
        assert label and (column.get("href") or column.get("tabindex") == "0")
        shown = [text.text for text in column.iterfind("g[@class='tip']/text")]
        assert ". ".join(text for text in shown if text) == label, "who points reads what is read aloud"


@pytest.mark.parametrize("language", LANGUAGES)
def test_that_there_are_too_few_has_its_room_beside_the_longest_bar(language: str) -> None:
    with speaking(language):
        chart, said = parsed(stream_rows([Row("x", Counts(mask=19), None)], "S")), _(TOO_FEW)
    [words] = [text for text in chart.iter("text") if text.text == said]
    [total] = [text for text in chart.iter("text") if text.text == "19"]
    assert words.get("text-anchor") == "end" and words.get("x") == str(WIDTH), "else it is cut off at the edge"
    assert float(total.get("x") or 0) + 2 * CHARACTER_PX < WIDTH - CHARACTER_PX * len(said)


def test_the_scale_stands_beside_a_chart_as_it_stands_in_it() -> None:
    """charts.css shows it where a chart scrolls, and gives that chart the width by which this height is made."""
    for name, widest in (("persons", "4"), ("rate", "100 %"), ("week", "Mon")):
        chart, beside = parsed(charts()[name]), parsed(scale_beside(charts()[name]))
        within = chart.findall("text[@class='scale']")
        assert [(text.get("y"), text.text) for text in beside] == [(text.get("y"), text.text) for text in within]
        assert widest in {text.text for text in beside}
        rem = (44 if name == "week" else 34) / 720
        _x, _y, width, height = map(float, (beside.get("viewBox") or "").split())
        assert height == float((chart.get("viewBox") or "").split()[3])
        assert beside.get("height") == f"{height * rem:.3f}rem" and beside.get("width") == f"{width * rem:.3f}rem"
    assert scale_beside(charts()["streams"]) == scale_beside("") == "", "its figures stand at its other end"


def test_states_differ_in_more_than_their_colour() -> None:
    """A mask is plain, unknown hollow, and over the others lie patterns of their own, where their bars are."""
    chart = charts()["persons"]
    over = dict(re.findall(r'<path class="over" fill="url\(#c\w{8}-(\w+)\)" d="([^"]+)"', chart))
    assert set(over) == {"incorrect", "no_mask"}
    for state, path in over.items():
        below = re.search(rf'<rect class="bar-{state}" x="([\d.]+)" y="(\d+\.\d\d)"', chart)
        assert below and path.startswith(f"M{below[1]} {below[2]}h")
    assert ":is(.chart, .keys) .bar-unknown { fill: var(--card); stroke:" in CSS
    assert all(f">{label}</text>" in chart for label in STATE_LABELS.values()), "the key stands in the chart itself"


def test_a_bar_says_the_week_before_and_where_it_leads() -> None:
    chart = charts()["persons"]
    assert 'href="/detections?a=1&amp;b=2"' in chart and 'aria-label="By &lt;hour&gt;"' in chart
    assert "Mon 9:00: 7 persons, a week before 4" in chart
    assert "3 mask, 1 incorrect, 2 no mask, 1 unknown, watched 40 % of the time, the clock may have been wrong" in chart
    assert 'class="before" d="M' in chart and "nobody looked" in chart
    assert 'class="before"' not in stacked_bars([Bar(0.0, parts(1))], "x")


def test_the_key_of_a_chart_is_a_list_where_it_has_no_room_within() -> None:
    with speaking("de"):
        chart = stacked_bars([Bar(0.0, parts(1), before=2)], "By <hour>")
    listed = key_list(chart)
    shown = re.findall(r"<li><svg[^>]*>(.*?)</svg>(.*?)</li>", listed)
    assert [label for _marks, label in shown] == [
        "Maske", "Falsch getragen", "Ohne Maske", "Unbekannt", "eine Woche davor",
    ]  # fmt: skip
    for marks, _label in shown:
        assert ' x="' not in marks, "each has its own picture"
    assert "".join(marks for marks, _label in shown).count("url(#") == 2 and 'class="bar-mask"' in shown[0][0]
    assert not key_list("<svg></svg>")


def test_a_rate_is_drawn_where_there_is_one_with_all_of_its_interval() -> None:
    rates = [compliance(Counts(mask=n, no_mask=20 - n)) for n in (0, 10, 20)]
    chart = rate_band([*(Point("t", rate) for rate in rates[:2]), Point("t", None), Point("t", rates[2])], "R", [])
    bands = [
        tuple(map(float, found))
        for found in re.findall(r'class="band"[^>]* y="([\d.]+)"[^>]* height="([\d.]+)"', chart)
    ]
    top, room = 42, 136
    drawn = [band for band in bands if band[0] > 20]  # without the key
    for (y, height), rate in zip(drawn, rates, strict=True):
        assert rate and y == pytest.approx(top + room * (1 - rate.high), abs=0.06)
        assert height == pytest.approx(room * (rate.high - rate.low), abs=0.11)
    line = re.search(r'class="rate-line" d="([^"]+)"', chart)
    assert line and re.sub("[^ML]", "", line[1]) == "MLM", "broken where there is no rate"
    assert "82 %" not in chart and "compliance: 50 % (30 to 70 %, n = 20)" in chart


@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=30))
@settings(derandomize=True, max_examples=60, deadline=None)
def test_a_cell_is_never_lighter_than_one_with_less_and_its_figure_fits(values: list[float]) -> None:
    highest = max(values)
    shades = [shade_of(value, highest) for value in sorted(values)]
    assert shades == sorted(shades) and all(0 <= shade <= 4 for shade in shades)
    assert all((shade_of(value, highest) == 0) == (value == 0) for value in values)
    assert all(len(figure(value)) <= 6 for value in values)


@pytest.mark.parametrize("name", ["persons", "rate", "week", "streams"])
def test_a_chart_as_a_file_needs_nothing_but_itself(name: str) -> None:
    document = standalone(charts()[name], "Persons: <ann>", ["lobby. Times of Europe/Berlin."])
    whole = parsed(document)
    assert whole.tag == "{http://www.w3.org/2000/svg}svg"
    text = " ".join(whole.itertext())
    assert "Persons: <ann>" in text and "Europe/Berlin" in text
    for word in ("class=", "style", "href", "var(", 'class="tip"', "tabindex"):
        assert word not in document
    ids = {each.get("id") for each in whole.iter()}
    assert set(re.findall(r"url\(#([^)]+)\)", document)) <= ids
    top = float(whole.get("height", "0"))
    assert all(float(each.get("y", "0")) <= top for each in whole.iter())


def test_a_cell_of_the_heat_map_is_a_whole_sentence_in_each_language() -> None:
    told = {value: persons_words("Monday", value) for value in (0.0, 0.5, 1.0, 4.5)}
    assert [words.removeprefix("Monday: ") for words in told.values()] == [
        *("0 persons an hour", "0.5 persons an hour", "1 person an hour", "4.5 persons an hour"),
    ]
    with speaking("de"):
        assert persons_words("Montag", 1.0) == "Montag: 1 Person je Stunde"
        assert persons_words("Montag", 4.5) == "Montag: 4,5 Personen je Stunde"


def test_every_class_of_a_chart_is_dressed_on_the_page_and_in_the_file() -> None:
    used = {
        name for chart in charts().values() for found in re.findall(r'class="([^"]+)"', chart) for name in found.split()
    }
    only_page = {"chart", "bars", "rate-chart", "heat", "streams", "column", "tip", "chart-key", "over"}
    assert used - only_page <= set(LIGHT), "chart_files.py knows them"
    for name in used - {"bars", "rate-chart"}:
        assert re.search(rf"\.{re.escape(name)}\b", CSS) or name.startswith("on-"), f"app.css knows {name}"


def luminance(colour: str) -> float:
    """WCAG's relative luminance of #rrggbb."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_figures_of_the_heat_map_can_be_read_by_day_by_night_and_on_paper() -> None:
    for theme in re.findall(r"(--heat-1: [^\n]+)", CSS):
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
        for shade in (1, 2, 3, 4):
            ink = luminance(colours["on-light-heat" if shade < 3 else "on-strong-heat"])
            ground = luminance(colours[f"heat-{shade}"])
            contrast = (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)
            assert contrast >= 4.5, f"{theme}: shade {shade} has {contrast:.1f}"
