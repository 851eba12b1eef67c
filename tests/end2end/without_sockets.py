"""Parley as a person uses it for a while, in a process tree whose kernel kills whoever opens a connection.

    python -m tests.end2end.without_sockets FOLDER

Linux's seccomp ends any process below this one at the moment in which it makes a socket of the internet's families, in
whatever language it does that; sockets within the machine, such as those of the display, are let through. Prints a line
for each thing that was done.
"""

import ctypes
import os
import platform
import signal
import socket
import struct
import sys
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app import presets, settings
from app.programs import program
from app.settings import Settings
from app.ui.application import Face, prepare
from tests.end2end.person import Person
from tests.media.corpus import shape

ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""What the kernel calls the machine, and the number of its call `socket`."""
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
KILL, ALLOW = 0x80000000, 0x7FFF0000
NUMBER_AT, MACHINE_AT, FIRST_ARGUMENT_AT = 0, 4, 16


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]


def forbid_sockets() -> None:
    """From now on this process and all below it die of a socket to anywhere else. Raises `OSError`."""
    machine, number = ARCHITECTURES[platform.machine()]
    steps = [
        (LOAD, 0, 0, MACHINE_AT),
        (EQUAL, 0, 5, machine),
        (LOAD, 0, 0, NUMBER_AT),
        (EQUAL, 0, 3, number),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (EQUAL, 2, 0, socket.AF_INET),
        (EQUAL, 1, 0, socket.AF_INET6),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, KILL),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    filter_program = _Program(len(steps), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((NO_NEW_PRIVILEGES, 1, 0, 0, 0), (SECCOMP, FILTER, ctypes.byref(filter_program), 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "the kernel does not take the filter")


def dies_of_a_socket() -> bool:
    """Whether a child that tries one is killed, so that the rest means something."""
    child = os.fork()
    if not child:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS


def uses(person: Person, folder: Path) -> None:
    """Ask, show a picture, look something up, look at the models and the connections, check a folder."""
    person.types("What is 37 + 48?")
    assert "85" in person.reads().text
    print("asked", flush=True)  # noqa: T201 - what the test reads
    picture = folder / "drawing.png"
    shape("circle", "red", (320, 240)).save(picture)
    person.drops(picture)
    person.types("What is in the picture?")
    assert "a red circle" in person.reads().text.lower()
    print("looked", flush=True)  # noqa: T201
    QTest.keyClick(person.window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClicks(person.window.shelf.panel.edit, "circle")
    person.waits("it is found", lambda: person.window.shelf.panel.list.count() > 0)
    person.window.shelf.panel.close()
    print("searched", flush=True)  # noqa: T201
    desk = person.window.models
    desk.open()
    person.waits("the computer is described", lambda: desk.found is not None)
    desk.list.check(str(folder), full=True)
    person.waits("the folder is looked at", lambda: not desk.clerk.checks)
    desk.open_connections()
    print("described", flush=True)  # noqa: T201


def main() -> None:
    folder = Path(sys.argv[1])
    os.environ["PARLEY_HOME"] = str(folder / "home")
    forbid_sockets()
    assert dies_of_a_socket()
    settings.save(Settings())
    presets.DEMO = presets.DIRECT_GREEDY
    app = QApplication(["parley"])
    prepare(app)
    face = Face(app, program("engine"), program("decoder"))
    face.show()
    uses(Person(face, folder), folder)
    face.close()
    print("closed", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
