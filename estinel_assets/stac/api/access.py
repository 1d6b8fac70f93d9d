"""Who may write.

Import this only where stac-fastapi is known to be installed: `app.create_app` sees to that.
"""

import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Security
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException
from starlette.requests import Request

from estinel_assets.errors import BadInputError

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class WriteAccess:
    """What a request to write must bring."""

    api_key: str | None = field(repr=False)
    """None: everybody who reaches the API may write, but for web pages of other origins."""
    header: str
    """Name of the header that brings the key."""

    def __post_init__(self) -> None:
        """Refuse what no request could bring.

        Raises:
            BadInputError: the key or the header's name cannot stand in a request; the key is not
                shown.
        """
        if not _TOKEN.fullmatch(self.header):
            raise BadInputError(
                f"the API key's header {self.header!r} is no name of a header: "
                "use letters, digits and dashes"
            )
        key = self.api_key
        if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
            raise BadInputError(
                "the API key is empty or holds a blank, a control character or one beyond ASCII: "
                "choose another one"
            )

    def check(self) -> Callable[..., Awaitable[None]]:
        """A dependency of FastAPI that lets a request pass or raises HTTPException."""
        if self.api_key is None:
            return _refuse_other_origins
        expected = self.api_key.encode()
        header = self.header
        scheme = APIKeyHeader(
            name=header, auto_error=False, description="Asked for by every request that writes."
        )

        async def check_key(given: Annotated[str | None, Security(scheme)]) -> None:
            if not given:
                raise HTTPException(
                    HTTPStatus.UNAUTHORIZED,
                    f"Writing needs the API key: send it in the header {header}",
                    headers={"WWW-Authenticate": "ApiKey"},
                )
            if not hmac.compare_digest(given.encode(), expected):
                raise HTTPException(
                    HTTPStatus.FORBIDDEN, f"The API key in the header {header} is not the right one"
                )

        return check_key


async def _refuse_other_origins(request: Request) -> None:
    # A browser lets any web page send requests to a server on this computer, and says who asks.
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(
            HTTPStatus.FORBIDDEN,
            f"The web page at {origin} may not write: serve with an API key and send that",
        )
