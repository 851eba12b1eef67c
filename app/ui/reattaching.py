"""Attached files of older messages, decoded again when the cache was emptied since. Knows copies, not the engine.

What the decoder writes may vanish at any time; the copy that the history keeps of a file makes it again.
"""

import uuid
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from app import paths
from app.chat.conversation import Attached, Conversation, Question
from app.history.records import PIXELS
from app.protocol import Decode, Decoded, Refused, VideoLimits
from app.ui.decoder_process import DecoderProcess
from app.ui.library import Library


class Reattaching(QObject):
    """Emits `changed` with a conversation's key, and a sentence if one of its files cannot be had any more."""

    changed = Signal(str, str)

    def __init__(self, decoder: DecoderProcess, library: Library, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.limits = VideoLimits()
        self._decoder = decoder
        self._library = library
        self._asked: dict[str, tuple[Conversation, Attached]] = {}
        decoder.received.connect(self._on_decoded)

    def check(self, conversation: Conversation) -> bool:
        """Have what is missing decoded again; whether anything is. `changed` follows for each."""
        under_way = {(held.key, item.media.digest) for held, item in self._asked.values()}
        missing: dict[str, Attached] = {}
        for node in conversation.path():
            for item in node.attached if isinstance(node, Question) else ():
                files = [item.media.pixels, *(preview.pixels for preview in item.previews)]
                if not all(Path(file).is_file() for file in files):
                    missing[item.media.digest] = item
        asked = False
        for digest, item in missing.items():
            if (conversation.key, digest) in under_way:
                asked = True
                continue
            kept = self._library.file_of(digest)
            if kept is not None:
                request = uuid.uuid4().hex
                self._asked[request] = conversation, item
                self._decoder.send(Decode(request, str(kept), str(paths.cache_dir() / PIXELS), self.limits))
                asked = True
        return asked

    @Slot(object)
    def _on_decoded(self, event: object) -> None:
        if not isinstance(event, Decoded | Refused) or event.request not in self._asked:
            return
        conversation, item = self._asked.pop(event.request)
        if isinstance(event, Refused):
            self.changed.emit(
                conversation.key, f"“{item.media.name}” cannot be shown to the model again: attach it anew."
            )
            return
        fresh = replace(item, media=replace(event.media, name=item.media.name), previews=event.previews)
        for node in conversation.nodes.values():
            if isinstance(node, Question):
                same = item.media.digest
                node.attached = tuple(fresh if held.media.digest == same else held for held in node.attached)
        self.changed.emit(conversation.key, "")
