"""The models a box has: models/manifest.toml, and the files it names."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Annotated

import msgspec

from appliance.errors import UserError
from appliance.language import _
from appliance.outside import quoted, system_words

log = logging.getLogger(__name__)

ZeroToOne = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model as another runtime takes it. file: in the folder of the manifest; sha256: of the file."""

    file: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of the manifest.

    file: in the folder of the manifest; sha256: of the file.
    region_px: side of a region of a camera's frame, a multiple of 32; what is cut out of the frame at its own
    resolution and looked at in one forward pass. input_width, input_height: pixels, multiples of 32. A whole picture
    (`mb9k detect`, the self-test) is scaled to fit into them. second_pass: when not 0, there is a second forward pass
    over a whole picture, scaled down by this factor, for faces too large for the first; only a network with a free
    input can.
    score_threshold: faces with a lower score are not counted. smallest_face_px: the shorter side, px of the network's
    input, below which a face is too small and its state unknown. min_margin: how far the likeliest state must be ahead
    of the next one. max_iou: of two bboxes that overlap more, only the one with the higher score stays.
    source: what it was trained on and by whom; measured: figures and what they were measured on.
    forms: the same for other runtimes, by name; they take regions of region_px.
    """

    id: str
    file: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    region_px: Annotated[int, msgspec.Meta(gt=0, multiple_of=32)]
    input_width: Annotated[int, msgspec.Meta(gt=0, multiple_of=32)]
    input_height: Annotated[int, msgspec.Meta(gt=0, multiple_of=32)]
    score_threshold: ZeroToOne
    smallest_face_px: float
    min_margin: ZeroToOne
    max_iou: ZeroToOne
    source: str
    second_pass: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0
    measured: dict[str, float | str] = {}
    forms: dict[str, Form] = {}

    def of_regions(self) -> Model:
        """The same for a network that takes nothing but regions: a whole picture is scaled to one."""
        return msgspec.structs.replace(self, input_width=self.region_px, input_height=self.region_px, second_pass=0)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """models/manifest.toml: the models by name, and which one a box uses when its configuration names none.

    former: names of models that are gone; a box whose configuration still has one uses the default.
    """

    default: str
    models: dict[str, Model]
    former: list[str] = []


def folder() -> Path:
    """Where the manifest lies: inside the installed package, or in the checkout."""
    package = Path(__file__).parent.parent
    installed = package / "_models"
    return installed if installed.is_dir() else package.parent / "models"


def load_manifest(directory: Path | None = None) -> Manifest:
    """Read and check the manifest. Raises UserError."""
    path = (directory or folder()) / "manifest.toml"
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise UserError(
            _("{path} cannot be used ({error}); install mb9k again", path=path, error=quoted(system_words(error)))
        ) from error


def find(name: str = "", directory: Path | None = None) -> Model:
    """The model of that name, or the default. Raises UserError."""
    manifest = load_manifest(directory)
    if name in manifest.former:
        log.warning(
            "There is no model %s any more: %s is used. Take it out of the configuration.", name, manifest.default
        )
        name = ""
    model = manifest.models.get(name or manifest.default)
    if model is None:
        raise UserError(
            _(
                "there is no model {name}; there are {names}",
                name=repr(name or manifest.default),
                names=", ".join(sorted(manifest.models)),
            )
        )
    return model


def verified(model: Model | Form, directory: Path | None = None) -> bytes:
    """The file of a model or of a form of it, if it is the one the manifest means. Raises UserError."""
    path = (directory or folder()) / model.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            _("the model {path} cannot be read ({error}); install mb9k again", path=path, error=system_words(error))
        ) from error
    if hashlib.sha256(content).hexdigest() != model.sha256:
        raise UserError(
            _("the model {path} is not the one of the manifest (its sha-256 differs); install mb9k again", path=path)
        )
    return content
