"""Text to token ids and ids to bytes, from a checkpoint's `tokenizer.json`.

Knows: the byte-level vocabulary and which tokens are control tokens. Does not know: messages, templates, the model.

A control token, such as `<|im_end|>` or `<think>`, is one only where the template wrote it. Text of a person or a file
passes through `quoted` before it is put into a template: that breaks every control token in it with a character that
`pieces` takes out again after it has looked for control tokens, so `<|im_end|>` typed by a person stays ordinary text.
"""

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from app.engine.config import read_json
from app.engine.errors import CheckpointError

_BREAK = "\ufdd0"
"""A code point that Unicode reserves for use inside programs; it means nothing in any text."""
_REMEMBERED_LETTERS = 2**21


class Vocabulary:
    """A checkpoint's tokens. `control` maps the text of every control token to its id; ids in `hidden` are never shown.

    What was encoded lately is remembered, because every count of a draft encodes the turns before it again. Several
    threads may use it at a time.
    """

    def __init__(self, folder: Path) -> None:
        """Read `tokenizer.json`. Raises `CheckpointError`."""
        plain = read_json(folder / "tokenizer.json")
        added = _added_tokens(plain, folder)
        self.control: dict[str, int] = {token["content"]: token["id"] for token in added}
        self.hidden = frozenset(token["id"] for token in added if token.get("special") is True)
        self._names = {number: text for text, number in self.control.items()}
        longest_first = sorted(self.control, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        # Without its added tokens the tokenizer cannot find a control token in a text, whatever the text says.
        rest = {key: value for key, value in plain.items() if key not in {"added_tokens", "truncation", "padding"}}
        try:
            self._tokenizer = Tokenizer.from_str(json.dumps(rest | {"added_tokens": []}))
        except Exception as error:  # tokenizers raises nothing more special for a file that it cannot use
            raise CheckpointError(
                f"tokenizer.json of {folder.name} cannot be used ({error}); download that file again."
            ) from error
        if (plain.get("decoder") or {}).get("type") != "ByteLevel":
            raise CheckpointError(f"The tokenizer of {folder.name} is not a byte-level one; choose a Qwen3.5 model.")
        self._encoded: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._encoded_size = 0
        self._lock = threading.Lock()

    def quoted(self, text: str) -> str:
        """Text of a person or a file, safe to be put into a template: none of it can become a control token."""
        whole = text.replace(_BREAK, "").encode("utf-8", "replace").decode("utf-8")
        return self._pattern.sub(_broken, whole)

    def pieces(self, rendered: str) -> Iterator[str | int]:
        """A rendered template as text and control tokens, in order; text is as the person wrote it, and never empty."""
        begin = 0
        for match in self._pattern.finditer(rendered):
            if match.start() > begin:
                yield rendered[begin : match.start()].replace(_BREAK, "")
            yield self.control[match.group()]
            begin = match.end()
        if begin < len(rendered):
            yield rendered[begin:].replace(_BREAK, "")

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of plain text; no part of it becomes a control token."""
        with self._lock:
            if text in self._encoded:
                self._encoded.move_to_end(text)
                return self._encoded[text]
        ids = tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)
        with self._lock:
            if text not in self._encoded:
                self._encoded[text] = ids
                self._encoded_size += len(text)
            while self._encoded_size > _REMEMBERED_LETTERS:
                self._encoded_size -= len(self._encoded.popitem(last=False)[0])
        return ids

    def bytes_of(self, token: int) -> bytes:
        """The UTF-8 bytes that a token stands for, perhaps half a character; empty for an id that means nothing."""
        if token in self._names:
            return self._names[token].encode()
        letters = self._tokenizer.id_to_token(token)
        return b"" if letters is None else bytes(_BYTES[letter] for letter in letters if letter in _BYTES)


def _broken(match: "re.Match[str]") -> str:
    return match.group()[0] + _BREAK + match.group()[1:]


def _added_tokens(plain: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    added = plain.get("added_tokens") or []
    for token in added:
        known = isinstance(token, dict) and isinstance(token.get("content"), str) and isinstance(token.get("id"), int)
        # One letter could not be broken in two.
        if not known or len(token["content"]) < 2:
            raise CheckpointError(f"tokenizer.json of {folder.name} has a control token that cannot be used.")
    return list(added)


def _byte_letters() -> dict[str, int]:
    """Byte-level BPE writes each byte as one printable letter: itself where it is printable in Latin-1, the others in
    order from U+0100 on (Radford et al. 2019, as every byte-level tokenizer since)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + index): byte for index, byte in enumerate(others)}


_BYTES = _byte_letters()
