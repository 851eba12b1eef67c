"""What is said of a model in the list and of a download in one line. Knows the words, no widget and no process."""

from app.download.names import MANIFEST
from app.models import recommended
from app.models.catalogue import Kept
from app.protocol import Verified
from app.ui import figures
from app.ui.fetching import Arrival
from app.ui.model_row import Listed
from app.ui.wording import moment, today

GONE = "The folder is gone: {}. Was its disk taken out, or the folder moved?"
UNRECORDED = f"Nothing says what its files should be: there is no {MANIFEST} in its folder."


def details(model: Kept, tokens: int | None, *, in_use: bool) -> str:
    """Size, precision, the `tokens` of context that fit (None: unknown), last use: what of it is known."""
    parts = [figures.size(model.size)] if model.size else []
    parts += [model.precision] if model.precision else []
    if tokens is not None:
        fit = figures.short_tokens(tokens // 1000 * 1000)
        parts.append(f"{fit} tokens fit" if tokens >= 1000 else "does not fit now")
    parts.append("in use" if in_use else f"used {day(model.used_at)}" if model.used_at else "not used yet")
    return " · ".join(parts)


def demo_row(*, in_use: bool) -> Listed:
    """The model that is always there."""
    return Listed("", "Demo model", "Comes with Parley; tiny, runs anywhere, knows little", in_use=in_use)


def checked_words(found: Verified, checked_at: float) -> tuple[str, bool]:
    """What a check found, and whether that is bad."""
    if not found.problems:
        return f"All {found.files} files are as the hub has them; compared {day(checked_at)}.", False
    more = len(found.problems) - 1
    others = f" {more} more {'file is' if more == 1 else 'files are'} not as they should be." if more else ""
    return f"{found.problems[0].message}{others} {way_out(found)}", True


def way_out(found: Verified) -> str:
    """What to do about a check's problems."""
    foreign = {problem.kind for problem in found.problems} == {"foreign"}
    return "Take it out of the folder, then check again." if foreign else "Repair fetches what is not right."


def day(seconds: float) -> str:
    """The day of a moment, in words."""
    when = moment(seconds)
    if when.date() == today():
        return "today"
    year = "" if when.year == today().year else f" {when.year}"
    return f"on {when.day} {when:%B}{year}"


def connection(arrival: Arrival) -> str:
    """The download as the status line says it; empty if nothing is connected."""
    if not arrival.under_way:
        return ""
    share = f" · {100 * arrival.done // arrival.total} %" if arrival.total else ""
    still = f" · {arrival.stage}" if arrival.stage in {"stalled", "waiting"} else share
    return f"Getting {recommended.name_of(arrival.repository)}{still}"
