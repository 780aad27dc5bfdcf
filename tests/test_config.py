"""mb9k.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import ConfigError, load


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mb9k.toml"
    path.write_text(text)
    return path


def test_an_empty_file_is_a_working_box(tmp_path: Path) -> None:
    config = load(written(tmp_path, ""))
    assert config.box == "box"
    assert config.vision.frames_per_second == 5
    assert config.run == config.state / "run"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour = 'red'", "colour"),
        ("[web]\nport = 70000", r"\$.web.port"),
        ("box = 'Front Door'", "box"),
        ("[vision]\nframes_per_second = 0", "frames_per_second"),
        ("[media]\nengine = 'nginx'", "engine"),
        ("box = ", "Invalid value"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=complaint) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config"):
        load(tmp_path / "nowhere.toml")
