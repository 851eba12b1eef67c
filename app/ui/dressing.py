"""What all of the program is drawn in: theme, fonts, motion; taken from the settings and put on, also while it runs.

Knows the settings of the look and Qt's application. Does not know any widget of Parley's: those that paint for
themselves are told by whoever has them.
"""

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication, QWidget

from app.settings import Settings
from app.ui import theme as look

NOMINAL = "nominal font size"
EFFECTS = (
    Qt.UIEffect.UI_General,
    Qt.UIEffect.UI_AnimateMenu,
    Qt.UIEffect.UI_FadeMenu,
    Qt.UIEffect.UI_AnimateCombo,
    Qt.UIEffect.UI_AnimateTooltip,
    Qt.UIEffect.UI_FadeTooltip,
    Qt.UIEffect.UI_AnimateToolBox,
)


class Dressing:
    """Puts the look on an application."""

    def __init__(self, app: QApplication, settings: Settings) -> None:
        self._app = app
        self._flash = app.cursorFlashTime()
        self._moving = [effect for effect in EFFECTS if app.isEffectEnabled(effect)]
        look.set_type(settings.font, settings.font_size)
        self.theme = look.chosen(settings.theme, app.styleHints().colorScheme())
        self._put_on(settings)

    def follow(self, settings: Settings) -> bool:
        """Take over what was chosen, here or in the system; whether widgets have to be drawn anew."""
        theme = look.chosen(settings.theme, self._app.styleHints().colorScheme())
        before = look.scaled(1000) / 1000
        other_type = look.set_type(settings.font, settings.font_size)
        self._move(settings)
        if theme is self.theme and not other_type:
            return False
        self.theme = theme
        self._put_on(settings)
        if other_type:
            for widget in self._app.allWidgets():
                _redress(widget, before)
        return True

    def _put_on(self, settings: Settings) -> None:
        self._app.setFont(look.text_font())
        self._app.setPalette(look.palette(self.theme))
        self._app.setStyleSheet(look.stylesheet(self.theme))
        self._move(settings)

    def _move(self, settings: Settings) -> None:
        """Let things move, or not."""
        for effect in self._moving:
            self._app.setEffectEnabled(effect, not settings.reduced_motion)
        self._app.setCursorFlashTime(0 if settings.reduced_motion else self._flash)


def _redress(widget: QWidget, before: float) -> None:
    """Give a widget, that has a font of its own, the same in the new size; `before` is the scale that it has now. The
    size that it has where text has its usual size is kept with it, so that nothing adds up."""
    if not widget.testAttribute(Qt.WidgetAttribute.WA_SetFont) or widget.font().pixelSize() <= 0:
        return
    nominal = widget.property(NOMINAL)
    if nominal is None:
        nominal = widget.font().pixelSize() / before
        widget.setProperty(NOMINAL, nominal)
    font = QFont(widget.font())
    if font.family() != look.CODE_FAMILY:
        font.setFamilies(look.text_font().families())
    font.setPixelSize(max(6, look.scaled(nominal)))
    widget.setFont(font)
