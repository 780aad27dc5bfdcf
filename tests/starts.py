"""A command of mb9k in a process of its own, started in milliseconds: what it needs is imported once."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

from appliance.cli import main
from appliance.config import load
from appliance.store import Store
from appliance.store.soundness import missing_parts

END_S = 60.0
NOBODY = 65534
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.starts", "appliance.supervisor"])
missing_parts(Store.in_memory().db)  # so that each process need not find out what a store consists of


def start(config_path: Path, *words: str, patience_s: float = END_S, as_nobody: bool = False) -> tuple[int | None, str]:
    """The exit code of a command (None: it still runs after patience_s, and is killed) and all that it said.

    as_nobody: as the user who may nothing, if we are root.
    """
    said = config_path.with_name("said")
    process = _server.Process(target=_run, args=(str(said), as_nobody, "--config", str(config_path), *words))
    process.start()
    process.join(patience_s)
    code = process.exitcode
    process.kill()
    process.join()
    return code, said.read_text(errors="replace")


def _run(said: str, as_nobody: bool, *words: str) -> None:
    sink = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for handle in (1, 2):
        os.dup2(sink, handle)
    if as_nobody and os.geteuid() == 0:
        load(Path(words[1]))  # nobody may not import what reading it needs
        os.setuid(NOBODY)
    sys.argv = ["mb9k", *words]
    main()
