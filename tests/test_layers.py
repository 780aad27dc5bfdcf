"""Imports run down only: the floors of the house."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

GROUND = {
    "address",
    "alone",
    "board",
    "calibration",
    "certificates",
    "config",
    "cutout",
    "deadline",
    "disk",
    "errors",
    "faces",
    "files",
    "interfaces",
    "join_code",
    "keeping",
    "language",
    "loopback",
    "messages",
    "names",
    "notes",
    "outside",
    "places",
    "processes",
    "rates",
    "retold",
    "secrets",
    "sections",
    "sqlite_room",
    "service",
    "sqlite",
    "time_zone",
    "times",
    "version",
    "zones",
}
KIT = {"web"}
VISION = {"vision"}
RECORD = {"store", "images"}
PARTS = {
    *RECORD,
    "accounts",
    "alerts",
    "children",
    "exports",
    "first_boot",
    "https",
    "joining",
    "machine",
    "mail",
    "membership",
    "previews",
    "reception",
    "media.mediamtx",
    "reports",
    "rules",
    "slots",
    "update",
}
SERVICES = {"central", "watch", "local", "notify", "screen", "media.gate", "media.ingest", "media.embedded"}
TOP = {"cli", "commands", "supervisor"}

SOURCES = sorted((REPOSITORY / "appliance").rglob("*.py"))


def room(module: str) -> str:
    """The room a module of ours belongs to: `store.streams` -> `store`, `watch` stays itself."""
    for name in sorted(GROUND | KIT | PARTS | SERVICES | TOP | {"media"}, key=len, reverse=True):
        if module == name or module.startswith(name + "."):
            return name
    return module.split(".")[0]


def floor(name: str) -> int:
    """How high a room lies: ground 0, parts 1, services 2, the command line 3."""
    if name in TOP:
        return 3
    if name in SERVICES or name == "media":
        return 2
    return 0 if name in GROUND else 1


def imports(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, also inside functions, without the leading `appliance.`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("appliance"):
            base = node.module.removeprefix("appliance").strip(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".strip(".")
                # `from appliance.media import gate` names a module, `from appliance.faces import Face` does not.
                yield name if (REPOSITORY / "appliance" / name.replace(".", "/")).with_suffix(".py").exists() else base
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("appliance.") for a in node.names if a.name.startswith("appliance."))


def complaint(importer: str, imported: str) -> str | None:
    """Why this import is not allowed; None if it is."""
    above, below = room(importer), room(imported)
    if not imported or above == below:
        return None
    if floor(below) > floor(above):
        return "imports run down only"
    if floor(above) == floor(below) == 2 and above.split(".")[0] != below.split(".")[0]:
        return "services never import each other"
    if (
        floor(above) == floor(below) == 0
        and above not in {"calibration", "config", "rates", "service"}
        and below not in {"errors", "language", "outside"}
    ):
        return "the ground imports nothing of ours but errors and words"
    if above == "central" and below in {*RECORD, "membership", "rules"} | VISION:
        return "the centre knows nothing of a box but the wire"
    if below == "rules" and above in PARTS | VISION:
        return "the parts know no rules"
    if above in KIT | VISION and below in RECORD:
        return "vision and the web kit know no store"
    if above in VISION and below == "accounts":
        return "vision knows no people"
    if above in KIT and floor(below) > 0:
        return "the web kit knows no accounts, nor any other room"
    if above == "accounts" and below not in {"web"} | GROUND - {"config", "sections"}:
        return "accounts know no store but the one handed in"
    if above == "alerts" and below not in {"accounts", "mail", "web"} | GROUND - {"config"}:
        return "alerts know no store but the one handed in"
    return None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_imports_run_down_only(path: Path) -> None:
    module = ".".join(path.relative_to(REPOSITORY / "appliance").with_suffix("").parts).removesuffix("__init__")
    module = module.strip(".")
    wrong = {f"{module} imports {name}: {complaint(module, name)}" for name in imports(path) if complaint(module, name)}
    assert not wrong


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("faces", "store"),
        ("store.streams", "local"),
        ("watch", "local.site"),
        ("vision.reading.camera", "store"),
        ("vision.reading.camera", "rules.sources"),
        ("vision.reading.camera", "accounts.people"),
        ("web.render", "store"),
        ("web.pages", "accounts.guard"),
        ("web.pages", "local.words"),
        ("accounts.people", "store.database"),
        ("accounts.site", "config"),
        ("accounts.site", "sections"),
        ("alerts.changes", "store.database"),
        ("alerts.courier", "config"),
        ("media.gate", "watch"),
        ("store", "cli"),
        ("faces", "config"),
        ("faces", "sections"),
        ("rules.streams", "local"),
        ("rules.streams", "watch"),
        ("central.run", "store"),
        ("central.joining", "local.site"),
        ("central.authority", "rules.fleet"),
        ("store.streams", "rules.streams"),
        ("errors", "config"),
    ],
)
def test_the_check_sees_an_import_that_runs_up(importer: str, imported: str) -> None:
    assert complaint(importer, imported)


def test_there_are_no_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        module = ".".join(path.relative_to(REPOSITORY / "appliance").with_suffix("").parts).removesuffix(".__init__")
        graph[module] = {name for name in imports(path) if name != module}

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        for name in graph.get(module, ()):
            walk(name, (*trail, module))

    for module in graph:
        walk(module, ())


def test_a_centre_reaches_no_store_of_a_box_whatever_it_imports() -> None:
    graph = {
        ".".join(path.relative_to(REPOSITORY / "appliance").with_suffix("").parts).removesuffix(".__init__"): path
        for path in SOURCES
    }
    reached = {name for name in graph if name.split(".")[0] == "central"}
    waiting = list(reached)
    while waiting:
        new = {name for name in imports(graph[waiting.pop()]) if name in graph} - reached
        reached |= new
        waiting += new
    assert "exports.sheets" in reached
    assert not {name for name in reached if room(name) in RECORD | VISION}


def test_the_trainer_is_not_imported_by_the_appliance() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.split(".")[0] == "models" for name in names), path


def test_one_function_alone_asks_which_version_this_is() -> None:
    asking = [path.name for path in SOURCES if re.search(r"version\([\"']mb9k[\"']\)", path.read_text())]
    assert asking == ["version.py"]
