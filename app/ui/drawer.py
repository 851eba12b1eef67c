"""The sidebar as a drawer over a narrow window. Knows where it belongs when there is room, not what is in it."""

from PySide6.QtCore import QEvent, QObject, Qt, Slot
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QSplitter, QWidget

WIDTH = 280
LEFT_FREE = 56


class Drawer(QObject):
    """Moves the sidebar between its place in the splitter and a layer over the window."""

    def __init__(self, sidebar: QWidget, home: QSplitter, window: QWidget) -> None:
        super().__init__(window)
        self._sidebar = sidebar
        self._home = home
        self._window = window
        self._active = False
        self.home_width = sidebar.width()
        """How wide the sidebar is in its place, as the person last dragged it."""
        home.splitterMoved.connect(self._on_home_moved)
        self._scrim = _Scrim(self, window)
        window.installEventFilter(self)

    @property
    def is_open(self) -> bool:
        """Whether the drawer covers the window."""
        return self._active and self._scrim.isVisible()

    def set_active(self, active: bool) -> None:
        """Make the sidebar a drawer, closed at first, or give it back its place."""
        if active == self._active:
            return
        self._active = active
        if active:
            self._sidebar.setParent(self._window)
            self._sidebar.hide()
        else:
            self._scrim.hide()
            self._home.insertWidget(0, self._sidebar)
            self._home.setStretchFactor(0, 0)
            self._home.setStretchFactor(1, 1)
            self._sidebar.show()

    def toggle(self) -> None:
        """Open it, or close it."""
        if self.is_open:
            self.close()
        elif self._active:
            self._scrim.show()
            self._sidebar.show()
            self._lay_out()
            self._scrim.raise_()
            self._sidebar.raise_()
            self._sidebar.setFocus()

    def close(self) -> None:
        """Close it; nothing happens where it is no drawer."""
        if self._active:
            self._scrim.hide()
            self._sidebar.hide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Follow the window's size."""
        if event.type() == QEvent.Type.Resize and self.is_open:
            self._lay_out()
        return super().eventFilter(watched, event)

    @Slot(int, int)
    def _on_home_moved(self, _position: int, _index: int) -> None:
        if not self._active:
            self.home_width = self._sidebar.width()

    def _lay_out(self) -> None:
        self._scrim.setGeometry(self._window.rect())
        width = min(WIDTH, self._window.width() - LEFT_FREE)
        self._sidebar.setGeometry(0, 0, width, self._window.height())


class _Scrim(QWidget):
    """Darkens the rest of the window; a click on it closes the drawer."""

    def __init__(self, drawer: Drawer, window: QWidget) -> None:
        super().__init__(window)
        self._drawer = drawer
        self.setObjectName("scrim")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.hide()

    def mousePressEvent(self, _event: QMouseEvent) -> None:  # noqa: N802
        self._drawer.close()
