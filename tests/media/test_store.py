"""Files of pixels: whole or not at all, and found again only when everything is there."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.media import store
from app.media.refusal import UnusableFileError
from app.protocol import Decode, Decoded, Media, Thumbnail


@pytest.fixture
def answered(tmp_path: Path) -> tuple[Path, Decoded]:
    pixels, preview, answer = tmp_path / "d.rgb", tmp_path / "d-0.rgb", tmp_path / "d.json"
    pixels.write_bytes(bytes(4 * 2 * 3))
    preview.write_bytes(bytes(2 * 1 * 3))
    media = Media("image", "first.png", "d", str(pixels), 4, 2)
    decoded = Decoded("one", media, (Thumbnail(str(preview), 2, 1),))
    store.remember(answer, decoded)
    return answer, decoded


def test_recalls_under_the_new_request_and_name(answered: tuple[Path, Decoded]) -> None:
    answer, decoded = answered
    again = store.recall(answer, Decode("two", "/elsewhere/second.png", ""))
    assert again == replace(decoded, request="two", media=replace(decoded.media, name="second.png"))


@pytest.mark.parametrize("missing", ["d.rgb", "d-0.rgb", "d.json"])
def test_a_missing_or_short_file_is_not_recalled(answered: tuple[Path, Decoded], missing: str) -> None:
    answer, _ = answered
    file = answer.with_name(missing)
    file.write_bytes(file.read_bytes()[:-4])
    assert store.recall(answer, Decode("two", "x.png", "")) is None
    file.unlink()
    assert store.recall(answer, Decode("two", "x.png", "")) is None


def test_pixels_elsewhere_are_not_recalled(answered: tuple[Path, Decoded], tmp_path: Path) -> None:
    answer, _ = answered
    (tmp_path / "moved").mkdir()
    moved = answer.rename(tmp_path / "moved" / answer.name)
    assert store.recall(moved, Decode("two", "x.png", "")) is None


def test_writing_is_whole_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "pixels.rgb"
    with pytest.raises(TypeError), store.writing(target) as file:
        file.write("not bytes")  # type: ignore[call-overload]
    assert not list(tmp_path.iterdir())
    with store.writing(target) as file:
        file.write(b"whole")
        assert not target.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["pixels.rgb"]


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="free some"):
        store.check_space(tmp_path, 2**60)
