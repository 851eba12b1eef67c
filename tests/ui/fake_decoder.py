"""A decoder that opens no picture format: whatever the file holds, it becomes a coloured gradient; .mp4 becomes a clip.

A name with "bad" is refused, one with "crash" ends the process, one with "never" gets no answer.
"""

import hashlib
import os
import sys
from pathlib import Path

from app.protocol import Decode, Decoded, Media, Refused, Thumbnail, decode, encode

TINTS = ((106, 140, 170), (130, 120, 170), (150, 110, 160), (170, 100, 130), (170, 130, 110))


def gradient(width: int, height: int, tint: tuple[int, int, int]) -> bytes:
    rows = []
    for y in range(height):
        shade = 1 - 0.5 * y / height
        rows.append(bytes(int(channel * shade) for channel in tint) * width)
    return b"".join(rows)


def answer(command: Decode) -> Decoded | Refused:
    name = Path(command.path).name
    if "bad" in name:
        return Refused(command.request, f"“{name}” is no picture or video that Parley can read: save it as PNG or MP4.")
    if not Path(command.path).exists():
        return Refused(command.request, f"There is no file “{name}”: perhaps it was moved.")
    into = Path(command.into)
    into.mkdir(parents=True, exist_ok=True)
    video = name.endswith(".mp4") or b"clip" in Path(command.path).read_bytes()
    width, height = 320, 180
    digest = hashlib.sha256(Path(command.path).read_bytes()).hexdigest()
    previews = []
    for at in range(5 if video else 1):
        file = into / f"{digest}-{at}.rgb"
        file.write_bytes(gradient(160, 90, TINTS[at]))
        previews.append(Thumbnail(str(file), 160, 90, float(at)))
    pixels = into / f"{digest}.rgb"
    pixels.write_bytes(gradient(width, height, TINTS[0]) * (10 if video else 1))
    media = Media("image", name, digest, str(pixels), width, height)
    if video:
        media = Media("video", name, digest, str(pixels), width, height, 10, tuple(range(10)), 10, 2.0, 5.0)
    return Decoded(command.request, media, tuple(previews))


def main() -> None:
    for line in sys.stdin.buffer:
        command = decode(line)
        if not isinstance(command, Decode) or "never" in Path(command.path).name:
            continue
        if "crash" in Path(command.path).name:
            os._exit(9)
        sys.stdout.buffer.write(encode(answer(command)))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
