"""What a frozen Parley needs of a Linux system: how new a C library, and which libraries that it does not bring.

Knows: ELF files, through `readelf`; the floors and the libraries that are promised. Does not know how one packs them.

    python packaging/linux/needs.py dist/parley-cpu

Prints both, with the files that ask for the newest C library, and exits with 1 if more is needed than is promised.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# How new the system's own libraries may have to be: the C library and libstdc++ of Ubuntu 22.04, which also Debian 12
# and Fedora 36 have.
FLOORS = {"GLIBC": (2, 35), "GLIBCXX": (3, 4, 30)}

# The C library's own files.
C_LIBRARY = re.compile(r"(libc|libm|libdl|libpthread|librt|libutil|libresolv|ld-linux-x86-64)\.so\.\d+$")

# What every system with a display has, and what must be the system's own: it belongs to the driver and to the display.
PROMISED = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libGLX.so.0": "libglx0",
    "libOpenGL.so.0": "libopengl0",
    "libxcb.so.1": "libxcb1",
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libexpat.so.1": "libexpat1",
}

# Only for plugins that Qt leaves out by itself where their library is missing: Wayland, and drivers without X.
OPTIONAL = {
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
    "libwayland-egl.so.1": "libwayland-egl1",
    "libdrm.so.2": "libdrm2",
    "libgbm.so.1": "libgbm1",
    "libcuda.so.1": "the driver",
    "libnvidia-ml.so.1": "the driver",
}

_VERSION = re.compile(r"\b(GLIBC|GLIBCXX)_(\d[\d.]*\d)")
_NEEDED = re.compile(r"\(NEEDED\).*\[(.+)\]")
_HEAD = b"\x7fELF"


class Needs(NamedTuple):
    """The newest version of each library in `FLOORS` that each file asks for, and who asks for each missing library."""

    versions: dict[str, dict[Path, tuple[int, ...]]]
    missing: dict[str, list[Path]]


def needs(bundle: Path) -> Needs:
    """What the ELF files below `bundle` ask of the system."""
    files = sorted(_elf_files(bundle))
    brought = {path.name for path in bundle.rglob("*.so*")}
    versions: dict[str, dict[Path, tuple[int, ...]]] = {family: {} for family in FLOORS}
    missing: dict[str, list[Path]] = {}
    for file in files:
        command = ["readelf", "--wide", "--version-info", "--dynamic", str(file)]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        for family, version in _VERSION.findall(said):
            asked = tuple(int(part) for part in version.split("."))
            newest = versions[family].get(file.relative_to(bundle), ())
            versions[family][file.relative_to(bundle)] = max(asked, newest)
        for library in _NEEDED.findall(said):
            if library not in brought and C_LIBRARY.match(library) is None:
                missing.setdefault(library, []).append(file.relative_to(bundle))
    return Needs(versions, missing)


def complaints(found: Needs) -> list[str]:
    """What is needed and not promised, a sentence each."""
    told = [
        f"{file} needs {family}_{_dotted(version)}, and {_dotted(FLOORS[family])} is promised"
        for family, files in found.versions.items()
        for file, version in files.items()
        if version > FLOORS[family]
    ]
    told += [
        f"{files[0]} needs {library}, which is neither brought nor promised"
        for library, files in found.missing.items()
        if library not in PROMISED and library not in OPTIONAL
    ]
    return told


def main() -> int:
    """Prints what the bundle needs; returns the exit status."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = needs(Path(sys.argv[1]))
    for family, asking in found.versions.items():
        newest = max(asking.values(), default=())
        askers = [str(file) for file, version in asking.items() if version == newest]
        print(f"needs: {family}_{_dotted(newest)}, for {len(askers)} of {len(asking)} files: {', '.join(askers[:4])}")
    for library, files in sorted(found.missing.items()):
        package = PROMISED.get(library) or f"{OPTIONAL.get(library, 'not promised')}, optional"
        print(f"needs: {library} ({package}), for {len(files)} files, {files[0]} among them")
    told = complaints(found)
    for sentence in told:
        print(f"needs: {sentence}", file=sys.stderr)
    return 1 if told else 0


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _elf_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == _HEAD:
                    yield path


if __name__ == "__main__":
    sys.exit(main())
