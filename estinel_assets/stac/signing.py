"""Addresses that need a signature get it when they are read, never before.

A signature expires within the hour, so it has no place in a stored table. The Planetary Computer
hands out one token for each storage container (a shared access signature, appended as the query
of an address). The token service is asked through the project's own transport and the tokens are
kept here, per signer: the `planetary-computer` package would bring retries of its own and one
cache, one key and one address for the whole process. Tests hold what is signed against it.

A signed address is a secret: it is never logged and never part of a message.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import requests

from estinel_assets.errors import RetryableError, SourceFault, UnitError, public_url
from estinel_assets.settings import StacSettings
from estinel_assets.stac.bands import Provider
from estinel_assets.stac.source import parse_instant
from estinel_assets.transport import RequestsTransport

T = TypeVar("T")

TOKEN_SERVICE_URL = "https://planetarycomputer.microsoft.com/api/sas/v1/token"  # noqa: S105
"""The Planetary Computer's token service."""

_BLOB_STORAGE = ".blob.core.windows.net"
_PUBLIC_ACCOUNTS = frozenset({"ai4edatasetspublicassets"})
_SIGNATURE_PARTS = frozenset({"st", "se", "sp"})


class HrefSigner(Protocol):
    """Makes an item's addresses readable."""

    def sign(self, href: str) -> str:
        """The address to read now; the same where no signature is needed."""
        ...

    def refresh(self, href: str, refused: str) -> str:
        """The same after a refusal: with another signature than the one that was refused."""
        ...


class Unsigned:
    """An `HrefSigner` for sources that anybody may read."""

    def sign(self, href: str) -> str:
        """The address as it is."""
        return href

    def refresh(self, href: str, refused: str) -> str:  # noqa: ARG002 - there is no other
        """The address as it is."""
        return href


@dataclass(frozen=True, slots=True)
class StorageToken:
    """Access to one storage container for a while."""

    query: str = field(repr=False)
    """What is appended to an address. A secret."""
    expires: datetime
    """UTC."""


FetchToken = Callable[[str, str], StorageToken]
"""Gets a new token for a storage account and container."""


class PlanetaryComputerSigner:
    """An `HrefSigner` for the Planetary Computer's storage. Safe to share between threads."""

    def __init__(
        self,
        fetch: FetchToken,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        margin: timedelta = timedelta(minutes=5),
    ) -> None:
        """Start without tokens.

        Args:
            fetch: gets a new token.
            now: the time, timezone-aware.
            margin: a token this close to its end is replaced, so that no read outlives it.
        """
        self._fetch = fetch
        self._now = now
        self._margin = margin
        self._tokens: dict[tuple[str, str], StorageToken] = {}
        self._lock = threading.Lock()

    def sign(self, href: str) -> str:
        """The address with a token that is valid for a while yet.

        Raises:
            RetryableError: the token service does not answer, or not with a token.
            PermanentError: it refuses.
        """
        return self._signed(href)

    def refresh(self, href: str, refused: str) -> str:
        """The address with another token than the refused one has.

        Many files that are read together are refused together: one of them fetches the new token.

        Raises:
            RetryableError: the token service does not answer, or not with a token.
            PermanentError: it refuses.
        """
        return self._signed(href, refused)

    def _signed(self, href: str, refused: str | None = None) -> str:
        container = storage_container(href)
        if container is None:
            return href
        # One at a time: many readers that start together need one token, not one each.
        with self._lock:
            token = self._tokens.get(container)
            if (
                token is None
                or (refused is not None and refused.endswith(token.query))
                or token.expires - self._now() <= self._margin
            ):
                token = self._fetch(*container)
                self._tokens[container] = token
        return f"{href}{'&' if urlsplit(href).query else '?'}{token.query}"


def storage_container(href: str) -> tuple[str, str] | None:
    """The storage account and container whose token an address needs.

    Args:
        href: of an asset.

    Returns:
        None where no token is needed: other hosts, public accounts, addresses signed already.
    """
    parts = urlsplit(href)
    host = parts.hostname or ""
    account = host.removesuffix(_BLOB_STORAGE)
    container = parts.path.lstrip("/").split("/", 1)[0]
    if not host.endswith(_BLOB_STORAGE) or account in _PUBLIC_ACCOUNTS or not container:
        return None
    if _SIGNATURE_PARTS & parse_qs(parts.query).keys():
        return None
    return account, container


@dataclass(frozen=True, slots=True)
class TokenService:
    """A `FetchToken` that asks the Planetary Computer's token service."""

    transport: RequestsTransport
    """Sends the requests."""
    url: str = TOKEN_SERVICE_URL
    """Address of the service."""
    api_key: str | None = field(default=None, repr=False)
    """Subscription key, for longer-lived tokens."""

    def __call__(self, account: str, container: str) -> StorageToken:
        """Get a new token.

        Raises:
            RetryableError: no answer, or one without token and expiry (corrupt).
            PermanentError: the service refuses.
        """
        url = f"{self.url.rstrip('/')}/{quote(account, safe='')}/{quote(container, safe='')}"
        headers = {"Ocp-Apim-Subscription-Key": self.api_key} if self.api_key else None
        response = self.transport.send(requests.Request("GET", url, headers=headers))
        try:
            document = json.loads(response.content)
        except ValueError:
            document = None
        if isinstance(document, dict):
            query, expires = document.get("token"), parse_instant(document.get("msft:expiry"))
            if isinstance(query, str) and query and expires is not None:
                return StorageToken(query.removeprefix("?"), expires)
        raise RetryableError(
            SourceFault.CORRUPT, f"{public_url(url)} answered without a token and its expiry"
        )


def signer_for(stac: StacSettings, transport: RequestsTransport) -> HrefSigner:
    """The signer that the settings' provider needs.

    Args:
        stac: says who the provider is and holds the subscription key.
        transport: sends the requests for tokens.
    """
    if Provider(stac.provider) is not Provider.PLANETARY_COMPUTER:
        return Unsigned()
    key = stac.api_key.get_secret_value() if stac.api_key else None
    return PlanetaryComputerSigner(TokenService(transport, api_key=key))


def read_signed(signer: HrefSigner, href: str, read: Callable[[str], T]) -> T:
    """Read an address with a signature, once more with a new one if it is refused.

    Args:
        signer: signs.
        href: not signed.
        read: reads a signed address; says "forbidden" with a `UnitError` of that reason.

    Raises:
        UnitError: what `read` or the signer raise; a second refusal is final.
    """
    signed = signer.sign(href)
    try:
        return read(signed)
    except UnitError as error:
        if error.reason != SourceFault.FORBIDDEN:
            raise
    return read(signer.refresh(href, signed))
