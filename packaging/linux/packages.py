"""Makes what a person installs on Linux of a frozen Parley: a .deb, and a .tar.xz for every other system.

Knows: the bundle's folder, Debian's packages, what lies beside this file. Does not know: how the bundle was made.
Needs dpkg-deb, tar and xz. The same bundle gives the same bytes: names are sorted, owners are root, and all times are
SOURCE_DATE_EPOCH, or 1980 without it.

    python packaging/linux/packages.py dist/parley-cpu --to dist
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import needs

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
EPOCH = 315532800
"""1980, the oldest time that every archive can hold."""

DEPENDS = [
    f"libc6 (>= {'.'.join(map(str, needs.FLOORS['GLIBC']))})",
    "libstdc++6 (>= 11)",
    *sorted({package for package in needs.PROMISED.values() if package != "libstdc++6"}),
    "fontconfig-config",
]
RECOMMENDS = ["libwayland-client0", "libwayland-cursor0", "libwayland-egl1", "xdg-desktop-portal"]
CONTROL = """\
Package: parley
Version: {version}
Architecture: amd64
Maintainer: The Parley project <parley@localhost>
Installed-Size: {kilobytes}
Depends: {depends}
Recommends: {recommends}
Section: science
Priority: optional
Description: private chat with a large multimodal model on your own GPU
 A window to talk with one model family that runs on this computer: texts, pictures and videos, with the thinking beside
 the answer. A small demo model is included and runs on the processor. Nothing leaves the computer.
"""


def main() -> int:
    """Makes the packages; returns the exit status."""
    parser = argparse.ArgumentParser(description="Make Linux packages of a frozen Parley.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--to", type=Path, default=Path("dist"), help="the folder to write to")
    options = parser.parse_args()
    bundle: Path = options.bundle.resolve()
    if not (bundle / "parley").is_file():
        print(f"packages: there is no bundle in {bundle}; make it with `make bundle`", file=sys.stderr)
        return 2
    told = needs.complaints(needs.needs(bundle))
    if told:
        print("\n".join(f"packages: {sentence}" for sentence in told), file=sys.stderr)
        return 1
    options.to.mkdir(parents=True, exist_ok=True)
    version = subprocess.run(
        [bundle / "parley", "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    # On the bundle's own disk, where its files need not be copied.
    with tempfile.TemporaryDirectory(prefix="parley-packages-", dir=bundle.parent) as scratch:
        made = [
            make_deb(bundle, version, Path(scratch) / "deb", options.to),
            make_tar(bundle, version, Path(scratch) / "tar", options.to),
        ]
    for file in made:
        print(f"packages: {file} ({file.stat().st_size / 1e6:.1f} MB)")
    return 0


def make_deb(bundle: Path, version: str, tree: Path, to: Path) -> Path:
    """The Debian package: the bundle in /usr/lib/parley, a command, a menu entry with its icon, the licences."""
    share = tree / "usr" / "share"
    _link_tree(bundle, tree / "usr" / "lib" / "parley")
    (tree / "usr" / "bin").mkdir(parents=True)
    (tree / "usr" / "bin" / "parley").symlink_to("../lib/parley/parley")
    _copy(HERE / "parley.desktop", share / "applications" / "parley.desktop")
    _copy(CHECKOUT / "resources" / "icons" / "parley.svg", share / "icons/hicolor/scalable/apps/parley.svg")
    _copy(bundle / "_internal" / "resources" / "licences.txt", share / "doc" / "parley" / "copyright")
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    (tree / "DEBIAN").mkdir()
    sums = [f"{_digest(path, 'md5')}  {path.relative_to(tree)}\n" for path in files]
    _write(tree / "DEBIAN" / "md5sums", "".join(sums))
    control = CONTROL.format(
        version=version,
        kilobytes=sum(path.stat().st_size for path in files) // 1024,
        depends=", ".join(DEPENDS),
        recommends=", ".join(RECOMMENDS),
    )
    _write(tree / "DEBIAN" / "control", control)
    package = to / f"parley_{version}_amd64.deb"
    build = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z6", "--build", str(tree), str(package)]
    subprocess.run(build, env=os.environ | {"SOURCE_DATE_EPOCH": str(_epoch())}, stdout=subprocess.DEVNULL, check=True)
    return package


def make_tar(bundle: Path, version: str, tree: Path, to: Path) -> Path:
    """The archive for every other system: one folder that runs where it is unpacked, and a script for the menu."""
    name = f"parley-{version}-linux-x86_64"
    folder = tree / name
    _link_tree(bundle, folder)
    _copy(HERE / "install.sh", folder / "install.sh", mode=0o755)
    _copy(HERE / "parley.desktop", folder / "share" / "parley.desktop")
    _copy(CHECKOUT / "resources" / "icons" / "parley.svg", folder / "share" / "parley.svg")
    archive = to / f"{name}.tar.xz"
    same = ["--sort=name", f"--mtime=@{_epoch()}", "--owner=0", "--group=0", "--numeric-owner", "--hard-dereference"]
    same += ["--format=gnu", "--mode=u+rw,go+r-w,a+X"]
    pack = ["tar", *same, "--use-compress-program=xz -6 -T2", "-C", str(tree), "-cf", str(archive), name]
    subprocess.run(pack, check=True)
    return archive


def _link_tree(source: Path, target: Path) -> None:
    """The same tree in another place, without copying what is in its files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, symlinks=True, copy_function=os.link)


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o644)


def _digest(file: Path, kind: str) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, kind).hexdigest()


def _epoch() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH", EPOCH))


if __name__ == "__main__":
    sys.exit(main())
