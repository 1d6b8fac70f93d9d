"""Signatures: asked for when they are needed, kept while they last, renewed on a refusal."""

import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from estinel_assets.errors import PermanentError, RetryableError, SourceFault, UnitError
from estinel_assets.settings import StacSettings
from estinel_assets.stac.signing import (
    PlanetaryComputerSigner,
    StorageToken,
    TokenService,
    Unsigned,
    read_signed,
    signer_for,
    storage_container,
)
from estinel_assets.transport import RequestsTransport, RetryPolicy
from tests.support.replay import Answer, Request, ScriptedServer, Server

HREF = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/19/P/HS/B04_10m.tif"
OTHER = "https://naipeuwest.blob.core.windows.net/naip/v002/x.tif"
NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


@dataclass
class Tokens:
    """Hands out numbered tokens of 45 minutes and keeps the time."""

    time: datetime = NOON
    lifetime: timedelta = timedelta(minutes=45)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def fetch(self, account: str, container: str) -> StorageToken:
        self.asked.append((account, container))
        return StorageToken(f"sig={len(self.asked)}", self.time + self.lifetime)

    def signer(self) -> PlanetaryComputerSigner:
        return PlanetaryComputerSigner(self.fetch, now=lambda: self.time)


def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    tokens = Tokens()
    signer = tokens.signer()
    assert signer.sign(HREF) == f"{HREF}?sig=1"
    tokens.time += timedelta(minutes=39)
    assert signer.sign(HREF + "f") == f"{HREF}f?sig=1"
    tokens.time += timedelta(minutes=1)
    assert signer.sign(HREF) == f"{HREF}?sig=2"
    assert tokens.asked == [("sentinel2l2a01", "sentinel2-l2")] * 2


def test_each_container_has_its_token() -> None:
    tokens = Tokens()
    signer = tokens.signer()
    assert [signer.sign(href)[-5:] for href in (HREF, OTHER, HREF)] == ["sig=1", "sig=2", "sig=1"]
    assert tokens.asked == [("sentinel2l2a01", "sentinel2-l2"), ("naipeuwest", "naip")]


def test_refresh_gets_a_new_token_and_keeps_it() -> None:
    signer = Tokens().signer()
    first = signer.sign(HREF)
    assert first.endswith("sig=1")
    assert signer.refresh(HREF, first).endswith("sig=2")
    assert signer.sign(HREF).endswith("sig=2")


def test_files_that_are_refused_together_get_one_new_token() -> None:
    tokens = Tokens()
    signer = tokens.signer()
    refused = [signer.sign(HREF), signer.sign(HREF)]
    assert [signer.refresh(HREF, one)[-5:] for one in refused] == ["sig=2", "sig=2"]
    assert len(tokens.asked) == 2


def test_a_token_shorter_than_the_margin_is_used_once() -> None:
    tokens = Tokens(lifetime=timedelta(minutes=1))
    signer = tokens.signer()
    assert [signer.sign(HREF)[-5:], signer.sign(HREF)[-5:]] == ["sig=1", "sig=2"]


NOT_SIGNED = [
    "https://sentinel-cogs.s3.us-west-2.amazonaws.com/a/B04.tif",
    "https://ai4edatasetspublicassets.blob.core.windows.net/assets/x.png",
    f"{HREF}?se=2024-05-17&sp=rl&sig=old",
    "https://account.blob.core.windows.net/",
    "s3://bucket/a.tif",
    "B04.tif",
]


@pytest.mark.parametrize("href", NOT_SIGNED)
def test_addresses_that_need_no_token_stay(href: str) -> None:
    tokens = Tokens()
    assert tokens.signer().sign(href) == href
    assert storage_container(href) is None
    assert tokens.asked == []


def test_an_address_with_a_query_keeps_it() -> None:
    assert Tokens().signer().sign(f"{HREF}?a=b") == f"{HREF}?a=b&sig=1"


def test_the_planetary_computer_package_signs_the_same() -> None:
    with warnings.catch_warnings():
        # The package defines its models in pydantic's old way.
        warnings.simplefilter("ignore", DeprecationWarning)
        from planetary_computer import sas
        from planetary_computer.settings import DEFAULT_SAS_TOKEN_ENDPOINT

        expires = datetime.now(UTC) + timedelta(hours=1)
        keys = [
            f"{DEFAULT_SAS_TOKEN_ENDPOINT}/{part}"
            for part in ("sentinel2l2a01/sentinel2-l2", "naipeuwest/naip")
        ]
        for key in keys:
            sas.TOKEN_CACHE[key] = sas.SASToken(token="st=1&sig=x", expiry=expires)
        try:
            theirs = [sas.sign_url(href) for href in (HREF, OTHER, *NOT_SIGNED[:3])]
        finally:
            for key in keys:
                del sas.TOKEN_CACHE[key]
    signer = PlanetaryComputerSigner(lambda _a, _c: StorageToken("st=1&sig=x", expires))
    assert [signer.sign(href) for href in (HREF, OTHER, *NOT_SIGNED[:3])] == theirs


def test_unsigned_changes_nothing() -> None:
    assert Unsigned().sign(HREF) == HREF
    assert Unsigned().refresh(HREF, HREF) == HREF


@pytest.fixture
def transport() -> RequestsTransport:
    policy = RetryPolicy(
        attempts=3, backoff_s=0, backoff_max_s=0, deadline_s=10, sleep=lambda _seconds: None
    )
    return RequestsTransport(policy, timeout_s=5)


def test_the_token_service_is_asked_over_http_with_key_and_retries(
    transport: RequestsTransport,
) -> None:
    answers = [Answer(503), Answer(reset=True)]

    def answer(request: Request) -> Answer:
        if answers:
            return answers.pop()
        return Answer.json(
            {"msft:expiry": "2024-05-17T12:45:00Z", "token": f"sig={request.path[1:]}"}
        )

    with Server(answer) as server:
        fetch = TokenService(transport, url=server.url + "/", api_key="my-key")
        signer = PlanetaryComputerSigner(fetch, now=lambda: NOON)
        assert signer.sign(HREF) == f"{HREF}?sig=sentinel2l2a01/sentinel2-l2"
        assert signer.sign(HREF) == f"{HREF}?sig=sentinel2l2a01/sentinel2-l2"
        assert len(server.requests) == 3
        assert {request.headers["Ocp-Apim-Subscription-Key"] for request in server.requests} == {
            "my-key"
        }
        TokenService(transport, url=server.url)("a", "b/../c")
        assert server.requests[-1].path == "/a/b%2F..%2Fc"
        assert "Ocp-Apim-Subscription-Key" not in server.requests[-1].headers
    transport.close()


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (Answer(401), PermanentError, SourceFault.FORBIDDEN),
        (Answer(429), RetryableError, SourceFault.UNAVAILABLE),
        (Answer.html(), RetryableError, SourceFault.CORRUPT),
        (Answer.json({"token": "sig=1"}), RetryableError, SourceFault.CORRUPT),
        (
            Answer.json({"token": "", "msft:expiry": "2024-05-17T12:45:00Z"}),
            RetryableError,
            SourceFault.CORRUPT,
        ),
        (Answer.json(["sig=secret"]), RetryableError, SourceFault.CORRUPT),
    ],
)
def test_a_token_service_that_fails(
    transport: RequestsTransport, answer: Answer, kind: type[UnitError], reason: SourceFault
) -> None:
    with ScriptedServer(answer) as server, pytest.raises(kind) as raised:
        TokenService(transport, url=server.url, api_key="my-key")("account", "container")
    transport.close()
    assert raised.value.reason == reason
    assert "my-key" not in str(raised.value)
    assert "sig=" not in str(raised.value)


def test_no_secret_shows_in_a_repr(transport: RequestsTransport) -> None:
    assert "sig=1" not in repr(StorageToken("sig=1", NOON))
    assert "my-key" not in repr(TokenService(transport, api_key="my-key"))


def test_the_provider_decides_about_signing(transport: RequestsTransport) -> None:
    assert isinstance(signer_for(StacSettings(), transport), Unsigned)
    signer = signer_for(StacSettings(provider="planetary-computer", api_key="k"), transport)
    assert isinstance(signer, PlanetaryComputerSigner)


def reading(*failures: UnitError) -> tuple[list[str], object]:
    seen: list[str] = []
    left = list(failures)

    def read(href: str) -> str:
        seen.append(href)
        if left:
            raise left.pop(0)
        return "pixels"

    return seen, read


def test_a_refusal_is_met_with_one_new_signature() -> None:
    refused = RetryableError(SourceFault.FORBIDDEN, "403")
    seen, read = reading(refused)
    assert read_signed(Tokens().signer(), HREF, read) == "pixels"  # type: ignore[arg-type]
    assert seen == [f"{HREF}?sig=1", f"{HREF}?sig=2"]
    seen, read = reading(refused, refused)
    with pytest.raises(RetryableError):
        read_signed(Tokens().signer(), HREF, read)  # type: ignore[arg-type]
    assert len(seen) == 2


def test_another_failure_is_not_met_with_a_new_signature() -> None:
    seen, read = reading(PermanentError(SourceFault.NOT_FOUND, "404"))
    with pytest.raises(PermanentError):
        read_signed(Tokens().signer(), HREF, read)  # type: ignore[arg-type]
    assert len(seen) == 1
