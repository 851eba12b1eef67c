"""Looks a release over and writes its checksums: the last step of `make release`.

Knows: what lies in the folder of packages, the bill of materials that the freeze left there, the pins, the changelog.
Does not know: how any of them was made, or where they are published.

    python packaging/release.py dist

Writes SHA256SUMS beside the packages, in the form that `sha256sum --check` reads, if these hold: every package has the
version of the bill of materials, the changelog has a dated section for it, every Python package in the bill has the
version that the pins name, and nothing in the checkout is uncommitted.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = ("*.deb", "*.tar.xz", "*.AppImage", "*.exe")
BILL = "parley-cpu.cdx.json"
PINS = ("packaging/requirements-bundle-cpu.txt", "packaging/requirements-freeze.txt")
SUMS = "SHA256SUMS"


def main() -> int:
    """Checks and writes; returns the exit status."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    packages = sorted(file for pattern in PACKAGES for file in folder.glob(pattern))
    if not packages or not (folder / BILL).is_file():
        print(f"release: {folder} has no packages with their {BILL}; make them with `make packages`", file=sys.stderr)
        return 2
    bill = json.loads((folder / BILL).read_text(encoding="utf-8"))
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    pins = "\n".join((CHECKOUT / file).read_text(encoding="utf-8") for file in PINS)
    told = complaints(bill, [file.name for file in packages], changelog, pins) + uncommitted()
    for sentence in told:
        print(f"release: {sentence}", file=sys.stderr)
    if told:
        return 1
    files = [*packages, folder / BILL]
    (folder / SUMS).write_text("".join(f"{_sha256(file)}  {file.name}\n" for file in files), encoding="utf-8")
    print(f"release: {len(files)} files are named in {folder / SUMS}; what is left to do is in docs/packaging.md")
    return 0


def complaints(bill: dict[str, Any], packages: list[str], changelog: str, pins: str) -> list[str]:
    """What keeps this from being a release, a sentence each."""
    version = bill["metadata"]["component"]["version"]
    told = [f"{name} is not of version {version}" for name in packages if version not in re.split(r"[-_]", name)]
    heading = re.search(rf"(?m)^## {re.escape(version)}\b.*$", changelog)
    if heading is None or "unreleased" in heading[0]:
        told.append(f"CHANGELOG.md has no dated section for {version}")
    pinned = {_normalized(name): wanted for name, wanted in re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", pins)}
    for component in bill["components"]:
        name, shipped = component["name"], component["version"].partition("+")[0]
        if component["purl"].startswith("pkg:pypi/") and pinned.get(name) != shipped:
            told.append(f"{name} {shipped} is shipped, and the pins say {pinned.get(name, 'nothing')} of it")
    return told


def uncommitted() -> list[str]:
    """One sentence if the checkout is not what its last commit says."""
    status = ["git", "-C", str(CHECKOUT), "status", "--porcelain"]
    done = subprocess.run(status, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return ["this is no checkout, so nobody could say which sources the release is made of"]
    return [f"{len(done.stdout.splitlines())} files are changed and not committed"] if done.stdout else []


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
