"""Kills the downloader at random moments and looks at what that cost: run by hand, it takes about a minute.

    python -m tests.bench.download_kills [--kills 20] [--megabytes 400] [--seed 1]

A hub on this machine sends two large files at a limited pace. Each life of the downloader is ended by kill -9 a random
part of a second after its first word; every second one also loses the end of its part, as a power cut may take what
was not yet on the disk. At the end the model has to be right and nothing else may be in its folder; printed is how many
bytes the hub had to send twice for each life (what it sent and nobody took included), of 64 MB that are allowed.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from app.download.names import MANIFEST
from app.download.part import STEP
from app.protocol import Download, Downloaded, DownloadFailed, decode, encode
from tests.download.hub import REPOSITORY, Hub, contents, running, tiny

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = 64_000_000


def main() -> int:
    """Kill, resume, compare; 0 if all is well."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)  # noqa: S311 - a bench
    half = options.megabytes * 10**6 // 2
    weights = {f"model-{n}-of-2.safetensors": draw.randbytes(half + n) for n in (1, 2)}
    with tempfile.TemporaryDirectory() as place, running(tiny(weights)) as hub:
        folder = Path(place) / "model"
        hub.listing = hub.plain_listing()  # hashed once
        hub.pace = 0.001
        twice = [_killed(hub, folder, draw, number) for number in range(options.kills)]
        hub.pace = 0.0
        last = _finished(hub, folder)
        wrong = [name for name in weights if (folder / name).read_bytes() != weights[name]]
        taken = {name for name in hub.files if name != ".gitattributes"}
        orphans = contents(folder) - taken - {MANIFEST}
        worst = max([*twice, last])
        each = " ".join(f"{count / 1e6:.1f}" for count in [*twice, last])
        sys.stdout.write(f"sent again in each life, MB: {each}\n")
        sys.stdout.write(f"most {worst / 1e6:.1f} MB; wrong files: {wrong}; left over: {sorted(orphans)}\n")
    return 0 if worst <= ALLOWED and not wrong and not orphans else 1


def _killed(hub: Hub, folder: Path, draw: random.Random, number: int) -> int:
    """One life that ends early; the bytes that it had sent again."""
    sent = sum(hub.sent.values())
    arrived = _arrived(folder)
    with _downloader(hub, folder) as process:
        if process.stdout is not None:
            process.stdout.readline()
        time.sleep(draw.uniform(0.0, 0.8))
        process.kill()
    for part in folder.glob("*.part") if number % 2 else ():
        length = part.stat().st_size
        os.truncate(part, max(length // STEP * STEP, length - draw.randrange(STEP)))
    return max(0, sum(hub.sent.values()) - sent - max(0, _arrived(folder) - arrived))


def _finished(hub: Hub, folder: Path) -> int:
    """A life that nobody ends; the bytes that it had sent again."""
    sent, arrived = sum(hub.sent.values()), _arrived(folder)
    with _downloader(hub, folder) as process:
        lines = (decode(line) for line in process.stdout or ())
        end = next(message for message in lines if isinstance(message, Downloaded | DownloadFailed))
        process.kill()
    if isinstance(end, DownloadFailed):
        raise SystemExit(end.message)
    return sum(hub.sent.values()) - sent - (_arrived(folder) - arrived)


def _arrived(folder: Path) -> int:
    """Bytes of the model that are on the disk, whole files and parts."""
    return sum(path.stat().st_size for path in folder.glob("*") if not path.name.startswith((".", MANIFEST)))


def _downloader(hub: Hub, folder: Path) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", "app.download"],
        cwd=ROOT,
        env=os.environ | {"HF_ENDPOINT": hub.address, "no_proxy": "127.0.0.1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    if process.stdin is not None:
        process.stdin.write(encode(Download("1", REPOSITORY, str(folder))))
        process.stdin.flush()
    return process


if __name__ == "__main__":
    sys.exit(main())
