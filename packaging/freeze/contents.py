"""What goes into the frozen programs and what stays out, with the reason of each. Knows no PyInstaller.

The exclusions are what the import contracts forbid anyway (tests/test_imports.py): they make sure that a program cannot
hold what it must not import. One that hid something needed would show in `make smoke`.
"""

import re

QT = ["PySide6", "shiboken6"]
HEAVY = [
    "torch",
    "torchvision",
    "transformers",
    "accelerate",
    "gptqmodel",
    "triton",
    "tokenizers",
    "safetensors",
    "jinja2",
]
PIXELS = ["cv2", "PIL"]

# Declared or offered by libraries, imported by no program of ours; pyarrow and pandas alone take 250 MB. readline is
# under the GPL, and no program of ours has a prompt.
UNUSED = ["datasets", "pyarrow", "pandas", "matplotlib", "tensorboard", "tkinter", "IPython", "pytest", "hypothesis"]
UNUSED += ["readline", "rlcompleter"]

EXCLUDED = {
    "parley": [*UNUSED, *HEAVY, *PIXELS, "numpy"],
    "engine": [*UNUSED, *QT, "cv2"],
    "decoder": [*UNUSED, *QT, *HEAVY],
}

# What torch imports only to compile models, to export or to trace them: the engine for the processor does neither.
# torch.testing's private half and torch.distributed's core are imported with torch itself and stay.
UNUSED_ON_CPU = [
    "torch._inductor",
    "torch._dynamo",
    "torch.onnx",
    "torch.distributed.checkpoint",
    "torch.distributed.fsdp",
    "torch.distributed.pipelining",
    "torch.testing._internal.distributed",
    "torch.utils.benchmark",
    "torch.utils.tensorboard",
    "sympy",
    "mpmath",
    "networkx",
    "setuptools",
]


def excluded(program: str, *, cuda: bool) -> list[str]:
    """The modules that stay out of `program` ("parley", "engine", "decoder")."""
    return EXCLUDED[program] + ([] if cuda else UNUSED_ON_CPU)


# GPTQModel asks for the versions of its neighbours while it is imported.
VERSIONS_ASKED_FOR = [
    "gptqmodel",
    "accelerate",
    "defuser",
    "device-smi",
    "logbar",
    "pypcre",
    "tokenicer",
    "torchao",
    "triton",
]

# Files that no program of ours opens, by their place below `_internal`.
DROPPED = {
    r"torch/bin/(?!torch_shm_manager)": "protoc and test programs",
    r"torch/(include|share|test)/": "for compiling against torch",
    r"torch/.*\.(a|lib|h|hpp|cuh|cmake)$": "the same",
    r"torch/lib/lib(aoti_custom_ops|backend_with_compiler|jitbackend_test|torchbind_test)\.": "torch's own tests",
    r"triton/backends/amd/(lib|include)/": "for AMD; the Python files beside them stay, Triton hashes them",
    r"triton/profiler/|triton/.*/(nvdisasm|cuobjdump)$": "Triton's profiler and disassemblers",
    r"nvidia/.*/lib(nvrtc.*\.alt|cusolverMg|nvblas|nvperf.*)\.so": "no library links to them",
    r"numpy/_core/_(multiarray|umath|rational|struct_ufunc|operand_flag)_tests\.": "NumPy's own tests",
    r"PIL/_imagingtk\.": "for Tk",
    r"PySide6/Qt/plugins/platforms/libq(eglfs|linuxfb|minimalegl|vkkhrdisplay|vnc)": "for devices without a desktop",
    r"PySide6/Qt/plugins/(egldeviceintegrations|generic)/": "the same",
    r"(PySide6/Qt/lib/)?libQt6EglF[Ss]": "the same",
    r"PySide6/Qt/plugins/platformthemes/libqgtk3": "for GTK 3, not shipped; the portal brings the desktop's dialogs",
    r"lib(atk|cairo|gdk_pixbuf|pango|pixman|thai|datrie|fribidi|gio|mount|blkid)[-.\w]*\.so": "what only GTK linked to",
    r"lib(stdc\+\+|gcc_s|expat)\.so": "the system's: a graphics driver may need newer ones, and these come first",
    r"PySide6/Qt/plugins/imageformats/libq(gif|icns|ico|tga|tiff|wbmp|webp)": "the decoder reads foreign pictures",
    r"PySide6/Qt/plugins/(networkinformation|tls)/": "the window opens no connection",
    r"PySide6/Qt/translations/": "Qt's own words; the window speaks English so far",
}
_DROPPED = re.compile("|".join(f"(?:{pattern})" for pattern in DROPPED))

# Only compilers read torch's sources (46 MB), but for the few that torch reads while it is imported: its configurations
# read their own comments, and functions with several signatures their own code.
_SOURCES_OF_TORCH = re.compile(r"torch/(?!.*config[^/]*$|(nn/)?functional\.py$|nn/modules/rnn\.py$).*\.py$")

# Symbol tables, which only debuggers read; 137 MB in the bundle for the processor. Not NVIDIA's libraries, whose
# licence wants them as they are, nor those in `*.libs`, whose headers auditwheel rewrote.
STRIPPED = re.compile(
    r"torch/lib/lib(torch\w*|c10\w*)\.so$|triton/_C/libtriton\.so$|libpython[\d.]+\.so|python[\d.]+/lib-dynload/"
    r"|tokenizers/|safetensors/|numpy/_core/"
)


def is_kept(place: str, *, cuda: bool) -> bool:
    """Whether the file at `place`, relative to `_internal`, goes into the bundle."""
    place = place.replace("\\", "/")
    return _DROPPED.match(place) is None and (cuda or _SOURCES_OF_TORCH.match(place) is None)


def is_stripped(place: str) -> bool:
    """Whether the library at `place` goes in without its symbol table. On Windows there is none in the libraries."""
    return ".so" in place and STRIPPED.match(place) is not None
