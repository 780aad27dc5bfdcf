"""`scripts/demo --fleet`: a centre with its broker and three boxes, one of which loses its network again and again.

Everything listens on loopback only, because the login is known to everybody, and lies in a folder that goes at the end.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.accounts import changes
from appliance.accounts.people import Role
from appliance.central import authority, members
from appliance.central.config import CentralConfig, load
from appliance.central.opening import open_database
from appliance.central.run import broker_command
from appliance.central.store import CentralStore, Scope, Span, Watched
from appliance.central.store.sites import Site
from appliance.central.store.sums import Step
from appliance.central.viewer.condition import FRESH_S, Age, age_of
from appliance.errors import UserError
from appliance.membership import FOLDER
from appliance.rules import fleet
from appliance.secrets import hash_known_password
from appliance.service import refuse_busy_port
from appliance.sync.link import WILL_DELAY_S
from appliance.sync.service import LONGEST_PAUSE_S
from appliance.times import now
from appliance.web.words import duration, number
from scripts.demo_boxes import CLEAN_ROOM, DAY_S, EXAMPLES, Example, StandInWatcher
from scripts.demo_cable import Cable
from scripts.demo_parts import Parts, tail

START_S = 60.0
STEP_S = 1.0
LOGIN = ("dev", "mb9k")

SAY = """
  Page     {page}
  Sign in  {name} / {password}          (admin)

  Three boxes tell this centre what they count: {boxes}.
  They have no cameras: a stand-in makes up who passes. All else is what runs in a real fleet: mosquitto, the
  centre, and on each box the record and `sync`. For a whole box, with a picture: scripts/demo

  Again and again {cut} loses its network for {off}, and counts on. What to look at stands here.
  Ctrl-C stops all of it and leaves nothing.
"""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How long the network is there, and then is not, s; and how many days the boxes remember at the start."""

    on_s: float
    off_s: float
    days: float


def run(rhythm: Rhythm, ports: Sequence[int]) -> None:
    """Run the demo until Ctrl-C. ports: of the page, of joining, of the broker. Raises UserError."""
    refuse(ports)
    try:
        with tempfile.TemporaryDirectory(prefix="mb9k-fleet-") as folder:
            run_in(Path(folder), rhythm, ports)
    except KeyboardInterrupt:
        print("\nStopped, and all of it is gone.", flush=True)
        raise


def run_in(folder: Path, rhythm: Rhythm, ports: Sequence[int]) -> None:
    """The demo with all its files in this folder, until Ctrl-C. Raises UserError."""
    with ExitStack() as until_the_end:
        config_path = folder / "central.toml"
        config_path.write_bytes(msgspec.toml.encode(wiring(folder / "centre", *ports)))
        config = load(config_path)
        fill(config)
        parts = until_the_end.enter_context(Parts(folder / "log"))
        centre = CentralStore.open_existing(config.database_address, config.audit_head_path)
        until_the_end.callback(centre.close)
        cable = Cable(config.broker.port)
        until_the_end.callback(cable.close)
        parts.start(mb9k("central", "--config", str(config_path), "run"))
        say(f"Starting a centre, and giving each box a record of {rhythm.days:g} days ...")
        boxes = [StandInWatcher(example, folder / example.name) for example in EXAMPLES]
        for box in boxes:
            until_the_end.callback(box.close)
            box.remember(rhythm.days, now())
        wait_for(ports, parts)
        joined = [join(box, config, centre, cable) for box in boxes]
        for box in boxes:
            parts.start(mb9k("--config", str(box.config_path), "sync"), is_started_again=True)
        go_on(boxes, parts, Story(centre, cable, joined, rhythm, f"http://localhost:{config.web.port}"))


def refuse(ports: Sequence[int]) -> None:
    """Say at once, in one line, what is missing or in the way. Raises UserError."""
    try:
        broker_command(CentralConfig())
    except UserError as error:
        raise UserError("there is no mosquitto, which the fleet needs; as root: apt-get install mosquitto") from error
    for port in ports:
        try:
            refuse_busy_port("127.0.0.1", port, "")
        except UserError as error:
            raise UserError(
                f"port {port} cannot be had; end the program that uses it (another demo?), or choose others: --ports"
            ) from error


def wiring(state: Path, page: int, joining: int, broker: int) -> dict[str, object]:
    """The centre's configuration: all of it on loopback."""
    host = "127.0.0.1"
    return {
        "name": "Demo fleet",
        "state_dir": str(state),
        "web": {"host": host, "port": page},
        "broker": {"host": host, "port": broker, "public_host": "localhost"},
        "joining": {"host": host, "port": joining},
        "backup": {"keep": 0},
    }


def fill(config: CentralConfig) -> None:
    """The centre's database: a person, and the sites. Raises UserError."""
    hosts = {config.web.host, config.broker.host, config.joining.host}
    if hosts != {"127.0.0.1"}:
        raise UserError("the demo's login is known to everybody: it listens on 127.0.0.1 only")
    store = CentralStore(open_database(config.database_address), config.audit_head_path)
    try:
        name, password = LOGIN
        changes.add(store, name, hash_known_password(password), Role.ADMIN, now().utc)
        with store.saving():
            for example in EXAMPLES:
                store.sites.add(Site(0, example.site, example.group, example.latitude, example.longitude))
    finally:
        store.close()


@dataclass(frozen=True, slots=True)
class Joined:
    """A box, and its id at the centre. remembered: how many persons it had counted before."""

    watcher: StandInWatcher
    id: str
    remembered: int

    @property
    def example(self) -> Example:
        """What box it is."""
        return self.watcher.example

    def persons(self) -> int:
        """How many it has counted."""
        return self.watcher.persons()


def join(box: StandInWatcher, config: CentralConfig, centre: CentralStore, cable: Cable) -> Joined:
    """Have a box join as every box does, by a join code. Raises UserError."""
    moment, example = now(), box.example
    site_id = next(site.id for site in centre.sites.all(None) if site.name == example.site)
    trust = authority.prepare(config, moment.utc)
    code = members.invite(centre.db, config, trust, moment.utc, by=LOGIN[0], title=example.title, site_id=site_id)
    joined = fleet.join(box.config, box.store, code, moment)
    if example is CLEAN_ROOM:  # this one reaches the broker by the cable
        path = box.config.state / FOLDER / "centre.json"
        path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | {"port": cable.port}))
    return Joined(box, joined.membership.box, box.persons())


def mb9k(*words: str) -> list[str]:
    """A command of ours."""
    return [sys.executable, "-m", "appliance.cli", *words]


def wait_for(ports: Sequence[int], parts: Parts) -> None:
    """Wait until something listens on each. Raises UserError."""
    deadline_s = time.monotonic() + START_S
    while any(map(is_free, ports)):
        parts.look_after()
        if time.monotonic() > deadline_s:
            raise UserError(f"the centre did not start within {START_S:.0f} s:\n{tail(parts.log_path)}")
        time.sleep(0.1)


def is_free(port: int) -> bool:
    """Whether nothing listens on a loopback port."""
    try:
        refuse_busy_port("127.0.0.1", port, "")
    except UserError:
        return False
    return True


def go_on(boxes: Sequence[StandInWatcher], parts: Parts, story: Story) -> None:
    """Let time pass, until Ctrl-C."""
    while True:
        parts.look_after()
        for box in boxes:
            box.step(now())
        story.step(time.monotonic(), now().utc)
        time.sleep(STEP_S)


class Story:
    """What happens, told in lines: the network goes and comes back, and what the centre makes of it."""

    def __init__(self, centre: CentralStore, cable: Cable, boxes: Sequence[Joined], rhythm: Rhythm, page: str) -> None:
        self.centre, self.cable, self.boxes, self.rhythm, self.page = centre, cable, boxes, rhythm, page
        self.cut = next(box for box in boxes if box.example is CLEAN_ROOM)
        self._chapter: Callable[[float, float], None] = self._arrive
        self._arrived: set[str] = set()
        self._said: set[str] = set()
        self._due_s = 0.0

    def step(self, now_s: float, now_utc: float) -> None:
        """Go on with it."""
        self._chapter(now_s, now_utc)

    def _arrive(self, now_s: float, now_utc: float) -> None:
        """Until the centre has what the boxes remember."""
        self._arrived |= {box.id for box in self.boxes if self._at_centre(box, "hour", now_utc) >= box.remembered}
        if len(self._arrived) == len(self.boxes):
            said = SAY.format(
                page=self.page,
                name=LOGIN[0],
                password=LOGIN[1],
                boxes=", ".join(box.example.title for box in self.boxes),
                cut=self.cut.example.title,
                off=how_long(self.rhythm.off_s),
            )
            print(said, flush=True)
            self._wait_on(now_s)

    def _wait_on(self, now_s: float) -> None:
        self._due_s, self._chapter = now_s + self.rhythm.on_s, self._be_connected

    def _be_connected(self, now_s: float, _now_utc: float) -> None:
        if now_s < self._due_s:
            return
        self.cable.pull()
        self._said.clear()
        self._due_s, self._chapter = now_s + self.rhythm.off_s, self._be_cut_off
        title, off = self.cut.example.title, how_long(self.rhythm.off_s)
        say(f"{title} is off the network for {off}, and counts on. Look at {self.page}/")
        say('  At once: "complete up to" stands still, for the centre does not know all of it any more.')
        say(
            f"  After {how_long(WILL_DELAY_S)} the broker gives the box up; after {how_long(FRESH_S)} its data is late."
        )

    def _be_cut_off(self, now_s: float, now_utc: float) -> None:
        box = self.centre.boxes.get(self.cut.id, None)
        if box is not None and box.status == "gone":
            self._say_once(f'The centre: it lost its connection. Look at "Status" on {self.page}/boxes/{box.id}')
        if box is not None and age_of(box, now_utc)[0] is not Age.FRESH:
            self._say_once(f"The centre: its data is late. Look at its tile, now the first one, and at {self.page}/map")
        if now_s >= self._due_s:
            self.cable.plug()
            self._chapter = self._come_back
            rows = number(self.cut.watcher.store.summaries.backlog().rows)
            say(f"{self.cut.example.title} is on the network again; what it has yet to tell: {rows} rows.")
            say(f"  It is back at once, or within {how_long(LONGEST_PAUSE_S)}: after each try it waits longer.")

    def _come_back(self, now_s: float, now_utc: float) -> None:
        counted, link = self.cut.persons(), self.cut.watcher.store.fleet.status()
        if link and link.connected and self._at_centre(self.cut, "minute", now_utc) == counted:
            persons = number(counted)
            say(f"Nothing lost, nobody counted twice: {persons} people on the box, {persons} at the centre.")
            say(f"  Look at {self.page}/boxes/{self.cut.id}?last=hour : there is no gap.")
            self._wait_on(now_s)

    def _say_once(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            say(words)

    def _at_centre(self, box: Joined, step: Step, now_utc: float) -> int:
        """How many persons of a box the centre has: by the minute, or by the hour, as most of its pages show them."""
        today_utc = int(now_utc) // DAY_S * DAY_S
        span = Span(today_utc - (int(self.rhythm.days) + 2) * DAY_S, today_utc + 2 * DAY_S, step)
        return self.centre.sums.by_box(Scope(box_id=box.id), span).get(box.id, Watched()).counts.total


def how_long(length_s: float) -> str:
    """A time in words."""
    return f"{length_s:.0f} s" if length_s < 120 else duration(length_s)


def say(words: str) -> None:
    """A line with the time of the day."""
    print(f"{time.strftime('%H:%M:%S')}  {words}", flush=True)
