"""The processes that a demo is made of: what they say is in one log, and none outlives the demo."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from appliance.errors import UserError
from appliance.processes import start_child

ROOT = Path(__file__).parent.parent


class Parts:
    """Processes until the end of the block, then the one started last ends first."""

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self._log = log_path.open("wb")
        self._started: list[subprocess.Popen[bytes]] = []
        self._again: dict[int, Sequence[str]] = {}  # by process, what is started again

    def start(self, command: Sequence[str], is_started_again: bool = False) -> None:
        """Start one more. is_started_again: it may end when it was asked to, on a page. Raises OSError."""
        child = start_child(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, cwd=ROOT)
        self._started.append(child)
        if is_started_again:
            self._again[child.pid] = command

    def look_after(self) -> None:
        """See whether all of them run. Raises UserError if one failed."""
        for child in list(self._started):
            code = child.poll()
            command = self._again.pop(child.pid, None) if code == 0 else None
            if command is not None:
                self._started.remove(child)
                self.start(command, is_started_again=True)
            elif code is not None:
                raise UserError(f"a part of the demo ended; the last lines of its log:\n{tail(self.log_path)}")

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave something behind
        for child in reversed(self._started):
            child.terminate()
        for child in self._started:
            child.wait()
        self._log.close()


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a file."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
