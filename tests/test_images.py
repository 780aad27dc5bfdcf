"""Day files."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.images import ImageFiles, Integrity, Place, day_of

NOON = 1_795_521_600.0  # 2026-11-24T12:00:00Z
JPEG = b"\xff\xd8" + bytes(range(256)) * 4 + b"\xff\xd9"


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path / "images")
    places = [images.append(JPEG + bytes([n]), NOON) for n in range(3)]
    images.sync(places[0].day)
    assert [images.read(place) for place in places] == [JPEG + bytes([n]) for n in range(3)]
    assert places[0].day == "20261124"


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path / "images")
    images.append(JPEG, NOON)
    assert (tmp_path / "images").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "images").iterdir())


def test_an_erased_image_is_gone_from_the_disk_and_its_neighbour_is_not(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path)
    first, second = images.append(JPEG, NOON), images.append(JPEG[:-1] + b"x", NOON)
    images.erase(first.day, [first])
    assert images.read(first) is None
    assert images.read(second) == JPEG[:-1] + b"x"
    assert (tmp_path / f"{first.day}.jpegs").read_bytes().count(JPEG) == 0


def test_an_erasure_gives_the_room_back_and_may_be_done_again(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path)
    large = JPEG * 1000
    places = [images.append(large, NOON) for _ in range(3)]
    images.sync(places[0].day)
    file = tmp_path / f"{places[0].day}.jpegs"
    before = file.stat()
    for _ in range(2):
        images.erase(places[0].day, places[:2])
    assert file.stat().st_size == before.st_size
    assert images.read(places[2]) == large
    assert file.stat().st_blocks < before.st_blocks / 2


def test_what_lies_beyond_the_end_of_a_day_is_not_erased(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path)
    place = images.append(JPEG, NOON)
    images.erase(place.day, [Place(place.day, 10_000, 100)])
    images.erase("20200101", [Place("20200101", 0, 100)])
    assert images.size_bytes(place.day) == len(JPEG)
    assert images.days() == [place.day]


def test_a_day_is_forgotten_by_removing_its_file(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path)
    place = images.append(JPEG, NOON)
    later = images.append(JPEG, NOON + 86400)
    images.forget(place.day)
    images.forget(place.day)
    assert images.days() == [later.day]
    assert images.read(place) is None
    images.erase(place.day, [place])


def test_a_place_that_was_never_written_is_no_image(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path)
    place = images.append(JPEG, NOON)
    assert images.read(Place(place.day, place.offset, place.size_bytes + 1)) is None
    assert images.read(Place("20200101", 0, 10)) is None


def test_a_day_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a day"):
        ImageFiles(tmp_path).read(Place("../../etc/passwd", 0, 10))


def test_a_disk_that_fills_up_half_way_leaves_no_half_image(tmp_path: Path) -> None:
    place = ImageFiles(tmp_path).append(JPEG, NOON)
    # A file size limit stands in for a full disk: the second write gets only some of its bytes in.
    script = (
        "import resource, signal, sys; from pathlib import Path; from appliance.images import ImageFiles\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({place.size_bytes + 100}, {resource.RLIM_INFINITY}))\n"
        f"try: ImageFiles(Path({str(tmp_path)!r})).append({JPEG!r}, {NOON})\n"
        "except OSError as error: sys.exit(0 if error.errno == 28 else 1)\n"
        "sys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert (tmp_path / f"{day_of(NOON)}.jpegs").stat().st_size == place.size_bytes


def test_a_spoiled_image_is_known_from_an_erased_one_and_neither_is_shown(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path)
    whole, spoiled, erased = (images.append(JPEG, NOON) for _ in range(3))
    with (tmp_path / f"{spoiled.day}.jpegs").open("r+b") as file:
        file.seek(spoiled.offset + 500)
        file.write(b"\xa5")
    images.erase(erased.day, [erased])
    found = [images.integrity(place) for place in (whole, spoiled, erased)]
    assert found == [Integrity.WHOLE, Integrity.DAMAGED, Integrity.ERASED]
    assert [images.read(place) for place in (whole, spoiled, erased)] == [JPEG, None, None]


def test_a_wrong_place_never_serves_the_picture_of_somebody_else(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path)
    first, second = images.append(JPEG, NOON), images.append(JPEG[:-1] + b"x", NOON)
    assert images.read(replace(first, offset=second.offset)) is None


def test_an_image_of_before_checksums_is_still_shown(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path)
    place = replace(images.append(JPEG, NOON), crc32=None)
    assert images.read(place) == JPEG
    assert images.integrity(replace(place, size_bytes=place.size_bytes + 1)) is Integrity.DAMAGED


def test_a_day_whose_end_is_missing_has_damaged_images(tmp_path: Path) -> None:
    images = ImageFiles(tmp_path)
    place = images.append(JPEG, NOON)
    os.truncate(tmp_path / f"{place.day}.jpegs", 100)
    assert images.integrity(place) is Integrity.DAMAGED
    assert images.integrity(replace(place, offset=5000)) is Integrity.DAMAGED
