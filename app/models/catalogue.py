"""The list of models on this computer, and the download that is not finished: one small JSON file.

Knows: what is kept of each and how the file is written whole or not at all. Does not know: checkpoints, processes, the
window. A file that makes no sense is set aside as `models.broken.json`, and the list begins anew; the folders of models
are never touched by that.
"""

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from app import paths
from app.download.names import MANIFEST
from app.models.recommended import name_of
from app.plan import Sizes
from app.protocol import ProtocolError, from_plain, to_plain


@dataclass(frozen=True, slots=True)
class Kept:
    """A model's folder. `repository` is empty for one that was not downloaded; `size` in bytes and `precision` are
    empty until its files were read, as are `sizes`, what it takes on a GPU, and `in_bytes`, the same with 8 bits for a
    number of its keys and values. `used_at` in seconds since 1970, 0 for
    never; `checked_at` likewise, when every file was last compared with its record."""

    folder: str
    name: str
    repository: str = ""
    precision: str = ""
    size: int = 0
    used_at: float = 0.0
    checked_at: float = 0.0
    sizes: Sizes | None = None
    in_bytes: Sizes | None = None

    @property
    def there(self) -> bool:
        """Whether its folder still exists."""
        return Path(self.folder).is_dir()

    @property
    def recorded(self) -> bool:
        """Whether a record says what its folder has to hold."""
        return (Path(self.folder) / MANIFEST).is_file()


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A download that goes on with the next start, unless it is `paused`; bytes of bytes when it was last heard of."""

    repository: str
    folder: str
    revision: str = ""
    paused: bool = False
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that is kept. Values; whoever changes something makes another and saves it."""

    models: tuple[Kept, ...] = ()
    unfinished: Unfinished | None = None

    def get(self, folder: str) -> Kept | None:
        """The model in a folder."""
        return next((model for model in self.models if model.folder == folder), None)

    def with_model(self, model: Kept) -> "Catalogue":
        """With this in the place of what was kept of its folder."""
        others = tuple(model if old.folder == model.folder else old for old in self.models)
        return replace(self, models=others if model in others else (*others, model))

    def without(self, folder: str) -> "Catalogue":
        """Without the model in a folder."""
        return replace(self, models=tuple(model for model in self.models if model.folder != folder))


def catalogue_file() -> Path:
    """Where the list is kept."""
    return paths.data_dir() / "models.json"


def load() -> Catalogue:
    """The list as it was saved, or an empty one."""
    file = catalogue_file()
    try:
        return from_plain(Catalogue, json.loads(file.read_bytes()))
    except (ProtocolError, ValueError, RecursionError):
        with suppress(OSError):
            file.replace(file.with_name("models.broken.json"))
        return Catalogue()
    except OSError:
        return Catalogue()


def save(catalogue: Catalogue) -> None:
    """Write the list so that a crash leaves either the old or the new one. Raises `OSError`."""
    file = catalogue_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name("models.new.json")
    fresh.write_text(json.dumps(to_plain(catalogue), indent=1), encoding="utf-8")
    fresh.replace(file)


def kept_name(folder: Path, repository: str = "") -> str:
    """What a model is called in the list until its files say more: as its repository, or as its folder."""
    return name_of(repository) or folder.name or str(folder)
