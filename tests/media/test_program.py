"""The decoder as a program: real processes, the real protocol, and whatever people attach."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import Image

from app.media import job as job_module
from app.media import program
from app.media.refusal import UnusableFileError
from app.protocol import Decode, Decoded, Refused, VideoLimits, decode, encode
from tests.media import corpus

ROOT = Path(__file__).resolve().parents[2]


class RunningDecoder:
    """`python -m app.media` and its streams."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.media"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    @property
    def commands(self) -> BinaryIO:
        assert self.process.stdin is not None
        return self.process.stdin  # type: ignore[return-value]

    def read(self) -> Decoded | Refused:
        assert self.process.stdout is not None
        answer = decode(self.process.stdout.readline())
        assert isinstance(answer, Decoded | Refused)
        return answer

    def ask(self, path: Path | str, into: Path, video: VideoLimits | None = None) -> Decoded | Refused:
        self.commands.write(encode(Decode(str(path), str(path), str(into), video or VideoLimits())))
        answer = self.read()
        assert answer.request == str(path)
        return answer

    def decoded(self, path: Path, into: Path) -> Decoded:
        answer = self.ask(path, into)
        assert isinstance(answer, Decoded), answer
        return answer

    def refusal(self, path: Path | str, into: Path) -> str:
        answer = self.ask(path, into)
        assert isinstance(answer, Refused), answer
        assert "\n" not in answer.message
        assert answer.message.endswith(".")
        return answer.message


@pytest.fixture(scope="module")
def decoder() -> Iterator[RunningDecoder]:
    running = RunningDecoder()
    yield running
    running.commands.close()
    assert running.process.wait(10) == 0
    assert running.process.stdout is not None
    running.process.stdout.close()


def test_a_picture(decoder: RunningDecoder, tmp_path: Path) -> None:
    source = tmp_path / "red circle.png"
    corpus.shape("circle", "red", (300, 200)).save(source)
    into = tmp_path / "new" / "folder"
    answer = decoder.decoded(source, into)
    media = answer.media
    assert (media.kind, media.name, media.width, media.height, media.frames) == ("image", source.name, 300, 200, 1)
    assert media.digest == hashlib.sha256(source.read_bytes()).hexdigest()
    assert Path(media.pixels) == into / f"{media.digest}.rgb"
    assert Path(media.pixels).read_bytes() == Image.open(source).tobytes()
    (preview,) = answer.previews
    assert (preview.width, preview.height) == (160, 107)
    small = Image.frombytes("RGB", (160, 107), Path(preview.pixels).read_bytes())
    assert small.getpixel((80, 53)) == (255, 0, 0)


def test_a_video(decoder: RunningDecoder, tmp_path: Path) -> None:
    source = corpus.save_clip(tmp_path / "clip.mp4", corpus.moving_square("left", 90), 30)
    answer = decoder.decoded(source, tmp_path / "into")
    media = answer.media
    assert (media.kind, media.frames, media.source_frames, media.source_fps) == ("video", 6, 90, 30.0)
    assert media.frame_indices == (0, 18, 36, 53, 71, 89)
    assert media.duration == 3.0
    assert Path(media.pixels).stat().st_size == 6 * 192 * 192 * 3
    assert [preview.second for preview in answer.previews] == [index / 30 for index in media.frame_indices]
    assert all(Path(p.pixels).stat().st_size == p.width * p.height * 3 for p in answer.previews)


def test_the_same_content_is_decoded_once(decoder: RunningDecoder, tmp_path: Path) -> None:
    source = tmp_path / "one.png"
    corpus.shape().save(source)
    first = decoder.decoded(source, tmp_path / "into")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "into").iterdir()}
    again = decoder.decoded(source.rename(tmp_path / "two.png"), tmp_path / "into")
    assert again.media.name == "two.png"
    assert again.media.pixels == first.media.pixels
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "into").iterdir()} == before


@pytest.mark.parametrize(
    "name", ["zażółć 🎈.png", "two\nlines.png", "100%03d.png", "http:x.png", "-rf.png", "no suffix"]
)
def test_any_name(decoder: RunningDecoder, tmp_path: Path, name: str) -> None:
    picture = tmp_path / name
    corpus.shape(size=(40, 40)).save(picture, "PNG")
    assert decoder.decoded(picture, tmp_path / "into").media.name == name
    clip = corpus.save_clip(tmp_path / "plain.mp4", corpus.numbered(8)).rename(tmp_path / f"{name}.avi")
    assert decoder.decoded(clip, tmp_path / "into").media.kind == "video"


def test_what_people_attach_by_mistake(decoder: RunningDecoder, tmp_path: Path) -> None:
    into = tmp_path / "into"
    (tmp_path / "notes.png").write_text("Dear diary, this is no picture at all.")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:10,\nclip.mp4\n")
    corpus.shape(size=(400, 400)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    (tmp_path / "bomb.png").write_bytes(corpus.png_that_claims(50_000, 50_000))
    (tmp_path / "none.webm").write_bytes(b"\x1a\x45\xdf\xa3\x9fB\x82\x84webm" + bytes(100))
    expected = {
        "notes.png": "is not a PNG",
        "empty.jpg": "is empty",
        "list.mp4": "is not a PNG",
        "cut.jpg": "damaged",
        "bomb.png": "megapixels",
        "none.webm": "no frame",
        "missing.png": "not there",
        "whole.jpg/x.png": "could not be read",
        "nul\0.png": "could not be read",
        ".": "is a folder",
    }
    for name, words in expected.items():
        assert words in decoder.refusal(f"{tmp_path}/{name}", into), name
    assert not list(into.glob("*")) if into.exists() else True


if sys.platform != "win32":

    def test_a_named_pipe_does_not_block(decoder: RunningDecoder, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.png")
        assert "not a file" in decoder.refusal(tmp_path / "pipe.png", tmp_path / "into")


def test_a_folder_that_cannot_be_written(decoder: RunningDecoder, tmp_path: Path) -> None:
    corpus.shape().save(tmp_path / "a.png")
    (tmp_path / "file").touch()
    assert "could not be kept" in decoder.refusal(tmp_path / "a.png", tmp_path / "file")


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "secret.png"
    source.write_bytes(b"x")

    def denied(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)  # the test may run as root, who may read everything
    with pytest.raises(UnusableFileError, match="permissions"):
        job_module.decode_file(Decode("r", str(source), str(tmp_path)))


def test_nonsense_on_stdin_is_passed_over(decoder: RunningDecoder, tmp_path: Path) -> None:
    corpus.shape().save(tmp_path / "a.png")
    decoder.commands.write(b'not json\n{"type":"Decode"}\n{"type":"Unload"}\n')
    decoder.decoded(tmp_path / "a.png", tmp_path / "into")


def test_a_picture_does_not_wait_for_a_film(decoder: RunningDecoder, tmp_path: Path) -> None:
    film = corpus.save_clip(tmp_path / "film.mp4", corpus.moving_square(frames=900, size=(320, 240)))
    corpus.shape().save(tmp_path / "a.png")
    for path in (film, tmp_path / "a.png"):
        decoder.commands.write(encode(Decode(path.name, str(path), str(tmp_path / "into"))))
    answers = [decoder.read(), decoder.read()]
    assert {answer.request for answer in answers} == {"film.mp4", "a.png"}
    assert all(isinstance(answer, Decoded) for answer in answers)


def test_closing_stdin_ends_running_jobs(tmp_path: Path) -> None:
    running = RunningDecoder()
    film = corpus.save_clip(tmp_path / "film.mp4", corpus.moving_square(frames=300, size=(640, 480)))
    running.commands.write(encode(Decode("film", str(film), str(tmp_path / "into"))))
    out, _ = running.process.communicate(timeout=10)
    assert (running.process.returncode, out) == (0, b"")
    assert not list((tmp_path / "into").glob("*.json"))


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        yield reader, writer


@pytest.mark.parametrize(
    ("child", "words"),
    [
        ("import os; os.abort()", "made the decoder stop"),
        ('print(\'{"type":"Hello","version":"","pid":1}\')', "made the decoder stop"),
        ("import sys; sys.stdin.read()", "took longer"),
    ],
)
def test_a_child_that_fails_is_answered_for(
    pipe: tuple[BinaryIO, BinaryIO], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: str, words: str
) -> None:
    monkeypatch.setattr(program, "job_command", lambda: [sys.executable, "-c", child])
    decoder = program.Decoder(pipe[1], wall_seconds=0.5)
    decoder.submit(Decode("r", "clip.mp4", str(tmp_path)))
    answer = decode(pipe[0].readline())
    decoder.close()
    assert isinstance(answer, Refused)
    assert words in answer.message


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_what_the_programs_import() -> None:
    report = "import sys, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    parent = set(json.loads(run_python(f"import app.media.__main__, app.media.program; {report}")))
    child = set(json.loads(run_python(f"import app.media.job, app.media.pictures, app.media.videos; {report}")))
    assert not parent & {"torch", "PySide6", "transformers", "PIL", "cv2", "numpy"}
    assert not child & {"torch", "PySide6", "transformers"}
    assert {"PIL", "cv2"} <= child


def test_stdout_belongs_to_messages() -> None:
    code = (
        "import os; from app.media.__main__ import _claimed_stdout as claim; answers = claim();"
        "print('noise', flush=True); os.write(1, b'noise'); answers.write(b'message'); answers.flush()"
    )
    assert run_python(code) == "message"


if sys.platform == "linux":

    def test_memory_is_limited() -> None:
        code = (
            "from app.media.limits import confine; confine()\n"
            "try: bytearray(5 << 30)\n"
            "except MemoryError: print('held')"
        )
        assert run_python(code) == "held\n"
