"""Numbers as the person reads them. Knows no widget."""

GIB = 2**30


def tokens(count: int) -> str:
    """A count, with its thousands apart: 1,340."""
    return f"{count:,}"


def short_tokens(count: int) -> str:
    """A count in little space: 940, 45.6K, 74K, 1.0M."""
    if count < 1000:
        return str(count)
    if count < 1_000_000:
        thousands = count / 1000
        return f"{thousands:.1f}".removesuffix(".0") + "K"
    return f"{count / 1_000_000:.1f}M"


def size(count: int) -> str:
    """Bytes in a unit that fits: 12 MB, 3.2 GB."""
    for unit, step in (("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)):
        if count >= step:
            value = count / step
            return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
    return f"{count} bytes"


def gib(count: int) -> str:
    """Bytes of memory, without the unit: 21.6."""
    return f"{count / GIB:.1f}"


def seconds(value: float) -> str:
    """A duration: 0.24 s, 3.4 s, 12 s, 2 min 5 s."""
    if value < 1:
        return f"{value:.2f} s"
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def whole_seconds(value: float) -> str:
    """A duration that is counted while one looks: 12 s, 2 min 5 s."""
    return f"{int(value)} s" if value < 60 else f"{int(value // 60)} min {int(value % 60)} s"
