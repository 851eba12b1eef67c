"""One request: through the proxy of the environment, over redirects, with the token only where it is needed.

Knows HTTP and what its failures mean for the person. Does not know: repositories, files, how often to try again. No
token and no code of ours decides where a redirect leads, so it may not lead from an encrypted line to an open one, and
the token goes to the hub's own address alone, and only once the hub has refused to answer without it.
"""

import email.utils
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from functools import cache
from http.client import HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from app import __version__
from app.download.errors import DownloadError, LineError

_PASSING = {408, 425, 429, 500, 502, 503, 504}
_LIMIT_ENDS = re.compile(r";\s*t\s*=\s*(\d+)")
_HERE = {"localhost", "127.0.0.1", "::1"}
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)
"""Where Linux systems keep what they trust: the OpenSSL of a frozen program looks where its build machine had it."""


class Web:
    """Opens addresses for one download. `endpoint` is the hub's address, `seconds` the longest silence."""

    def __init__(self, endpoint: str, token: str, seconds: float) -> None:
        self._home = _origin(endpoint)
        # A mirror on this machine may be plain; anywhere else a token does not travel in the open.
        self._token = token if self._home[0] == "https" or self._home[1] in _HERE else ""
        self._token_needed = False
        self._seconds = seconds
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=_trust()), _Redirects(self._authorize)
        )

    def open(self, url: str, begin: int, what: str) -> tuple[http.client.HTTPResponse, int]:
        """The answer's body from byte `begin` on, and at which byte it really begins: 0 where ranges are ignored.

        `what` names the thing in sentences. Raises `LineError` for what may pass and `DownloadError` for what does not.
        """
        request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310 - checked in `Hub`
        request.add_header("User-Agent", f"Parley/{__version__}")
        if begin:
            request.add_header("Range", f"bytes={begin}-")
        self._authorize(request)
        try:
            response = self._opener.open(request, timeout=self._seconds)
        except urllib.error.HTTPError as error:
            with error:
                if self._wants_token(error):
                    self._token_needed = True
                    return self.open(url, begin, what)
                raise self._refused(error, what) from error
        except (OSError, http.client.HTTPException) as error:
            raise line_error(error) from error
        return response, _begin(response, begin)

    def _authorize(self, request: urllib.request.Request) -> None:
        if self._token_needed and _origin(request.full_url) == self._home:
            # Not copied to where a redirect leads; the handler asks again there.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")

    def _wants_token(self, error: urllib.error.HTTPError) -> bool:
        at_home = _origin(error.url) == self._home
        return error.code in {401, 403} and at_home and bool(self._token) and not self._token_needed

    def _refused(self, error: urllib.error.HTTPError, what: str) -> DownloadError | LineError:
        host = urlsplit(error.url).hostname or self._home[1]
        at_home = _origin(error.url) == self._home
        if error.code in _PASSING:
            asked = _asked_to_wait(error.headers)
            return LineError(f"{host} is busy or out of order ({error.code})", asked)
        if error.code in {401, 403, 404, 410} and not at_home:
            return LineError(f"{host} did not give the file ({error.code})")  # its leave to do so runs out with time
        if error.code in {401, 403}:
            return DownloadError(
                "repository",
                f"{host} does not give {what} without permission, if it exists at all: check the name, accept the "
                "licence on its page, and put your access token into HF_TOKEN.",
            )
        if error.code in {404, 410}:
            return DownloadError("repository", f"{host} has no {what}; check the name.")
        if error.code < 400:
            return _astray(host)
        return DownloadError(
            "network", f"{host} answered with an error for {what} ({error.code}); try again later, or check the proxy."
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where files really lie, which is another host for large ones."""

    def __init__(self, authorize: Callable[[urllib.request.Request], None]) -> None:
        self._authorize = authorize

    def redirect_request(  # noqa: PLR0917 - the library's own signature
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in {"https", req.type}:
            raise _astray(urlsplit(req.full_url).hostname)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            self._authorize(request)
        return request


def line_error(error: Exception) -> LineError | DownloadError:
    """What the network's own exceptions mean."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return DownloadError(
            "network",
            f"The other side's certificate cannot be trusted ({cause.verify_message}), so nothing is fetched; check "
            "this machine's date, and whether the network or a proxy steps in between.",
        )
    if isinstance(cause, TimeoutError):
        return LineError("no answer came")
    if isinstance(cause, OSError):
        return LineError((cause.strerror or type(cause).__name__).rstrip(".").lower())
    return LineError(f"the answer was cut short or is no HTTP ({type(error).__name__})")


def _astray(host: str | None) -> DownloadError:
    return DownloadError(
        "network",
        f"{host} sends Parley on to where it does not follow; check the network and the proxy, and try again.",
    )


def _begin(response: http.client.HTTPResponse, asked: int) -> int:
    """At which byte the body begins. Raises `LineError` for an answer that fits no question."""
    fits = response.headers.get("Content-Encoding", "identity") == "identity"
    if fits and response.status == 200:
        return 0
    if fits and response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {asked}-"):
        return asked
    response.close()
    raise LineError(f"the answer does not fit the question ({response.status})")


def _asked_to_wait(headers: Message) -> float | None:
    """`Retry-After` in seconds from now, which is a number or a date; or when the hub's `RateLimit` begins anew."""
    limit = _LIMIT_ENDS.search(str(headers.get("RateLimit", "")))
    value = str(headers.get("Retry-After", limit[1] if limit else "")).strip()
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


@cache
def _trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    places = ssl.get_default_verify_paths()
    if os.name == "posix" and places.cafile is None and places.capath is None:
        for certificates in _CERTIFICATES:
            if Path(certificates).is_file():
                context.load_verify_locations(certificates)
                break
    return context
