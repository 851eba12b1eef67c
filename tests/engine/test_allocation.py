"""How memory is taken from a GPU is settled before torch is imported, unless the person has settled it."""

import os
import sys

import pytest

import app.bench.__main__ as bench
import app.engine.__main__ as engine
from app.bench import program
from app.engine import inspection
from app.engine.allocation import let_segments_grow

GROWING = {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}


def test_what_the_person_settled_stands() -> None:
    mine: dict[str, str] = {}
    let_segments_grow(mine, "linux")
    assert mine == GROWING
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        theirs = {name: "max_split_size_mb:64"}
        let_segments_grow(theirs, "linux")
        assert theirs == {name: "max_split_size_mb:64"}
    nowhere: dict[str, str] = {}
    let_segments_grow(nowhere, "win32")  # torch has none there, and would say so
    assert nowhere == {}


@pytest.mark.skipif(sys.platform != "linux", reason="there are no growing segments here")
def test_both_programs_settle_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def look(_order: str) -> int:
        seen.append(os.environ.get("PYTORCH_ALLOC_CONF"))
        return 0

    monkeypatch.setattr(inspection, "serve", look)
    monkeypatch.setattr(program, "measure", look)
    monkeypatch.setattr(sys, "argv", ["engine", "inspect", "{}"])
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit):
        engine.main()
    monkeypatch.delenv("PYTORCH_ALLOC_CONF")
    bench.main(["{}"])
    assert seen == ["expandable_segments:True"] * 2
