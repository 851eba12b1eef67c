"""What is shipped: whose it is, the notices and the bill of materials made of that, and what a release checks."""

from pathlib import Path

import licences
import needs
import numpy
import pytest
import release
import sbom
import shipped
from shipped import Component

CHECKOUT = Path(__file__).resolve().parents[2]
NUMPY = Component("numpy", "2.4.6", "pypi", "BSD-3-Clause AND MIT", (("LICENSE", "numpy's text"),))
LIBC = Component("libfoo++1", "1:2.0~a+b", "deb", "as its copyright file says", (("copyright", "foo's text"),))


@pytest.fixture
def _loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "LOADER", "numpy")  # PyInstaller is only where one freezes


@pytest.mark.usefixtures("_loader")
def test_a_file_of_a_package_brings_the_text_of_its_licence() -> None:
    works = shipped.components([Path(numpy.__file__), CHECKOUT / "LICENSE"], CHECKOUT)
    assert [work.name for work in works] == ["numpy", "python"]
    assert works[0].version == numpy.__version__
    assert any("NumPy" in text for _, text in works[0].texts)


@pytest.mark.usefixtures("_loader")
def test_what_belongs_to_nobody_does_not_go_in(tmp_path: Path) -> None:
    stranger = tmp_path / "libstranger.so"
    stranger.touch()
    with pytest.raises(shipped.UnknownOriginError, match="libstranger"):
        shipped.components([stranger], CHECKOUT)


def test_the_notices_name_everything_and_say_each_text_once() -> None:
    twin = Component("twin", "1", "pypi", "MIT", (("LICENSE", "numpy's text"),))
    text = licences.notices([NUMPY, LIBC, twin], [("LICENSE", "our own text")])
    for words in ("numpy 2.4.6 (Python package): BSD-3-Clause AND MIT", "libfoo++1", "our own text", "foo's text"):
        assert words in text
    assert text.count("numpy's text") == 1
    assert "twin: LICENSE is the same text as numpy: LICENSE" in text


def test_the_bill_of_materials_is_the_same_for_the_same_shipment() -> None:
    when = "2026-11-24T00:00:00+00:00"
    bill = sbom.document([NUMPY, LIBC], "parley-cpu", "0.1.0", when)
    assert bill == sbom.document([NUMPY, LIBC], "parley-cpu", "0.1.0", when)
    assert [entry["purl"] for entry in bill["components"]] == [
        "pkg:pypi/numpy@2.4.6",
        "pkg:deb/debian/libfoo%2B%2B1@1%3A2.0~a%2Bb",
    ]
    assert [entry["licenses"] for entry in bill["components"]] == [
        [{"expression": "BSD-3-Clause AND MIT"}],
        [{"license": {"name": "as its copyright file says"}}],
    ]
    assert bill["serialNumber"] != sbom.document([NUMPY], "parley-cpu", "0.1.0", when)["serialNumber"]


def test_a_release_is_of_one_version_that_the_changelog_and_the_pins_know() -> None:
    bill = sbom.document([NUMPY], "parley-cpu", "0.1.0", "")
    changelog, pins = "## 0.1.0 (2026-12-01)\n", "numpy==2.4.6\n"
    assert release.complaints(bill, ["parley_0.1.0_amd64.deb"], changelog, pins) == []
    for packages, log, pinned, word in (
        (["parley_0.1.1_amd64.deb"], changelog, pins, "not of version"),
        ([], "## 0.1.0 (unreleased)\n", pins, "dated section"),
        ([], changelog, "numpy==2.4.5\n", "pins say 2.4.5"),
        ([], changelog, "", "pins say nothing"),
    ):
        (sentence,) = release.complaints(bill, packages, log, pinned)
        assert word in sentence


def test_a_library_that_is_too_new_or_missing_is_named() -> None:
    file = Path("libnew.so")
    fine = needs.Needs({"GLIBC": {file: needs.FLOORS["GLIBC"]}, "GLIBCXX": {}}, {"libEGL.so.1": [file]})
    assert needs.complaints(fine) == []
    told = needs.complaints(needs.Needs({"GLIBC": {file: (2, 99)}, "GLIBCXX": {}}, {"libodd.so.1": [file]}))
    assert ["2.99" in told[0], "libodd.so.1" in told[1]] == [True, True]


def test_what_a_real_library_asks_for_is_read(tmp_path: Path) -> None:
    library = next(Path(numpy.__file__).parent.glob("_core/_multiarray_umath*.so"))
    (tmp_path / library.name).symlink_to(library)
    (tmp_path / "copy.so").write_bytes(library.read_bytes())
    found = needs.needs(tmp_path)
    assert Path("copy.so") in found.versions["GLIBC"]
    assert list(found.versions["GLIBC"]) == [Path("copy.so")]  # a link is no second file
    assert "libc.so.6" not in found.missing
