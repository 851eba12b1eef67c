"""What the person reads about Parley and about what it is made of."""

from pathlib import Path

from PySide6.QtWidgets import QApplication

from app import __version__
from app.ui.about import IN_A_CHECKOUT, AboutDialog
from app.ui.main_window import MainWindow
from tests.ui.test_unloading import action


def test_the_menu_says_the_version_and_shows_the_licences(window: MainWindow) -> None:
    action(window, "About Parley…").trigger()
    (about,) = window.findChildren(AboutDialog)
    assert __version__ in about.title.text()
    assert about.notices.toPlainText() == IN_A_CHECKOUT
    about.close()
    window.resize(500, 480)
    action(window, "About Parley…").trigger()
    about = window.findChildren(AboutDialog)[-1]
    assert about.width() <= 500
    assert about.height() <= 480
    about.close()


def test_an_installed_one_shows_what_was_shipped_with_it_as_it_is(app: QApplication, tmp_path: Path) -> None:
    file = tmp_path / "licences.txt"
    file.write_text("numpy 2.4.6: BSD-3-Clause\n<b>no markup</b>", encoding="utf-8")
    assert AboutDialog(notices=file).notices.toPlainText() == file.read_text(encoding="utf-8")
