"""What is said of a computer follows from its figures, and the figures of the recommended model from its shapes."""

from dataclasses import replace

import pytest

from app.models import recommended
from app.models.catalogue import kept_name
from app.models.fit import context_that_fits, short_disk, verdict
from app.models.recommended import NAME, REPOSITORY, SIZES, name_of
from app.plan import make_plan
from app.protocol import Surveyed

GIB = 2**30
FOUND = Surveyed(
    request="",
    folder="/models",
    gpu="RTX 4090",
    driver="580.95",
    driverless=False,
    cuda=13_000,
    capability=89,
    gpu_total=24 * GIB,
    gpu_free=22 * GIB,
    memory_total=64 * GIB,
    memory_free=50 * GIB,
    disk_free=400 * 10**9,
)


def said(found: Surveyed, own: int = 0) -> tuple[str, str]:
    judged = verdict(found, NAME, SIZES, own)
    return judged.outcome, judged.sentence


def test_what_fits_is_said_with_its_context() -> None:
    planned = make_plan(SIZES, 22 * GIB, None).context
    assert said(FOUND) == ("fits", f"{NAME} fits, with about {planned // 1000}K tokens of context.")
    assert context_that_fits(FOUND, SIZES) == planned
    assert context_that_fits(FOUND, SIZES, own=GIB) > planned, "what the loaded model has is given back"
    assert "answers slowly" in said(replace(FOUND, capability=75))[1]


def test_a_gpu_that_others_use_is_told_from_one_that_is_too_small() -> None:
    outcome, sentence = said(replace(FOUND, gpu_free=10 * GIB))
    assert (outcome, "close other programs" in sentence) == ("tight", True)
    assert said(replace(FOUND, gpu_free=10 * GIB), own=12 * GIB)[0] == "fits"
    outcome, sentence = said(replace(FOUND, gpu_total=12 * GIB, gpu_free=12 * GIB))
    assert (outcome, "needs a GPU with at least 18 GiB, and this one has 12" in sentence) == ("small", True)


@pytest.mark.parametrize(
    ("changed", "outcome", "words"),
    [
        ({"gpu": "", "cuda": 0}, "none", "only the demo model runs here"),
        ({"gpu": "", "driverless": True}, "driver", "its driver is missing"),
        ({"cuda": 12_080, "driver": "550.1"}, "driver", "driver (550.1) is too old"),
    ],
)
def test_what_keeps_it_from_running_is_named(changed: dict[str, object], outcome: str, words: str) -> None:
    found = replace(FOUND, **changed)  # type: ignore[arg-type]  # as the table has it
    judged = verdict(found, NAME, SIZES)
    assert (judged.outcome, judged.runs) == (outcome, False)
    assert words in judged.sentence
    assert context_that_fits(found, SIZES) == 0


def test_a_disk_without_room_is_said_before_anything_is_fetched() -> None:
    assert short_disk(FOUND, recommended.DOWNLOAD) == ""
    assert "has 9.0 GB free, and 20.4 GB have to come" in short_disk(
        replace(FOUND, disk_free=9 * 10**9), recommended.DOWNLOAD
    )
    assert short_disk(replace(FOUND, disk_free=0), recommended.DOWNLOAD) == "", "nothing is known of it"


def test_models_are_called_by_their_repository_or_folder() -> None:
    from pathlib import Path

    assert name_of(REPOSITORY) == name_of(f"https://hub.example/{REPOSITORY}/") == NAME
    assert kept_name(Path("/m/mine")) == "mine"
    assert kept_name(Path("/m/mine"), "somebody/Tiny") == "Tiny"
