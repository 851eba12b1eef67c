"""The message that is being written: its text, its files on their way through the decoder, its size in tokens.

Knows: which file is decoded, refused or still read, and what the engine counted. Does not know: widgets, the engine,
the conversation. Foreign bytes are only ever written to a file here and handed to the decoder.
"""

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app import paths
from app.chat.conversation import Attached, draft_message
from app.protocol import ChatMessage, Decode, Decoded, Measured, Refused, VideoLimits
from app.ui.decoder_process import DecoderProcess

MEASURE_DELAY_MS = 300


@dataclass(frozen=True, slots=True)
class DraftItem:
    """A file of the draft: still being read, decoded (`attached`) or refused with a sentence. `path` is empty if the
    file came back with a message that was not answered."""

    key: str
    name: str
    path: str
    attached: Attached | None = None
    refusal: str = ""

    @property
    def pending(self) -> bool:
        """Whether the decoder has not answered yet."""
        return self.attached is None and not self.refusal


class Draft(QObject):
    """Emits `changed` when what is seen of it changed, `measure_requested` when its size should be counted again."""

    changed = Signal()
    measure_requested = Signal()
    refused = Signal(str)

    def __init__(self, decoder: DecoderProcess, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.text = ""
        self.items: tuple[DraftItem, ...] = ()
        self.tokens: int | None = None
        self._limits = VideoLimits()
        self.decoder = self._decoder = decoder
        self._decoder.received.connect(self._on_decoder_answered)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(MEASURE_DELAY_MS)
        self._delay.timeout.connect(self.measure_requested)

    @property
    def pending(self) -> bool:
        """Whether a file is still being read."""
        return any(item.pending for item in self.items)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self.text.strip() and not self.items

    @property
    def attached(self) -> tuple[Attached, ...]:
        """The files that were decoded, in order."""
        return tuple(item.attached for item in self.items if item.attached is not None)

    def sources(self) -> dict[str, str]:
        """Where the files that were decoded lie, by their content."""
        return {item.attached.media.digest: item.path for item in self.items if item.attached is not None and item.path}

    def obstacle(self) -> str:
        """Why it cannot be sent, as a sentence; empty if it can, or will as soon as its files are read."""
        for item in self.items:
            if item.refusal:
                return f"{item.refusal} Remove it from the draft to send the rest."
        if self.empty:
            return "There is nothing to send yet: write a message or drop a picture or a video."
        return ""

    def message(self) -> ChatMessage | None:
        """The draft as the model would read it, None while it is empty."""
        return None if not self.text.strip() and not self.attached else draft_message(self.text, self.attached)

    def count_soon(self) -> None:
        """Have everything counted in a moment, once what was asked for is on the screen."""
        self._delay.start()

    def set_text(self, text: str) -> None:
        """Take over what the composer holds."""
        self.text = text
        self._touched()

    def set_limits(self, limits: VideoLimits) -> None:
        """Take over how the model wants videos sampled; those that were sampled otherwise are decoded again."""
        if limits == self._limits:
            return
        self._limits = limits
        for item in self.items:
            video = item.attached is not None and item.attached.media.kind == "video"
            if item.path and (item.pending or video):
                self._put(replace(item, attached=None, key=self._decode(item.path)), item.key)
        self._touched()

    def add_files(self, files: Iterable[str]) -> None:
        """Attach files by path. A path that cannot be used is refused by the decoder, with a sentence."""
        for file in files:
            path = str(Path(file).absolute())
            self.items += (DraftItem(self._decode(path), Path(path).name or path, path),)
        self._touched()

    def add_bytes(self, content: bytes, suffix: str) -> None:
        """Attach a picture that came as bytes and not as a file."""
        folder = paths.cache_dir() / "pasted"
        file = folder / f"picture-{hashlib.sha256(content).hexdigest()[:12]}{suffix}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError as error:
            self.refused.emit(
                f"The picture could not be kept ({error.strerror}): see that Parley may write to {folder} "
                "and that the disk has room, then paste it again."
            )
            return
        self.add_files([str(file)])

    def restore(self, text: str, attached: tuple[Attached, ...]) -> None:
        """Bring back a message that was not answered, before whatever was written since."""
        self.text = text if not self.text.strip() else f"{text}\n\n{self.text}"
        items = [DraftItem(uuid.uuid4().hex, item.media.name, "", item) for item in attached]
        self.items = (*items, *self.items)
        self._touched()

    def remove(self, key: str) -> None:
        """Take a file out again."""
        self.items = tuple(item for item in self.items if item.key != key)
        self._touched()

    def clear(self) -> None:
        """Start a new draft."""
        self.text, self.items, self.tokens = "", (), None
        self.changed.emit()
        self._delay.start()

    def measured(self, event: Measured) -> None:
        """Take over what the engine counted."""
        if len(event.media_tokens) != len(self.attached):
            return  # a file came or went since it was asked; another count follows
        self.tokens = event.draft_tokens
        figures = list(zip(event.media_tokens, event.media_sizes, strict=False))
        items = []
        for item in self.items:
            attached = item.attached
            if attached is not None and figures:
                tokens, seen = figures.pop(0)
                attached = replace(attached, tokens=tokens, seen=seen)
            items.append(replace(item, attached=attached))
        self.items = tuple(items)
        self.changed.emit()

    def _touched(self) -> None:
        if self.empty:
            self.tokens = None
        self.changed.emit()
        self._delay.start()

    def _decode(self, path: str) -> str:
        key = uuid.uuid4().hex
        self._decoder.send(Decode(key, path, str(paths.cache_dir() / "media"), self._limits))
        return key

    def _put(self, item: DraftItem, key: str) -> None:
        self.items = tuple(item if other.key == key else other for other in self.items)

    @Slot(object)
    def _on_decoder_answered(self, event: object) -> None:
        for item in self.items:
            match event:
                case Decoded() if event.request == item.key:
                    self._put(replace(item, attached=Attached(event.media, event.previews)), item.key)
                case Refused() if event.request == item.key:
                    self._put(replace(item, refusal=event.message), item.key)
                    self.refused.emit(event.message)
        self._touched()
