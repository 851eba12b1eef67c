"""What Windows shows under a program's Properties, as the text that PyInstaller reads. Knows a name and a version."""

import re

TEMPLATE = """\
VSVersionInfo(
  ffi=FixedFileInfo(filevers={numbers}, prodvers={numbers}, mask=0x3F, flags=0x0, OS=0x40004, fileType=0x1),
  kids=[
    StringFileInfo([StringTable("040904B0", [
      StringStruct("CompanyName", "The Parley project"),
      StringStruct("FileDescription", {description!r}),
      StringStruct("FileVersion", {version!r}),
      StringStruct("InternalName", {name!r}),
      StringStruct("LegalCopyright", "Apache License 2.0"),
      StringStruct("OriginalFilename", {file!r}),
      StringStruct("ProductName", "Parley"),
      StringStruct("ProductVersion", {version!r}),
    ])]),
    VarFileInfo([VarStruct("Translation", [0x0409, 1200])]),
  ],
)
"""
DESCRIPTIONS = {
    "parley": "Parley",
    "parley-engine": "Parley's engine, which computes",
    "parley-decoder": "Parley's decoder, which reads pictures and videos",
}


def version_resource(name: str, version: str) -> str:
    """The resource of the program `name`. Windows has four numbers; what a version has besides is in its text alone."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if found is None:
        raise ValueError(f"{version} does not begin with three numbers")
    numbers = (*map(int, found.groups()), 0)
    return TEMPLATE.format(
        numbers=numbers, description=DESCRIPTIONS[name], version=version, name=name, file=f"{name}.exe"
    )
