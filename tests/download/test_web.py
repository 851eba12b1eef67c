"""The token, the proxy, redirects: what is sent to whom."""

from pathlib import Path

import pytest

from app.download.errors import DownloadError
from app.download.hub import endpoint
from tests.download.conftest import Bring
from tests.download.hub import COMMIT, REPOSITORY, Hub

WORD = "open sesame"
ONE = "model-1-of-2.safetensors"


def carriers(hub: Hub) -> list[str]:
    """The paths that were asked for with a token."""
    return [path for path, headers in hub.headers if "Authorization" in headers]


def test_a_token_is_not_sent_to_a_hub_that_does_not_ask(hub: Hub, bring: Bring) -> None:
    bring(token=WORD)
    assert carriers(hub) == []


def test_a_token_is_sent_where_it_is_wanted_and_never_to_the_storage(hub: Hub, bring: Bring) -> None:
    hub.token = WORD
    bring(token=WORD)
    assert f"/{REPOSITORY}/resolve/{COMMIT}/{ONE}" in carriers(hub)
    assert "/cache/config.json" in carriers(hub)
    assert any(path.startswith("/blob/") for path, _ in hub.headers)
    assert not any(path.startswith("/blob/") for path in carriers(hub))


def test_a_wrong_token_is_a_sentence(hub: Hub, bring: Bring) -> None:
    hub.token = WORD
    for token in ("", "wrong"):
        with pytest.raises(DownloadError, match="put your access token into HF_TOKEN"):
            bring(token=token)


def test_the_proxy_of_the_environment_is_used(
    hub: Hub, bring: Bring, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Our hub reads absolute addresses as a proxy gets them, so it serves as one; nothing listens at the address itself.
    monkeypatch.setenv("http_proxy", hub.address)
    monkeypatch.setattr(Hub, "address", property(lambda self: "http://hub.invalid"))
    monkeypatch.setattr(Hub, "storage_address", property(lambda self: "http://storage.invalid"))
    with pytest.raises(DownloadError, match=r"storage\.invalid"):
        bring()  # the listing and the small files come; the storage's own names are not the hub's
    assert (folder / "config.json").is_file()


def test_the_hub_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert endpoint().startswith("https://")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9/")
    assert endpoint() == "http://127.0.0.1:9"
    for wrong in ("ftp://x", "file:///etc", "x", "http://"):
        monkeypatch.setenv("HF_ENDPOINT", wrong)
        with pytest.raises(DownloadError, match="no web address"):
            endpoint()


def test_a_certificate_that_cannot_be_trusted_ends_it_at_once() -> None:
    import ssl
    import urllib.error

    from app.download.web import line_error

    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.verify_message = "self-signed certificate"
    error = line_error(urllib.error.URLError(cause))
    assert isinstance(error, DownloadError)
    assert "cannot be trusted (self-signed certificate)" in str(error)


def test_an_encrypted_line_is_not_left_for_an_open_one() -> None:
    import io
    import urllib.request
    from http.client import HTTPMessage

    from app.download.web import _Redirects

    redirects = _Redirects(lambda request: None)
    request = urllib.request.Request("https://hub.invalid/x")
    with pytest.raises(DownloadError, match="does not follow"):
        redirects.redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "http://hub.invalid/x")
    followed = redirects.redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "https://other.invalid/x")
    assert followed is not None
    assert followed.full_url == "https://other.invalid/x"
