"""The model that can be fetched, and how far it is: one card in all its states.

Knows what is offered and what is told of the download. Does not know processes; emits intents.
"""

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from app.models import recommended
from app.models.fit import Verdict
from app.ui import figures
from app.ui.card import Card, button, field, heading, words
from app.ui.elided import ElidedLabel
from app.ui.fetching import Arrival
from app.ui.flow_layout import FlowLayout
from app.ui.plain_tip import plain_tip

STEPS = 1000
OTHER = "Another model of this family…"
OFFERED = "{} to download: about {} on a line of 100 Mbit/s."
NAMED = (
    "“owner/model” on the Hugging Face Hub, or the address of its page. A model of another family is refused at once."
)


class OfferCard(Card):
    """Emits `download_requested` with a repository, and what is wanted of a download that is under way."""

    download_requested = Signal(str)
    folder_requested = Signal()
    pause_requested = Signal()
    go_on_requested = Signal()
    cancel_requested = Signal()
    load_requested = Signal(str)
    dismissed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._arrival = Arrival()
        self._asks = False
        self._named = False
        self._runs = True
        self._here = False
        self._short_disk = ""
        self._folder = ""
        self.title = heading(recommended.NAME, 15)
        self.about = words(muted=True)
        self.other = field("Repository on the Hugging Face Hub", "owner/model")
        self.other.textChanged.connect(self._on_other_changed)
        self.other.returnPressed.connect(self._on_download_clicked)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.bar.setRange(0, STEPS)
        self.figures = words(muted=True)
        self.note = words(name="remarks")
        self.place = ElidedLabel()
        self.place.setObjectName("figures")
        self.place.setFont(self.about.font())
        self.change = button("Change folder…", quiet=True)
        self.change.clicked.connect(self.folder_requested)
        where = QHBoxLayout()
        where.setSpacing(10)
        where.addWidget(self.place)
        where.addWidget(self.change)
        where.addStretch()
        for part in (self.title, self.about, self.other, self.bar, self.figures, self.note):
            self.column.addWidget(part)
        self.column.addLayout(where)
        self.column.addSpacing(4)
        self.column.addLayout(self._buttons())
        self.show_arrival(Arrival())

    def _buttons(self) -> FlowLayout:
        self.download = button("Download", primary=True)
        self.download.clicked.connect(self._on_download_clicked)
        self.load = button("Load it now", primary=True)
        self.load.clicked.connect(self._on_load_clicked)
        self.go_on = button("Go on", primary=True)
        self.go_on.clicked.connect(self.go_on_requested)
        self.pause = button("Pause")
        self.pause.clicked.connect(self.pause_requested)
        self.cancel = button("Cancel…")
        self.cancel.clicked.connect(self._on_cancel_clicked)
        self.delete = button("Delete what has arrived")
        self.delete.clicked.connect(self._on_delete_clicked)
        self.keep = button("Keep it")
        self.keep.clicked.connect(self._on_keep_clicked)
        self.another = button(OTHER, quiet=True)
        self.another.clicked.connect(self._on_another_clicked)
        self.close_card = button("Close")
        self.close_card.clicked.connect(self.dismissed)
        row = FlowLayout(8)
        for each in (
            self.download,
            self.load,
            self.go_on,
            self.pause,
            self.cancel,
            self.delete,
            self.keep,
            self.close_card,
            self.another,
        ):
            row.addWidget(each)
        return row

    # ---- what is shown ---------------------------------------------------------------------------------------------

    def show_verdict(self, verdict: Verdict, short_disk: str, *, here: bool) -> None:
        """Whether the offered model runs here, whether the disk has room for it, and whether it is here already."""
        self._runs = verdict.runs
        self._here = here
        self._short_disk = short_disk
        self._refresh()

    def show_folder(self, folder: str) -> None:
        """Where the next download goes."""
        self._folder = folder
        self._refresh()

    def show_arrival(self, arrival: Arrival) -> None:
        """How far the download is, if there is one."""
        if arrival.stage != self._arrival.stage and arrival.stage in {"arrived", "none", "cancelling"}:
            self._asks = False
            self._named = self._named and arrival.stage != "arrived"
        self._arrival = arrival
        self._refresh()

    def _refresh(self) -> None:
        arrival = self._arrival
        idle = arrival.stage == "none"
        named = self._named
        self.title.setText(self._title())
        self.about.setText(self._about())
        self.about.setVisible(bool(self.about.text()))
        self.note.setText(self._note())
        self.note.setVisible(bool(self.note.text()))
        self.bar.setVisible(arrival.stage not in {"none", "cancelling", "arrived"})
        self.bar.setValue(STEPS * arrival.done // arrival.total if arrival.total else 0)
        self.figures.setText("" if idle else _progress(arrival))
        self.figures.setVisible(bool(self.figures.text()))
        place = self._folder if idle else arrival.folder
        self.place.setText(f"Into {place}")
        self.place.setToolTip(plain_tip(place))
        offers = idle and (named or not self._here)
        self.place.setVisible(offers or arrival.stage not in {"none", "arrived"})
        self.change.setVisible(offers)
        self.other.setVisible(idle and named)
        self._show_buttons(idle=idle, named=named)

    def _show_buttons(self, *, idle: bool, named: bool) -> None:
        stage, asks, under_way = self._arrival.stage, self._asks, self._arrival.under_way
        waits = stage in {"paused", "failed"}
        offers = idle and (named or not self._here)
        self._dress_download(named=named)
        self.another.setText(f"The recommended model: {recommended.NAME}" if named else OTHER)
        self._show_only(
            {
                self.download: offers,
                self.load: stage == "arrived",
                self.go_on: waits and not asks,
                self.pause: under_way and not asks,
                self.cancel: (waits or under_way) and not asks,
                self.delete: asks,
                self.keep: asks,
                self.close_card: stage == "arrived",
                self.another: idle,
            }
        )

    def _dress_download(self, *, named: bool) -> None:
        """It is the first thing to do here, unless it makes no sense on this computer."""
        self.download.setText("Download" if self._runs or named else "Download anyway")
        self.download.setEnabled(not named or bool(self.other.text().strip()))
        wanted = "primary" if self._runs or named else "small"
        if self.download.objectName() != wanted:
            self.download.setObjectName(wanted)
            self.download.style().unpolish(self.download)
            self.download.style().polish(self.download)

    def _show_only(self, wanted: dict[QPushButton, bool]) -> None:
        """Show these buttons and no others; the keyboard stays in the card when the button that it was on goes."""
        for each, shown in wanted.items():
            if shown:
                each.show()
        going = next((each for each, shown in wanted.items() if each.hasFocus() and not shown), None)
        if going is not None:
            next(each for each, shown in wanted.items() if shown or each is going).setFocus()
        for each, shown in wanted.items():
            if not shown:
                each.hide()

    def _title(self) -> str:
        arrival = self._arrival
        if arrival.stage == "none":
            return "Another model" if self._named else recommended.NAME
        name = recommended.name_of(arrival.repository)
        return f"{name} is here" if arrival.stage == "arrived" else f"Getting {name}"

    def _about(self) -> str:
        arrival = self._arrival
        if arrival.stage == "arrived":
            return f"{arrival.files} files, {figures.size(arrival.total)}, every one as the hub has it."
        if self._asks:
            return f"Delete the {figures.size(arrival.done)} that have arrived? Paused, they wait to go on any day."
        if arrival.stage != "none":
            return ""
        if self._named:
            return NAMED
        if self._here:
            return "The recommended model is here already: it stands in the list."
        size = recommended.DOWNLOAD
        return f"{recommended.PRECISION}\n" + OFFERED.format(figures.size(size), _minutes(size / recommended.LINE))

    def _note(self) -> str:
        arrival = self._arrival
        if arrival.stage == "none":
            return "" if self._named or self._here else self._short_disk
        return arrival.note if arrival.stage in {"failed", "stalled", "waiting"} else ""

    # ---- what the person wants -------------------------------------------------------------------------------------

    @Slot()
    def _on_download_clicked(self) -> None:
        repository = self.other.text().strip() if self._named else recommended.REPOSITORY
        if repository:
            self.download_requested.emit(repository)

    @Slot()
    def _on_another_clicked(self) -> None:
        self._named = not self._named
        self._refresh()
        if self._named:
            self.other.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _on_other_changed(self) -> None:
        self._refresh()

    @Slot()
    def _on_load_clicked(self) -> None:
        self.load_requested.emit(self._arrival.folder)

    @Slot()
    def _on_cancel_clicked(self) -> None:
        self._asks = True
        self._refresh()

    @Slot()
    def _on_keep_clicked(self) -> None:
        self._asks = False
        self._refresh()

    @Slot()
    def _on_delete_clicked(self) -> None:
        self._asks = False
        self.cancel_requested.emit()


def _progress(arrival: Arrival) -> str:
    """Bytes of bytes, speed, time left; or what it does instead."""
    if arrival.stage == "cancelling":
        return "Deleting what has arrived…"
    if arrival.stage == "arrived":
        return ""
    parts = [f"{figures.size(arrival.done)} of {figures.size(arrival.total)}"] if arrival.total else []
    if arrival.stage == "listing":
        parts.append("asking the hub")
    elif arrival.stage == "checking":
        parts.append(f"checking {arrival.file}")
    elif arrival.stage == "paused":
        parts.append("paused")
    elif arrival.stage == "fetching" and arrival.bytes_a_second:
        parts += [f"{figures.size(int(arrival.bytes_a_second))}/s", f"{_minutes(arrival.seconds_left)} left"]
    return " · ".join(parts)


def _minutes(seconds: float) -> str:
    """A duration that nobody counts along: 40 s, 24 minutes, 3 hours."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f}".removesuffix(".0") + " hours"
