"""The demo behind scripts/demo: fills a development box, starts it, sends it a clip, says what to try next.

Everything listens on loopback only, because the logins are known to everybody.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from appliance.accounts.people import Role
from appliance.config import Config, load
from appliance.errors import UserError
from appliance.rules import people, streams
from appliance.secrets import hash_known_password
from appliance.store import DetectionFilter, Store
from appliance.supervisor import refuse_busy_ports
from appliance.times import now
from appliance.vision.clip import make_clip
from scripts import demo_fleet
from scripts.demo_parts import ROOT, Parts, tail
from scripts.get_mediamtx import Unavailable, binary

FOLDER = ROOT / ".demo"
CLIP_S = 30
LIVE_PATIENCE_S = 60
LOGINS = (
    ("dev", "mb9k", Role.ADMIN, "entrance", "ABCDE01234"),
    ("sci", "mb9kmb9k", Role.DATA_SCIENTIST, "lab", "01234ABCDE"),
)

SAY = """
  Page     http://localhost:{web}
  Sign in  dev / mb9k          (admin)
           sci / mb9kmb9k      (Data Scientist)

  dev:entrance is LIVE with our own clip. Try next:
    OBS        Settings > Stream > Service "Custom", Server rtmp://localhost:{rtmp}/live, Stream Key 01234ABCDE
               (that is sci:lab; dev:entrance has the key ABCDE01234)
    FFmpeg     ffmpeg -re -i FILE -c:v libx264 -bf 0 -f flv rtmp://localhost:{rtmp}/live/01234ABCDE
    A file     scripts/demo --video FILE
    A webcam   scripts/demo --webcam

  Ctrl-C stops all of it. The log is {log}
"""


def main() -> None:
    """Run the demo until Ctrl-C."""
    options = arguments()
    if options.fleet:
        demo_fleet.run(demo_fleet.Rhythm(options.on_s, options.off_s, options.days), options.ports)
        return
    if options.video and not options.video.is_file():
        raise UserError(f"{options.video}: no such file")
    if options.webcam and not Path("/dev/video0").exists():
        raise UserError("/dev/video0 is not there; plug a webcam in, or see `scripts/demo --video FILE`")
    FOLDER.mkdir(exist_ok=True)
    config_path = FOLDER / "mb9k.toml"
    config_path.write_text(configuration())
    config = load(config_path)
    refuse_busy_ports(config)
    fill(config, options.webcam)
    clip = options.video or FOLDER / "clip.mp4"
    if not clip.exists():
        print("Drawing the demo clip ...", flush=True)
        make_clip(clip, seconds=CLIP_S)
    run(config, config_path, clip)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description="A whole box, or a fleet, on this machine.")
    parser.add_argument("--video", type=Path, metavar="FILE", help="send this video instead of our clip")
    parser.add_argument(
        "--webcam", action="store_true", help="let the box fetch from this machine's webcam, /dev/video0"
    )
    parser.add_argument("--fleet", action="store_true", help="a centre and three boxes instead; needs mosquitto")
    more = parser.add_argument_group("with --fleet")
    more.add_argument("--on-s", type=float, default=90.0, metavar="S", help="seconds with a network (%(default)g)")
    more.add_argument("--off-s", type=float, default=240.0, metavar="S", help="seconds without (%(default)g)")
    more.add_argument("--days", type=float, default=7.0, help="days that the boxes remember (%(default)g)")
    more.add_argument(
        "--ports",
        type=int,
        nargs=3,
        default=(8100, 8101, 8883),
        metavar=("PAGE", "JOINING", "BROKER"),
        help="the ports of the centre (8100 8101 8883)",
    )
    return parser.parse_args()


def configuration() -> str:
    """The demo's mb9k.toml."""
    try:
        media = f'engine = "mediamtx"\nbinary = "{binary(FOLDER)}"'
    except Unavailable as error:
        print(f"MediaMTX: {error}; going on with the embedded ingest.", flush=True)
        media = 'engine = "embedded"'
    return f"""# Written by scripts/demo at every start.
box = "demo"
state_dir = "{FOLDER / "state"}"

[web]
host = "127.0.0.1"

[rtmp]
host = "127.0.0.1"

[media]
{media}
"""


def fill(config: Config, webcam: bool) -> None:
    """The development database: made once, kept between starts."""
    for host in (config.web.host, config.rtmp.host):
        if host != "127.0.0.1":
            raise UserError("the demo's logins are known to everybody: it listens on 127.0.0.1 only")
    store = Store.open(config.store_path)
    there = {stream.title: stream for stream in store.streams.all(now())}
    for name, password, role, stream, key in LOGINS:
        if store.people.named(name) is None:
            people.add(store, name, hash_known_password(password), role, now().utc)
        if f"{name}:{stream}" not in there:
            streams.add(store, streams.OPERATOR, name, stream, None, now(), known_key=key)
    if "dev:webcam" in there:
        streams.change(store, streams.OPERATOR, there["dev:webcam"], active=webcam)
    elif webcam:
        streams.add(store, streams.OPERATOR, "dev", "webcam", "/dev/video0", now())
    store.close()


def run(config: Config, config_path: Path, clip: Path) -> None:
    """Start the box and the publisher; report until Ctrl-C; leave no process behind."""
    log_path = FOLDER / "mb9k.log"
    url = f"rtmp://localhost:{config.rtmp.port}/live/{LOGINS[0][4]}"
    commands = (
        [sys.executable, "-m", "appliance.cli", "--config", str(config_path), "run"],
        [sys.executable, str(ROOT / "scripts" / "publish.py"), str(clip), url],
    )
    try:
        with Parts(log_path) as parts:
            for command in commands:
                parts.start(command)
            report(config, parts)
    finally:
        print("\nStopped. `scripts/demo --remove` deletes everything the demo made.", flush=True)


def report(config: Config, parts: Parts) -> None:
    """Wait until the stream is LIVE, say what to do, then keep one line of counts up to date."""
    store = Store.open_readonly(config.store_path)
    deadline_s = time.monotonic() + LIVE_PATIENCE_S
    announced = False
    while True:
        parts.look_after()
        live = [stream.title for stream in store.streams.all(now()) if stream.live]
        if live and not announced:
            print(SAY.format(web=config.web.port, rtmp=config.rtmp.port, log=parts.log_path), flush=True)
            announced = True
        if not announced and time.monotonic() > deadline_s:
            raise UserError(f"the stream did not go LIVE within {LIVE_PATIENCE_S} s:\n{tail(parts.log_path)}")
        if announced and sys.stdout.isatty():
            counts = store.detections.counts(DetectionFilter())
            line = (
                f"LIVE: {', '.join(live) or 'nobody'} | persons {counts.total}: mask {counts.mask},"
                f" no mask {counts.no_mask}, incorrect {counts.incorrect}, unknown {counts.unknown}"
            )
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]:<{width}}", end="", flush=True)
        time.sleep(1)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Explicitly: a shell that starts us in the background has SIGINT ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        main()
    except UserError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        # Let the shell see that we ended by Ctrl-C.
        os._exit(130)
