"""A download, from a hub that does everything right and from one that does everything wrong."""

import errno
import hashlib
import json
import os
import shutil
import time
from email.utils import formatdate
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from app.download import fetch, part
from app.download.control import Control
from app.download.errors import CancelledError, DownloadError
from app.download.manifest import read_manifest
from app.download.names import MANIFEST
from app.protocol import Downloading
from tests.download.conftest import Bring
from tests.download.hub import COMMIT, REPOSITORY, Fault, Hub, contents

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ONE, TWO = "model-1-of-2.safetensors", "model-2-of-2.safetensors"
TAKEN = {"config.json", "generation_config.json", "tokenizer.json", "README.md", ONE, TWO}


def whole(hub: Hub, folder: Path) -> None:
    """The folder holds what the hub has, the manifest, and nothing else."""
    assert contents(folder) == TAKEN | {MANIFEST}
    assert all((folder / name).read_bytes() == hub.files[name] for name in TAKEN)


def refusal(bring: Bring, **options: object) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        bring(**options)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "Traceback" not in sentence
    return caught.value


def test_a_model_arrives_whole_with_a_record_of_it(
    hub: Hub, bring: Bring, folder: Path, said: list[Downloading]
) -> None:
    manifest = bring()
    whole(hub, folder)
    assert (manifest.repository, manifest.commit) == (REPOSITORY, COMMIT)
    assert {entry.name: entry.sha256 for entry in manifest.files} == {
        name: hashlib.sha256(hub.files[name]).hexdigest() for name in TAKEN
    }
    assert read_manifest(folder) == manifest
    assert (said[-1].done, said[0].stage) == (said[-1].total, "listing")
    assert said[-1].total == manifest.size
    names = [name for name, _ in hub.asked]
    assert (names[0], names[-2:]) == ("config.json", [ONE, TWO])


def test_what_is_there_is_not_fetched_again(hub: Hub, bring: Bring, folder: Path) -> None:
    bring()
    asked = len(hub.headers)
    assert bring().size > 0
    assert len(hub.headers) == asked
    (folder / ONE).write_bytes(b"damaged")
    (folder / TWO).unlink()
    bring()
    whole(hub, folder)
    assert hub.fetched("config.json") == [0]
    assert hub.fetched(ONE) == hub.fetched(TWO) == [0, 0]


def test_a_file_that_was_put_there_right_is_taken_as_it_is(hub: Hub, bring: Bring, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ONE).write_bytes(hub.files[ONE])
    (folder / ".hidden").write_text("of nobody's concern")
    bring()
    assert hub.fetched(ONE) == []
    (folder / ".hidden").unlink()
    whole(hub, folder)


@pytest.mark.parametrize("name", ["letter.txt", "config.json", "sub/run.py"])
def test_files_of_somebody_else_are_left_alone(hub: Hub, bring: Bring, folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    assert name in str(refusal(bring))
    assert contents(folder) == {name}
    assert (folder / name).read_text() == "mine"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(after=1_000_000),
        Fault(after=0),
        Fault(after=1_000_000, hang=True),
        Fault(status=500),
        Fault(status=503, headers={"Retry-After": "0"}),
        Fault(status=403),
        Fault(status=429, headers={"Retry-After": formatdate(0)}),
    ],
    ids=["dropped", "dropped at once", "silent", "500", "503", "leave ran out", "429 with a date"],
)
def test_trouble_that_passes_costs_nothing_that_has_arrived(
    hub: Hub, bring: Bring, folder: Path, said: list[Downloading], fault: Fault
) -> None:
    hub.fail(ONE, fault, fault)
    bring()
    whole(hub, folder)
    before = 1_000_000 if fault.after else 0
    assert hub.fetched(ONE) == [0, before, 2 * before]
    assert hub.sent[ONE] == len(hub.files[ONE])
    waits = [state.note for state in said if state.stage == "waiting"]
    assert waits
    assert all(note.startswith("Trying again in ") for note in waits)


def test_a_stall_is_called_a_stall(hub: Hub, bring: Bring, said: list[Downloading]) -> None:
    hub.fail(ONE, Fault(after=100_000, hang=True))
    bring()
    stalled = [state for state in said if state.stage == "stalled"]
    assert stalled[0].note.startswith("Nothing has come for ")
    assert stalled[0].file == ONE


def test_a_server_that_ignores_ranges_is_read_past_what_is_there(hub: Hub, bring: Bring, folder: Path) -> None:
    hub.fail(ONE, Fault(after=2_000_000), Fault(whole=True))
    bring()
    whole(hub, folder)


def test_a_wait_that_is_asked_for_is_granted(hub: Hub, bring: Bring, said: list[Downloading]) -> None:
    hub.fail("listing", Fault(status=429, headers={"RateLimit": '"api";r=0;t=1'}))
    bring()
    assert any(state.note == "Trying again in 1 s: 127.0.0.1 is busy or out of order (429)." for state in said)


def test_trouble_that_does_not_pass_ends_in_a_sentence_and_goes_on_another_day(
    hub: Hub, bring: Bring, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "STEP", 2**20)
    hub.fail(ONE, Fault(after=2_500_000), *[Fault(status=502)] * 4)
    error = refusal(bring)
    assert error.kind == "network"
    assert "out of order (502), 3 times in a row" in str(error)
    assert ONE + ".part" in contents(folder)
    hub.faults.clear()
    bring()
    whole(hub, folder)
    assert hub.fetched(ONE)[-1] == 2 * 2**20


@pytest.mark.parametrize(
    "case",
    [
        (Fault(status=404), "repository", "check the name"),
        (Fault(status=401), "repository", "HF_TOKEN"),
        (Fault(status=418), "network", "(418)"),
        (Fault(status=429, headers={"Retry-After": "7200"}), "network", "120 minutes"),
        (Fault(status=429, headers={"Retry-After": formatdate(time.time() + 7200)}), "network", "asks Parley to come"),
        (Fault(status=302, headers={"Location": "file:///etc/passwd"}), "network", "does not follow"),
        (Fault(status=200, body=b"<html>Please log in</html>"), "network", "wants a login"),
        (Fault(status=200, body=b"[" * 100_000), "network", "wants a login"),
        (Fault(status=200, body=b'{"sha": 1, "siblings": []}'), "repository", "lacks config.json"),
    ],
)
def test_each_final_refusal_is_one_sentence_and_leaves_nothing(
    hub: Hub, bring: Bring, tmp_path: Path, case: tuple[Fault, str, str]
) -> None:
    fault, kind, words = case
    hub.fail("listing", fault)
    error = refusal(bring)
    assert (error.kind, words in str(error)) == (kind, True), str(error)
    assert list(tmp_path.iterdir()) == []


def test_a_hub_that_is_not_there(hub: Hub, bring: Bring) -> None:
    hub.close()
    error = refusal(bring)
    assert "could not be fetched from 127.0.0.1: connection refused, 3 times in a row" in str(error)


@pytest.mark.parametrize(
    "repository", ["nobody/nothing", "x", "../../etc/passwd", "a/b/c", "a/..", "", "a/b?x", "a /b"]
)
def test_a_repository_that_is_none(bring: Bring, repository: str, tmp_path: Path) -> None:
    assert refusal(bring, repository=repository).kind == "repository"
    assert list(tmp_path.iterdir()) == []


def test_an_address_may_be_pasted(hub: Hub, bring: Bring, folder: Path) -> None:
    bring(repository=f"{hub.address}/{REPOSITORY}/")
    whole(hub, folder)


@pytest.mark.parametrize(
    "name", ["../config.json", "a/../../b.json", "/etc/x.json", "a\\b.json", "C:x.json", "a//b.json", "x\n.json", "."]
)
def test_a_listing_that_tries_a_trick_is_refused_whole(hub: Hub, bring: Bring, tmp_path: Path, name: str) -> None:
    hub.files[name] = b"{}"
    error = refusal(bring)
    assert "unsafe name" in str(error)
    assert (hub.asked, list(tmp_path.iterdir())) == ([], [])


def test_what_could_be_code_or_is_not_needed_is_not_taken(hub: Hub, bring: Bring, folder: Path) -> None:
    for name in (
        "modeling.py",
        "pytorch_model.bin",
        "data.pkl",
        "picture.png",
        "con.json",
        "x.json.",
        ".x.json",
        MANIFEST,
    ):
        hub.files[name] = b"x"
    bring()
    whole(hub, folder)
    assert {name for name, _ in hub.asked} == TAKEN


def test_an_empty_file_arrives_too(hub: Hub, bring: Bring, folder: Path) -> None:
    hub.files["notes/empty.txt"] = b""
    bring()
    assert (folder / "notes" / "empty.txt").read_bytes() == b""


def test_two_spellings_of_one_name_are_refused(hub: Hub, bring: Bring) -> None:
    hub.files["Config.json"] = b"{}"
    assert "twice" in str(refusal(bring))


@pytest.mark.parametrize("change", [{"size": -1}, {"size": "1"}, {"size": 2**60}, {"blobId": "../x"}, {"blobId": None}])
def test_a_listing_with_impossible_figures_is_refused(hub: Hub, bring: Bring, change: dict[str, object]) -> None:
    listing = hub.plain_listing()
    listing["siblings"][0].update(change)
    hub.listing = listing
    assert refusal(bring).kind == "network"


def test_another_architecture_is_refused_before_the_large_files(hub: Hub, bring: Bring, tmp_path: Path) -> None:
    hub.files["config.json"] = b'{"architectures": ["LlamaForCausalLM"]}'
    error = refusal(bring)
    assert "LlamaForCausalLM" in str(error)
    assert hub.fetched(ONE) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [ONE, "tokenizer.json"])
def test_wrong_content_is_fetched_once_more_and_then_refused(hub: Hub, bring: Bring, folder: Path, name: str) -> None:
    hub.fail(name, Fault(flip=True))
    bring()
    whole(hub, folder)
    shutil.rmtree(folder)
    hub.fail(name, Fault(flip=True), Fault(flip=True))
    error = refusal(bring)
    assert (error.kind, name in str(error)) == ("network", True)
    assert not any(name in left for left in contents(folder))


def test_an_earlier_part_that_is_wrong_is_noticed(
    hub: Hub, bring: Bring, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "STEP", 2**20)
    bring()
    (folder / ONE).unlink()
    (folder / (ONE + ".part")).write_bytes(b"\0" * (2 * 2**20 + 5))
    bring()
    whole(hub, folder)
    assert hub.fetched(ONE) == [0, 2 * 2**20, 0]


def test_too_little_room_is_said_before_anything_is_fetched(
    hub: Hub, bring: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "ROOM", 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30 + 10**6))
    error = refusal(bring)
    assert (error.kind, "make room" in str(error)) == ("disk", True)
    assert (hub.asked, list(tmp_path.iterdir())) == ([], [])


def test_a_disk_that_fills_up_keeps_what_it_has(
    hub: Hub, bring: Bring, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "STEP", 2**20)
    room = [5 * 2**20]

    class FullDisk(FileIO):
        def write(self, piece: "ReadableBuffer", /) -> int:
            view = memoryview(piece)[: room[0]]
            if not view:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            room[0] -= len(view)
            return super().write(view) or 0

    with monkeypatch.context() as full:
        full.setattr(part, "FileIO", FullDisk)
        error = refusal(bring)
    assert (error.kind, "is full" in str(error)) == ("disk", True)
    bring()
    whole(hub, folder)
    assert hub.fetched(ONE) == [0]
    assert hub.fetched(TWO)[0] == 0
    assert 0 < hub.fetched(TWO)[1] <= 5 * 2**20 - len(hub.files[ONE])


def test_a_link_in_the_place_of_a_part_is_not_written_through(
    hub: Hub, bring: Bring, folder: Path, tmp_path: Path
) -> None:
    bring()
    (folder / ONE).unlink()
    (tmp_path / "precious").write_text("mine")
    (folder / (ONE + ".part")).symlink_to(tmp_path / "precious")
    assert refusal(bring).kind == "disk"
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_folder_belongs_to_one_commit_of_one_repository(hub: Hub, bring: Bring, folder: Path) -> None:
    bring()
    bring(revision="main")
    plain = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(plain | {"commit": "a" * 40}))
    assert "choose another folder" in str(refusal(bring, revision="main"))
    (folder / MANIFEST).write_text(json.dumps(plain | {"repository": "some/other"}))
    assert "holds some/other at c0ffee00" in str(refusal(bring))


@pytest.mark.parametrize("change", [{"commit": "../x"}, {"files": []}, {"version": 2}, {"more": 1}])
def test_a_manifest_that_is_not_ours_is_not_followed(
    hub: Hub, bring: Bring, folder: Path, change: dict[str, object]
) -> None:
    bring()
    plain = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(plain | change))
    assert refusal(bring).kind == "folder"
    plain["files"][0]["name"] = "../../escape.json"
    (folder / MANIFEST).write_text(json.dumps(plain))
    assert "remove that file and download again" in str(refusal(bring))
    (folder / MANIFEST).unlink()
    (folder / ONE).rename(folder / (ONE + ".part"))
    bring()
    whole(hub, folder)


def test_two_downloads_do_not_share_a_folder(hub: Hub, bring: Bring, folder: Path) -> None:
    refusals: list[str] = []

    def try_as_well(state: Downloading) -> None:
        if state.file == TWO and not refusals:
            refusals.append(str(refusal(bring, heard=lambda state: None)))

    bring(heard=try_as_well)
    assert "Another program is downloading" in refusals[0]
    whole(hub, folder)


def test_a_pause_lets_go_of_the_line_and_costs_nothing(hub: Hub, bring: Bring, folder: Path) -> None:
    control = Control()
    hub.fail(ONE, Fault(after=2_000_000, hang=True))
    stages: list[str] = []

    def pause_when_silent(state: Downloading) -> None:
        stages.append(state.stage)
        if state.stage == "stalled":
            control.pause(paused=True)
        if state.stage == "paused":
            control.pause(paused=False)

    bring(control=control, heard=pause_when_silent)
    whole(hub, folder)
    assert "paused" in stages
    assert hub.fetched(ONE) == [0, 2_000_000]


@pytest.mark.parametrize("discard", [False, True])
def test_cancelling_keeps_what_has_arrived_or_takes_it_away(
    hub: Hub, bring: Bring, folder: Path, tmp_path: Path, discard: bool
) -> None:
    control = Control()

    def cancel_late(state: Downloading) -> None:
        if state.file == TWO:
            control.cancel(discard=discard)

    with pytest.raises(CancelledError):
        bring(control=control, heard=cancel_late)
    if discard:
        assert list(tmp_path.iterdir()) == []
        return
    assert ONE in contents(folder)
    bring()
    whole(hub, folder)
    assert hub.fetched(ONE) == [0]


def test_discarding_leaves_what_was_there_before(hub: Hub, bring: Bring, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ONE).write_bytes(hub.files[ONE])
    control = Control()

    def cancel_late(state: Downloading) -> None:
        if state.file == TWO:
            control.cancel(discard=True)

    with pytest.raises(CancelledError):
        bring(control=control, heard=cancel_late)
    assert contents(folder) == {ONE}
