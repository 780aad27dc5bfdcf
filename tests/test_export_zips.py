"""ZIPs that are written while they are sent: of images, and of faces to learn from."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from appliance.accounts.people import Role
from appliance.exports import faces
from appliance.exports.export import Export, What
from appliance.exports.formats import Format
from appliance.exports.jpeg_size import jpeg_size
from appliance.exports.zips import LARGE, ZipWriter
from appliance.faces import Bbox, Detection, State
from appliance.images import ImageFiles
from appliance.store import DetectionFilter, Store, StoredImage
from appliance.time_zone import UTC
from appliance.vision.frame import Frame
from appliance.vision.jpeg import encode_jpeg
from appliance.vision.pixels import frame_of
from appliance.vision.snapshot import snapshot
from models.data import augmentation, dataset

NOON = 1_795_521_600.0  # 2026-11-24T12:00:00Z
FRAME = np.random.default_rng(1).integers(0, 255, (360, 640, 3), np.uint8)
NAME = st.characters(codec="utf-8", exclude_characters="\0/")


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None)
@hypothesis.given(
    files=st.lists(st.tuples(st.booleans(), st.lists(st.binary(max_size=300), max_size=4)), max_size=6),
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1), min_size=6, unique=True
    ),
    utc=st.floats(0, 5e9),
)
def test_whatever_is_put_in_comes_out(files: list[tuple[bool, list[bytes]]], names: list[str], utc: float) -> None:
    made, sent = ZipWriter(), b""
    for name, (packed, parts) in zip(names, files, strict=False):
        if packed:
            sent += b"".join(made.deflated(f"in/{name}", utc, parts))
        else:
            sent += made.stored(f"in/{name}", utc, b"".join(parts))
    with zipfile.ZipFile(io.BytesIO(sent + made.end())) as read:
        assert read.testzip() is None
        assert [entry.orig_filename for entry in read.infolist()] == [f"in/{name}" for name in names[: len(files)]]
        for entry, (_, parts) in zip(read.infolist(), files, strict=True):
            assert read.read(entry) == b"".join(parts)


def test_beyond_4_gib_and_65535_files_it_is_a_zip64(tmp_path: Path) -> None:
    """The first 4 GiB are a hole in the file; names and offsets after it are what count."""
    made, path, count = ZipWriter(LARGE + 5), tmp_path / "large.zip", 70_000
    with path.open("wb") as file:
        file.seek(LARGE + 5)
        for number in range(count):
            file.write(made.stored(f"{number}.jpg", NOON, b"%d" % number))
        file.writelines(made.deflated("last.csv", NOON, [b"a,b\r\n", b"1,2\r\n"]))
        file.write(made.end())
    with zipfile.ZipFile(path) as read:
        assert len(read.infolist()) == count + 1
        assert read.read("69999.jpg") == b"69999" and read.read("last.csv") == b"a,b\r\n1,2\r\n"


@pytest.mark.parametrize("size", [(2, 2), (31, 47), (320, 200), (1920, 1080)])
def test_the_size_of_a_jpeg_is_read_from_its_head(size: tuple[int, int]) -> None:
    jpeg = encode_jpeg(np.zeros((size[1], size[0], 3), np.uint8))
    assert jpeg_size(jpeg) == size
    assert jpeg_size(jpeg[:20]) is None and jpeg_size(b"\xff\xd8 a picture \xff\xd9") is None


class Room:
    """A record with images in it: stream 1 is ann's, stream 2 is sci's."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "mb9k.db")
        self.images = ImageFiles(folder / "images")
        for name in ("ann", "sci"):
            self.store.people.add(name, "hash", Role.ADMIN, NOON)
        self.store.streams.add_with_key(1, "door", "a", NOON)
        self.store.streams.add_with_key(2, "lab", "b", NOON)

    def see(self, bbox_px: Bbox, state: State, confidence: float = 0.95, stream_id: int = 1, at: float = NOON) -> int:
        """Somebody passes, and the watcher keeps an image of them as it always does."""
        jpeg = encode_jpeg(snapshot(Frame(frame_of(FRAME), at, at), bbox_px, [bbox_px]), 95)
        place = self.images.append(jpeg, at)
        image = StoredImage(place.day, place.offset, place.size_bytes, f"{place.day}-{place.offset}", crc32=place.crc32)
        seen = Detection(at, at + 2, state, confidence, 7, bbox_px, 640, 360, "m")
        return self.store.detections.add(stream_id, seen, image)

    def export(self, what: What, **more: object) -> zipfile.ZipFile:
        """Its ZIP, whole."""
        made = Export(
            what,
            Format.ZIP,
            DetectionFilter(),
            self.store,
            self.images,
            UTC,
            "box",
            NOON,
            **more,  # type: ignore[arg-type]
        )
        return zipfile.ZipFile(io.BytesIO(b"".join(made.parts())))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    with closing(made.store):
        yield made


FACE = (100.0, 80.0, 160.0, 155.0)


def test_a_zip_has_the_images_that_may_be_handed_out_and_its_table_names_just_these(room: Room) -> None:
    ids = [room.see(FACE, State.MASK), room.see(FACE, State.MASK, stream_id=2), room.see(FACE, State.NO_MASK)]
    erased = room.store.detections.get(ids[2])
    assert erased and erased.image
    room.images.erase(erased.image.day, [erased.image])
    with room.export(What.DETECTIONS, may=lambda stream: stream.owner_id == 1) as read:
        assert read.testzip() is None
        assert sorted(read.namelist()) == ["detections.csv", f"images/{ids[0]}.jpg"]
        rows = list(csv.DictReader(io.StringIO(read.read("detections.csv").decode(), newline="")))
        whole = room.store.detections.get(ids[0])
        assert whole and whole.image and read.read(f"images/{ids[0]}.jpg") == room.images.read(whole.image)
    assert [row["image_file"] for row in rows] == [f"images/{ids[0]}.jpg", "", ""]
    assert [int(row["detection_id"]) for row in rows] == [ids[0], ids[2], ids[1]]


@pytest.mark.parametrize(
    "bbox_px", [FACE, (-5.0, -8.5, 40.2, 51.7), (600.3, 320.0, 655.0, 380.0), (5.0, 3.0, 620.0, 350.0), (9, 9, 11, 12)]
)
def test_a_face_lies_in_its_image_where_it_lay_in_the_frame(room: Room, bbox_px: Bbox) -> None:
    """Mapped back by the image's scale, its corners are those of the bbox as far as that was in the frame."""
    detection_id = room.see(bbox_px, State.NO_MASK)
    room.store.detections.correct_state(detection_id, State.INCORRECT, "ann")
    with room.export(What.FACES) as read:
        (name,) = [name for name in read.namelist() if name.endswith(".jpg")]
        jpeg, split = read.read(name), name.split("/")[1]
        coco = json.loads(read.read(f"annotations_harmonised/{split}.json"))
    (image,), (face,) = coco["images"], coco["annotations"]
    assert jpeg_size(jpeg) == (image["width"], image["height"])
    left, top, width, height = face["bbox"]
    assert 0 <= left <= left + width <= image["width"] + 0.01 and 0 <= top <= top + height <= image["height"] + 0.01
    inside = (max(0.0, bbox_px[0]), max(0.0, bbox_px[1]), min(640.0, bbox_px[2]), min(360.0, bbox_px[3]))
    scale = width / (inside[2] - inside[0])
    assert height / (inside[3] - inside[1]) == pytest.approx(scale, rel=0.05)
    assert face["category_id"] == 3 and face["iscrowd"] == 0
    covered = sum(region["bbox"][2] * region["bbox"][3] for region in coco["ignore_regions"])
    assert covered == pytest.approx(image["width"] * image["height"] - width * height, rel=0.1, abs=400)


def test_the_trainer_reads_what_was_exported(room: Room, tmp_path: Path) -> None:
    corrected = room.see(FACE, State.MASK)
    room.store.detections.correct_state(corrected, State.NO_MASK, "ann")
    unsure = [room.see(FACE, State.UNKNOWN, 0.4), room.see(FACE, State.MASK, faces.UNSURE_BELOW - 0.01)]
    room.see(FACE, State.MASK, 0.99)  # sure: nothing to learn
    gave_up = room.see(FACE, State.MASK)
    room.store.detections.correct_state(gave_up, State.UNKNOWN, "ann")  # nobody can say
    moved = room.store.detections.get(room.see(FACE, State.UNKNOWN, 0.3))
    assert moved
    room.store.detections.update(moved.id, replace(moved.detection, bbox_px=(10, 10, 90, 70)))  # seen better since
    for hour in range(1, 2 * faces.VAL_EACH):
        again = room.see(FACE, State.NO_MASK, at=NOON + 3600 * hour)
        room.store.detections.correct_state(again, State.MASK, "ann")
    with room.export(What.FACES) as read:
        read.extractall(tmp_path / "data")
    photos = {
        photo.name: photo
        for split in faces.SPLITS
        for photo in dataset.load_photos(tmp_path / "data", split, tmp_path / "cache")
    }
    assert len(photos) == 3 + 2 * faces.VAL_EACH - 1
    for photo in photos.values():  # as the training cuts its inputs, without a made-up mask
        made = augmentation.cut(photo, 320, np.random.default_rng(1))
        assert made.pixels.shape == (320, 320, 3)
    val = dataset.load_photos(tmp_path / "data", "val", tmp_path / "cache")
    assert len(val) == 2
    states = {
        name: [state for state in photo.states.tolist() if state != dataset.IGNORE] for name, photo in photos.items()
    }
    assert states[f"{corrected}.jpg"] == [dataset.STATES.index("no_mask")]
    assert [states[f"{each}.jpg"] for each in unsure] == [[], []]
    assert photos[f"{corrected}.jpg"].bboxes[0].tolist() == pytest.approx([18, 22, 78, 97], abs=1)
