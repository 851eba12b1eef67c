"""What of the Windows installer can be looked over anywhere: its script's files and tables, and the resources."""

import ast
import re
from pathlib import Path

import pytest
from version_resource import DESCRIPTIONS, version_resource

from app.chat.attachments import PICTURE_SUFFIXES, VIDEO_SUFFIXES

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = (CHECKOUT / "packaging" / "windows" / "parley.iss").read_text(encoding="utf-8")
DESKTOP = (CHECKOUT / "packaging" / "linux" / "parley.desktop").read_text(encoding="utf-8")


def test_the_installer_opens_what_the_window_attaches() -> None:
    assert re.findall(r'#emit Suffix\("(.+?)"\)', SCRIPT) == [*PICTURE_SUFFIXES, *VIDEO_SUFFIXES]


def test_the_files_that_the_installer_names_are_there() -> None:
    named = re.findall(r"\{#SourcePath\}\\(.+)", SCRIPT)
    assert len(named) == 2
    for place in named:
        assert (CHECKOUT / "packaging" / "windows" / place.replace("\\", "/")).is_file()


def test_the_installer_needs_no_administrator_and_keeps_data_unless_told() -> None:
    assert "PrivilegesRequired=lowest" in SCRIPT
    assert re.search(r"SuppressibleMsgBox\(.*MB_DEFBUTTON2, IDNO\)", SCRIPT)
    assert "Root: HKLM" not in SCRIPT


def test_each_program_has_a_resource_with_its_version() -> None:
    for name in DESCRIPTIONS:
        text = version_resource(name, "1.2.3rc1")
        ast.parse(text, mode="eval")
        assert "filevers=(1, 2, 3, 0)" in text
        assert f"{name}.exe" in text
    with pytest.raises(ValueError, match="three numbers"):
        version_resource("parley", "one")


def test_the_menu_entry_opens_files_as_the_installer_does() -> None:
    assert "Exec=parley open %F" in DESKTOP
    assert '"" open ""%1""' in SCRIPT
