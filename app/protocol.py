"""Everything that crosses between Parley's programs: one JSON object a line, each a frozen dataclass.

Knows: the messages and how they are written and read. Does not know: who sends them, Qt, torch.
Decoding refuses unknown types, unknown or missing fields and values of the wrong type with `ProtocolError`, so that a
message that was decoded needs no further checks. Files travel as paths, never as bytes. Times are seconds, sizes bytes.
"""

import json
import sys
import types
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints


class ProtocolError(ValueError):
    """A line that is not one of the messages of this file."""


# ---- values inside messages ----------------------------------------------------------------------------------------

Channel = Literal["thinking", "answer"]
FinishReason = Literal["end", "length", "context", "stopped"]
MediaKind = Literal["image", "video"]
FailureKind = Literal["bad_input", "checkpoint", "memory", "context", "device", "internal"]


@dataclass(frozen=True, slots=True)
class Text:
    """A run of text in a message."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """A decoded picture or video: where its plain pixels are and what the model's processor must know about them.

    `pixels` is a file that the decoder wrote: `frames` frames of `height` × `width` × 3 bytes, RGB, row after row,
    nothing else. For a picture `frames` is 1 and the last four fields are empty. For a video `frame_indices` says which
    frames of the source these are, `source_frames` and `source_fps` describe the source as it is.
    """

    kind: MediaKind
    name: str
    digest: str
    pixels: str
    width: int
    height: int
    frames: int = 1
    frame_indices: tuple[int, ...] = ()
    source_frames: int = 0
    source_fps: float = 0.0
    duration: float = 0.0


Part = Union[Text, Media]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of the conversation, as the model shall read it: an earlier answer comes without its thinking."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sampling knobs, as the field names them. `presence_penalty` is subtracted once from the logit of every token
    that was already generated. `seed` None draws a fresh one; `temperature` 0 is greedy; `top_k` 0, `top_p` 1 are off.
    """

    temperature: float = 1.0
    top_k: int = 20
    top_p: float = 0.95
    min_p: float = 0.0
    presence_penalty: float = 1.5
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """How the loaded model wants a video sampled: frames a second, and how many frames at least and at most."""

    fps: float = 2.0
    min_frames: int = 4
    max_frames: int = 768


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What was loaded, in words and figures that the person sees."""

    name: str
    path: str
    device: str
    precision: str
    context: int
    native_context: int
    demo: bool
    sees: bool
    video: VideoLimits
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request: `prompt` in all, `reused` of them from the cache, then those generated on each channel."""

    prompt: int
    reused: int
    thinking: int
    answer: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds spent loading the model (0 if it was loaded before), up to the first token, then tokens a second."""

    load_s: float
    first_token_s: float
    decode_tok_s: float


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small preview: a file of `height` × `width` × 3 bytes RGB, and the second of the clip that it shows."""

    pixels: str
    width: int
    height: int
    second: float = 0.0


# ---- to the engine -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """Load the checkpoint in folder `model`. `context` None means the largest that fits, up to the model's own. `yarn`
    stretches positions by that factor, for longer contexts than the model was trained with. `kv_bits` is what a number
    of the keys and values takes that the context is kept in; with 8 twice as much of it fits.

    What the model has read of conversations is kept in host memory, at most `memory_limit` bytes (None: a quarter of
    what is free), and below the folder `cache_dir`, if there is one, at most `cache_limit` bytes (0: what is usual).
    """

    model: str
    device: Literal["auto", "cuda", "cpu"] = "auto"
    backend: Literal["parley", "gptqmodel"] = "parley"
    context: int | None = None
    cache_dir: str = ""
    cache_limit: int = 0
    memory_limit: int | None = None
    yarn: Literal[1, 2, 4] = 1
    kv_bits: Literal[16, 8] = 16


@dataclass(frozen=True, slots=True)
class Generate:
    """Answer a whole conversation. Stateless: the engine finds by itself what it already holds of it. Of one without a
    name nothing is written below `Load.cache_dir`. After `thinking_budget` tokens of thinking (0: never) the model is
    led to its answer, as `AnswerNow` does."""

    request: str
    conversation: str
    messages: tuple[ChatMessage, ...]
    thinking: bool = True
    sampling: Sampling = Sampling()
    max_tokens: int = 32768
    thinking_budget: int = 0


@dataclass(frozen=True, slots=True)
class Measure:
    """Count the tokens that a conversation with this draft would take, media included. `draft` is its last message."""

    request: str
    conversation: str
    messages: tuple[ChatMessage, ...]
    draft: ChatMessage | None = None
    thinking: bool = True


@dataclass(frozen=True, slots=True)
class Stop:
    """End the running answer at the next token or prefill chunk; it finishes with the reason "stopped"."""

    request: str


@dataclass(frozen=True, slots=True)
class AnswerNow:
    """Lead the running answer out of its thinking at the next sentence end, or soon if no sentence ends."""

    request: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop whatever is cached of a conversation: in memory, and below the folder `cache_dir` for every model."""

    conversation: str
    cache_dir: str = ""


@dataclass(frozen=True, slots=True)
class Unload:
    """Give the model's memory back."""


EngineCommand = Load | Generate | Measure | Stop | AnswerNow | Forget | Unload


# ---- from the engine -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """The engine's first line, sent before anything heavy is imported."""

    version: str
    pid: int


@dataclass(frozen=True, slots=True)
class Loading:
    """Progress of a load: what is being done, and bytes of bytes (both 0 while unknown)."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model is ready for its first token."""

    model: ModelInfo
    seconds: float


@dataclass(frozen=True, slots=True)
class Unloaded:
    """No model is loaded any more."""


@dataclass(frozen=True, slots=True)
class Prefill:
    """Tokens of the prompt read so far, of all, and how many of all came from the cache; tokens a second at the moment
    and about how many seconds are left, both 0 while unknown."""

    request: str
    done: int
    total: int
    reused: int
    tokens_a_second: float = 0.0
    seconds_left: float = 0.0


@dataclass(frozen=True, slots=True)
class Delta:
    """More text on one channel; whole characters only. `tokens` is the channel's count so far."""

    request: str
    channel: Channel
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is over. Every `Delta` of it came before."""

    request: str
    reason: FinishReason
    usage: Usage
    timings: Timings


@dataclass(frozen=True, slots=True)
class Measured:
    """The answer to `Measure`: tokens of the conversation so far, and of the draft (each media item's in order), and of
    each message of the conversation, media included; none if the texts are far too long, or the template hides it."""

    request: str
    conversation_tokens: int
    draft_tokens: int
    media_tokens: tuple[int, ...]
    media_sizes: tuple[tuple[int, int], ...]
    message_tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Gauges:
    """Memory of the device that the model runs on, in bytes, and the context in tokens. Sent at least every 2 s by the
    worker itself, so it also shows that the worker is alive. On the CPU `total` is the machine's memory and `weights`
    the engine process's own; `other` is what every other program uses. `workspace` is what this process has beside the
    model and the cache: the driver's share, and what computing takes.
    """

    kind: Literal["gpu", "cpu", "none"]
    total: int
    weights: int
    cache: int
    vision: int
    other: int
    context_used: int
    context: int
    workspace: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """Something could not be done. `message` is one sentence with a way out; `detail` is for the log. `request` is
    empty when the failure belongs to a load or to the engine itself."""

    request: str
    kind: FailureKind
    message: str
    detail: str


EngineEvent = Hello | Loading | Loaded | Unloaded | Prefill | Delta | Finished | Measured | Gauges | Failed


# ---- to and from the decoder ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decode:
    """Decode the file at `path` into plain pixels below the folder `into`, and make previews of it."""

    request: str
    path: str
    into: str
    video: VideoLimits = VideoLimits()
    preview_edge: int = 160


@dataclass(frozen=True, slots=True)
class Decoded:
    """The file as `Media`, with one preview of a picture or a strip of them of a video, in order."""

    request: str
    media: Media
    previews: tuple[Thumbnail, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The file cannot be used: one sentence that says why and what to do."""

    request: str
    message: str


DecoderCommand = Decode
DecoderEvent = Decoded | Refused


# ---- to and from the history's jobs --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mend:
    """Make the history openable that was found old or damaged. The sender has closed it."""

    request: str


@dataclass(frozen=True, slots=True)
class Tidy:
    """Look the history over: is it sound, which attached files does nothing use any more."""

    request: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Bring what was written into the file itself, and into the index of the search."""

    request: str


@dataclass(frozen=True, slots=True)
class KeepFile:
    """Keep a copy of the attached file at `path`, whose content has this digest."""

    request: str
    digest: str
    path: str


@dataclass(frozen=True, slots=True)
class Find:
    """Look for words in all conversations outside the trash."""

    request: str
    words: str
    most: int = 60


@dataclass(frozen=True, slots=True)
class Erase:
    """Erase conversations from the disk; none means all that are in the trash."""

    request: str
    conversations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Export:
    """Write conversations to the file at `path`; none means all."""

    request: str
    form: Literal["markdown", "html", "json"]
    path: str
    conversations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Import:
    """Add the conversations of a file that `Export` wrote."""

    request: str
    path: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where all words were found: in a title if `message` is empty. `marks` are pairs of where in `excerpt` a
    word begins and ends."""

    conversation: str
    title: str
    used_at: float
    message: str
    role: Literal["title", "question", "answer", "thinking"]
    excerpt: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found, the last used first; `more` if there is more than was asked for."""

    request: str
    hits: tuple[Hit, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class JobDone:
    """A job is done. `note` is a sentence if there is something to say; `changed`: the lists have to be read again."""

    request: str
    note: str = ""
    changed: bool = False


@dataclass(frozen=True, slots=True)
class JobFailed:
    """A job could not be done: one sentence with a way out. `damaged`: the history has to be mended."""

    request: str
    message: str
    damaged: bool = False


HistoryCommand = Mend | Tidy | Settle | KeepFile | Find | Erase | Export | Import
HistoryEvent = Hits | JobDone | JobFailed


# ---- to and from the downloader ------------------------------------------------------------------------------------

DownloadStage = Literal["listing", "checking", "fetching", "waiting", "stalled", "paused"]
DownloadTrouble = Literal["network", "repository", "disk", "folder", "internal"]


@dataclass(frozen=True, slots=True)
class Download:
    """Bring the model `repository` ("owner/name") of the hub into the folder `into`, or what of it is not there yet.

    `revision` is a branch, a tag or a commit; empty means what the folder began with, and "main" for a new one. From
    the start on it is one commit, whatever happens at the hub.
    """

    request: str
    repository: str
    into: str
    revision: str = ""


@dataclass(frozen=True, slots=True)
class PauseDownload:
    """Let go of the line and wait."""

    request: str


@dataclass(frozen=True, slots=True)
class ResumeDownload:
    """Go on where it was."""

    request: str


@dataclass(frozen=True, slots=True)
class CancelDownload:
    """End a download or a verification. What has arrived stays, to go on from another day, unless `discard`."""

    request: str
    discard: bool = False


@dataclass(frozen=True, slots=True)
class Verify:
    """Compare a downloaded folder with its manifest: by size and time of change, and by content where these differ from
    what was checked before; `full`: everything by content."""

    request: str
    folder: str
    full: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """Say what this computer has for a model: its GPU, its memory, the disk of `folder`, which need not exist yet."""

    request: str
    folder: str


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What was found, in bytes. Without an NVIDIA GPU that its driver speaks for, `gpu` is empty; `driverless` says
    that one is there whose driver is missing. `cuda` is the newest CUDA that the driver knows, 13000 for 13.0;
    `capability` the GPU's generation, 89 for 8.9; both 0 if unknown."""

    request: str
    folder: str
    gpu: str
    driver: str
    driverless: bool
    cuda: int
    capability: int
    gpu_total: int
    gpu_free: int
    memory_total: int
    memory_free: int
    disk_free: int


@dataclass(frozen=True, slots=True)
class Downloading:
    """How far a download is: bytes of bytes in all, bytes a second and seconds left (both 0 while unknown). `note` is a
    sentence for a stage that needs one: why it waits. Sent at least every second, except while a disk is waited for."""

    request: str
    stage: DownloadStage
    file: str
    done: int
    total: int
    bytes_a_second: float = 0.0
    seconds_left: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Everything is there and right: so many files, with so many bytes."""

    request: str
    folder: str
    commit: str
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class DownloadCancelled:
    """It ended because that was asked for."""

    request: str


@dataclass(frozen=True, slots=True)
class DownloadFailed:
    """A download or a verification could not be done: one sentence with a way out; `detail` is for the log."""

    request: str
    kind: DownloadTrouble
    message: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verifying:
    """How far a verification is, in bytes."""

    request: str
    file: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not as it should be; `message` is a sentence."""

    file: str
    kind: Literal["missing", "size", "changed", "foreign"]
    message: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found; no problems means that the folder holds the model and nothing else."""

    request: str
    folder: str
    repository: str
    commit: str
    files: int
    size: int
    problems: tuple[Problem, ...]


DownloaderCommand = Download | PauseDownload | ResumeDownload | CancelDownload | Verify | Survey
DownloaderEvent = Downloading | Downloaded | DownloadCancelled | DownloadFailed | Verifying | Verified | Surveyed


# ---- to and from the program that draws formulas -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DrawFormula:
    """Draw a formula; `display`: as on a line of its own."""

    request: str
    latex: str
    display: bool


@dataclass(frozen=True, slots=True)
class FormulaDrawn:
    """An area to be filled, in the letters and numbers of an SVG path, where text is 100 units large and 0 is the line
    that letters stand on; and the rectangle that it takes."""

    request: str
    outline: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class FormulaRefused:
    """It cannot be drawn."""

    request: str


FormulaEvent = FormulaDrawn | FormulaRefused


# ---- one object a line ---------------------------------------------------------------------------------------------

Message = (
    EngineCommand
    | EngineEvent
    | DecoderCommand
    | DecoderEvent
    | HistoryCommand
    | HistoryEvent
    | DownloaderCommand
    | DownloaderEvent
    | DrawFormula
    | FormulaEvent
)
_MESSAGES: dict[str, type] = {kind.__name__: kind for kind in get_args(Message)}
_M = TypeVar("_M")
_LARGEST = sys.float_info.max


def encode(message: Message) -> bytes:
    """The message as one line of UTF-8 JSON, newline included."""
    line = json.dumps(message, default=_fields_of, ensure_ascii=False, separators=(",", ":"))
    return line.encode("utf-8", "replace") + b"\n"


def _fields_of(value: Any) -> dict[str, Any]:
    """A dataclass as a dict, for the encoder, which asks for those within it as it comes to them."""
    kind: type = type(value)
    return {"type": kind.__name__} | {name: getattr(value, name) for name in _hints(kind)}


def decode(line: bytes) -> Message:
    """The message in a line. Raises `ProtocolError` for anything else."""
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error
    kind = _MESSAGES.get(str(plain.get("type", ""))) if isinstance(plain, dict) else None
    if kind is None:
        raise ProtocolError(f"unknown message: {line[:200]!r}")
    message: Message = from_plain(kind, plain)
    return message


def to_plain(value: Any) -> Any:
    """A dataclass, and what is in it, as dicts, lists and scalars; a dict's "type" names its class."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__} | {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[_M], plain: Any) -> _M:
    """The inverse of `to_plain` for dataclass `kind`; raises `ProtocolError` naming the field that does not fit."""
    result: _M = _read(kind, plain, kind.__name__)
    return result


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _shape(kind: Any) -> tuple[bool, Any, tuple[Any, ...]]:
    """Whether it is a dataclass, what it is of, and what that is made of."""
    return is_dataclass(kind), get_origin(kind), get_args(kind)


def _read(kind: Any, plain: Any, where: str) -> Any:
    dataclass_, origin, parts = _shape(kind)
    if dataclass_:
        return _read_dataclass(kind, plain, where)
    if origin is Literal:
        return _checked(plain in parts, plain, where)
    if origin is Union or origin is types.UnionType:
        return _read_union(parts, plain, where)
    if origin is tuple:
        return _read_tuple(parts, _checked(isinstance(plain, list), plain, where), where)
    if kind is float:
        is_number = isinstance(plain, int | float) and not isinstance(plain, bool)
        return float(_checked(is_number and abs(plain) <= _LARGEST, plain, where))
    return _checked(isinstance(plain, kind) and (kind is bool or not isinstance(plain, bool)), plain, where)


def _read_tuple(kinds: tuple[Any, ...], plain: list[Any], where: str) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        return tuple(_read(kinds[0], item, f"{where}[{i}]") for i, item in enumerate(plain))
    _checked(len(plain) == len(kinds), plain, where)
    return tuple(_read(k, item, f"{where}[{i}]") for i, (k, item) in enumerate(zip(kinds, plain, strict=True)))


def _read_dataclass(kind: Any, plain: Any, where: str) -> Any:
    _checked(isinstance(plain, dict) and plain.get("type", kind.__name__) == kind.__name__, plain, where)
    hints = _hints(kind)
    unknown = [name for name in plain if name not in hints and name != "type"]
    _checked(not unknown, unknown, where)
    values: dict[str, Any] = {}
    for name, hint in hints.items():
        if name in plain:
            value = plain[name]
            simple = (hint is str or hint is int or hint is bool) and type(value) is hint
            values[name] = value if simple else _read(hint, value, f"{where}.{name}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ProtocolError(f"{where}: {error}") from error


def _read_union(kinds: tuple[Any, ...], plain: Any, where: str) -> Any:
    if plain is None and types.NoneType in kinds:
        return None
    for kind in kinds:
        if is_dataclass(kind):
            if isinstance(plain, dict) and plain.get("type") == getattr(kind, "__name__", ""):
                return _read(kind, plain, where)
        elif kind is not types.NoneType:
            return _read(kind, plain, where)
    raise ProtocolError(f"{where}: unexpected {str(plain)[:80]!r}")


def _checked(fits: bool, plain: Any, where: str) -> Any:
    if not fits:
        raise ProtocolError(f"{where}: unexpected {str(plain)[:80]!r}")
    return plain
