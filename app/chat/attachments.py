"""Which files a file dialog offers to attach. Knows neither Qt nor decoding.

Whether a file can really be used only the decoder says, by its content and not by its name; the suffixes here merely
spare the person a useless choice, so a dialog offers "all files" beside them.
"""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv")


def dialog_patterns() -> str:
    """The suffixes as a file dialog takes them, in both cases, since some systems tell them apart: "*.png *.PNG …"."""
    suffixes = PICTURE_SUFFIXES + VIDEO_SUFFIXES
    return " ".join(f"*{spelled}" for suffix in suffixes for spelled in (suffix, suffix.upper()))
