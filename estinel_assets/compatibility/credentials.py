"""Earthdata Login: credentials for files that refuse to be read without.

They come from the settings, else from a netrc file, and are looked for only when a server has
refused a file. They are sent over HTTPS (over HTTP to this machine alone), the password only to
the hosts of the login, a token also to NASA's own servers. What a file's server then gives, a
cookie for instance, goes back to that server alone.
"""

import netrc
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from estinel_assets.compatibility.source import Source
from estinel_assets.errors import BadInputError, MissingDependencyError
from estinel_assets.settings import EarthdataSettings

if TYPE_CHECKING:
    import httpx

NASA = ".nasa.gov"
NETRC_VARIABLE = "NETRC"
"""Environment variable that names another netrc than `~/.netrc`."""

_TIMEOUT_S = 20.0
_MOST_REDIRECTS = 10


@dataclass(frozen=True, slots=True)
class Credentials:
    """What Earthdata Login knows somebody by: a token, or a name with a password."""

    token: str | None = field(default=None, repr=False)
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


def find_credentials(settings: EarthdataSettings) -> Credentials | None:
    """Credentials from the settings, else from the netrc file; None where there are none.

    Raises:
        BadInputError: the netrc file cannot be read.
    """
    password = settings.password.get_secret_value() if settings.password else None
    if settings.token is not None:
        return Credentials(settings.token.get_secret_value(), settings.username, password)
    if settings.username is not None and password is not None:
        return Credentials(None, settings.username, password)
    return _from_netrc(settings.login_hosts)


def _from_netrc(hosts: tuple[str, ...]) -> Credentials | None:
    named = os.environ.get(NETRC_VARIABLE)
    try:
        path = Path(named) if named else Path.home() / ".netrc"
        known = netrc.netrc(str(path))
    except (FileNotFoundError, RuntimeError):  # the latter where nobody's home is known
        return None
    except netrc.NetrcParseError as error:
        raise BadInputError(f"{path} line {error.lineno} is no netrc: correct it") from None
    except OSError as error:
        raise BadInputError(f"{path} cannot be read ({error.strerror})") from None
    for host in hosts:
        entry = known.hosts.get(host)
        if entry is not None:
            return Credentials(None, entry[0], entry[2])
    return None


def login_with(
    settings: EarthdataSettings,
    provider: str | None = None,
    *,
    s3_endpoint: Callable[[str], str | None] | None = None,
) -> Callable[[Source], Source | None]:
    """How to get at files that were refused.

    Args:
        settings: where credentials may come from. They are not looked for yet.
        provider: CMR provider of the collection, such as `POCLOUD`; only S3 needs it.
        s3_endpoint: address that gives temporary credentials for a provider's buckets; None asks
            earthaccess.

    Returns:
        A function that is given such a file and returns it with credentials, or None where there
        are none or where they do not help. It raises `MissingDependencyError` if S3 needs
        credentials and earthaccess is not installed, and `httpx.HTTPError` if the login does not
        answer.
    """

    def login(source: Source) -> Source | None:
        credentials = find_credentials(settings)
        if credentials is None:
            return None
        scheme = urlsplit(source.url).scheme
        flow = _Flow(credentials, settings.login_hosts)
        if scheme in {"http", "https"}:
            headers = flow.headers_for(source.url)
            return None if headers is None else replace(source, headers=headers)
        if scheme == "s3" and provider is not None:
            endpoint = (s3_endpoint or _earthaccess_endpoint)(provider)
            config = None if endpoint is None else flow.s3_config(endpoint)
            return None if config is None else replace(source, s3={**source.s3, **config})
        return None

    return login


@dataclass(frozen=True, slots=True)
class _Flow:
    """Follows a file's server to the login and back."""

    credentials: Credentials
    login_hosts: tuple[str, ...]

    def headers_for(self, url: str) -> dict[str, str] | None:
        """Headers with which the file's server answers; None if it still does not."""
        import httpx

        with httpx.Client(timeout=_TIMEOUT_S) as client:
            if self._followed(client, url, body=False) is None:
                return None
            request = client.build_request("GET", url)
            headers = {}
            if "cookie" in request.headers:
                headers["Cookie"] = request.headers["cookie"]
            authorization = self._authorization(url)
            if authorization is not None:
                headers["Authorization"] = authorization
            return headers or None

    def s3_config(self, endpoint: str) -> dict[str, str] | None:
        """Temporary credentials for S3 in obstore's words."""
        import httpx

        with httpx.Client(timeout=_TIMEOUT_S) as client:
            answer = self._followed(client, endpoint, body=True)
            if answer is None:
                return None
        try:
            given = answer.json()
            return {
                "access_key_id": str(given["accessKeyId"]),
                "secret_access_key": str(given["secretAccessKey"]),
                "session_token": str(given["sessionToken"]),
            }
        except (ValueError, KeyError, TypeError):
            return None

    def _followed(self, client: "httpx.Client", url: str, *, body: bool) -> "httpx.Response | None":
        """The answer at the end of all redirects, if it is one of success."""
        import httpx

        target = httpx.URL(url)
        for _ in range(_MOST_REDIRECTS):
            request = client.build_request("GET", target)
            if not body:
                request.headers["Range"] = "bytes=0-0"
            authorization = self._authorization(str(target))
            if authorization is not None:
                request.headers["Authorization"] = authorization
            answer = client.send(request, stream=True)
            try:
                if answer.is_success and body:
                    answer.read()
            finally:
                answer.close()
            if answer.next_request is None:
                # A login page is no file.
                at_login = self._is_login(str(target))
                return answer if answer.is_success and not at_login else None
            target = answer.next_request.url
        return None

    def _authorization(self, url: str) -> str | None:
        """What is sent to a server; None for those that must not see it."""
        import httpx

        if not _is_private(url):
            return None
        known = self.credentials
        host = urlsplit(url).hostname or ""
        login = self._is_login(url)
        if known.token is not None and (login or host.endswith(NASA)):
            return f"Bearer {known.token}"
        if login and known.username is not None and known.password is not None:
            request = httpx.Request("GET", url)
            basic = httpx.BasicAuth(known.username, known.password)
            return next(basic.auth_flow(request)).headers["Authorization"]
        return None

    def _is_login(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.hostname in self.login_hosts or parts.netloc in self.login_hosts


def _is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _earthaccess_endpoint(provider: str) -> str | None:
    try:
        archives = import_module("earthaccess.daac").DAACS
    except ImportError:
        raise MissingDependencyError(
            "reading from S3 in the archive's region needs the package earthaccess: install "
            "estinel-assets[earthdata], or set ESTINEL_COMPATIBILITY_ACCESS to external"
        ) from None
    for archive in archives:
        if provider in archive["cloud-providers"] and archive["s3-credentials"]:
            return str(archive["s3-credentials"])
    return None
