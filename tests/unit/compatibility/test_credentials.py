"""Earthdata Login against a login and an archive on this machine."""

import sys
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from estinel_assets.compatibility import credentials
from estinel_assets.compatibility.credentials import Credentials, find_credentials, login_with
from estinel_assets.compatibility.ending import CheckEndedError
from estinel_assets.compatibility.opening import OpenArrays, open_source
from estinel_assets.compatibility.reasons import CompatibilityReason
from estinel_assets.compatibility.source import Source
from estinel_assets.errors import BadInputError, MissingDependencyError
from estinel_assets.settings import EarthdataSettings
from tests.support.granules import grid, write_netcdf
from tests.support.login import LoginServer

HOSTS = ("localhost",)
KNOWN = EarthdataSettings(username="somebody", password=SecretStr("open sesame"), login_hosts=HOSTS)
WITH_TOKEN = EarthdataSettings(token=SecretStr("a-token"), login_hosts=HOSTS)


@pytest.fixture(autouse=True)
def _nobodys_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "absent"))


def _netrc(path: Path, content: str) -> Path:
    path.write_text(content)
    path.chmod(0o600)
    return path


def test_the_settings_come_before_the_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "machine urs.earthdata.nasa.gov login me password pw\n"
    monkeypatch.setenv("NETRC", str(_netrc(tmp_path / "netrc", content)))
    assert find_credentials(EarthdataSettings()) == Credentials(None, "me", "pw")
    assert find_credentials(WITH_TOKEN) == Credentials("a-token", None, None)
    assert find_credentials(KNOWN) == Credentials(None, "somebody", "open sesame")


def test_the_netrc_at_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETRC")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_credentials(EarthdataSettings()) is None
    _netrc(tmp_path / ".netrc", "machine urs.earthdata.nasa.gov login me password pw\n")
    assert find_credentials(EarthdataSettings()) == Credentials(None, "me", "pw")


def test_a_netrc_for_others_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "machine example.org login me password pw\n"
    monkeypatch.setenv("NETRC", str(_netrc(tmp_path / "netrc", content)))
    assert find_credentials(EarthdataSettings()) is None


def test_a_broken_netrc_is_named_but_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _netrc(tmp_path / "netrc", "machine a login me password pw\nnonsense hush\n")
    monkeypatch.setenv("NETRC", str(path))
    with pytest.raises(BadInputError, match="line 2") as caught:
        find_credentials(EarthdataSettings())
    assert "hush" not in str(caught.value)
    monkeypatch.setenv("NETRC", str(tmp_path))
    with pytest.raises(BadInputError, match="cannot be read"):
        find_credentials(EarthdataSettings())


def test_credentials_are_not_shown() -> None:
    assert "hush" not in repr(Credentials("hush", "hush", "hush"))


@pytest.mark.parametrize("settings", [KNOWN, WITH_TOKEN])
def test_a_file_behind_the_login_is_read(tmp_path: Path, settings: EarthdataSettings) -> None:
    write_netcdf(tmp_path / "a.nc", grid())
    with LoginServer(tmp_path) as server:
        source = Source(server.archive("a.nc"), "nc", "xarray")
        with open_source(source, login_with(settings)) as opened:
            assert isinstance(opened, OpenArrays)
            assert list(opened.dataset) == ["sst"]
        # The archive sees a cookie of its own, and no credentials.
        assert server.sent_to("127.0.0.1", "Authorization") == set()
        assert server.sent_to("127.0.0.1", "Cookie") == {"session=yes"}
        assert server.sent_to("localhost", "Cookie") == set()
        assert len(server.sent_to("localhost", "Authorization")) == 1


def test_without_credentials_a_login_page_is_a_refusal(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "a.nc", grid())
    with LoginServer(tmp_path) as server:
        source = Source(server.archive("a.nc"), "nc", "xarray")
        with pytest.raises(CheckEndedError, match="a web page came in place of the file") as ended:
            open_source(source, login_with(EarthdataSettings(login_hosts=HOSTS)))
        assert ended.value.reason == CompatibilityReason.FORBIDDEN
        assert "ESTINEL_EARTHDATA_TOKEN" in str(ended.value.hint)
        assert server.sent_to("localhost", "Authorization") == set()


def test_wrong_credentials_help_nobody(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "a.nc", grid())
    settings = KNOWN.model_copy(update={"password": SecretStr("wrong")})
    with LoginServer(tmp_path) as server:
        assert login_with(settings)(Source(server.archive("a.nc"), "nc", "xarray")) is None


def test_a_login_that_leaves_nothing_to_send_does_not_help(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "a.nc", grid())
    with LoginServer(tmp_path, gives_cookies=False) as server:
        assert login_with(KNOWN)(Source(server.archive("a.nc"), "nc", "xarray")) is None


def test_a_token_goes_to_no_stranger(tmp_path: Path) -> None:
    (tmp_path / "bearer").mkdir()
    write_netcdf(tmp_path / "bearer" / "a.nc", grid())
    with LoginServer(tmp_path) as server:
        source = Source(server.archive("bearer/a.nc"), "nc", "xarray")
        assert login_with(WITH_TOKEN)(source) is None
        assert server.sent_to("127.0.0.1", "Authorization") == set()


def test_nasas_own_servers_get_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "NASA", "127.0.0.1")
    (tmp_path / "bearer").mkdir()
    write_netcdf(tmp_path / "bearer" / "a.nc", grid())
    with LoginServer(tmp_path) as server:
        source = Source(server.archive("bearer/a.nc"), "nc", "xarray")
        with open_source(source, login_with(WITH_TOKEN)) as opened:
            assert opened.source.headers == {"Authorization": "Bearer a-token"}
            assert "a-token" not in repr(opened.source)


@pytest.mark.parametrize(
    ("url", "token", "password"),
    [
        ("https://urs.earthdata.nasa.gov/oauth", True, True),
        ("https://archive.podaac.earthdata.nasa.gov/a.nc", True, False),
        ("https://data.gesdisc.nasa.gov/a.nc", True, False),
        ("http://urs.earthdata.nasa.gov/oauth", False, False),
        ("http://archive.podaac.earthdata.nasa.gov/a.nc", False, False),
        ("https://evilnasa.gov/a.nc", False, False),
        ("https://nasa.gov.evil.invalid/a.nc", False, False),
        ("https://urs.earthdata.nasa.gov@evil.invalid/a.nc", False, False),
        ("https://bucket.s3.us-west-2.amazonaws.com/a.nc", False, False),
    ],
)
def test_who_is_sent_what(url: str, token: bool, password: bool) -> None:
    from estinel_assets.compatibility.credentials import _Flow

    hosts = ("urs.earthdata.nasa.gov",)
    assert (_Flow(Credentials("t"), hosts)._authorization(url) == "Bearer t") is token
    basic = _Flow(Credentials(None, "u", "p"), hosts)._authorization(url)
    assert (basic == "Basic dTpw") is password
    assert basic is None or password


def test_s3_gets_temporary_credentials(tmp_path: Path) -> None:
    asked = []
    with LoginServer(tmp_path) as server:

        def endpoint(provider: str) -> str:
            asked.append(provider)
            return server.archive("s3credentials")

        login = login_with(KNOWN, "POCLOUD", s3_endpoint=endpoint)
        found = login(Source("s3://bucket/a.nc", "nc", "xarray", s3={"region": "us-east-1"}))
    assert asked == ["POCLOUD"]
    assert found is not None
    assert found.s3 == {
        "region": "us-east-1",
        "access_key_id": "AKID",
        "secret_access_key": "sk",
        "session_token": "st",
    }
    assert "AKID" not in repr(found)


def test_s3_without_a_provider_or_an_endpoint_stays_as_it_is() -> None:
    source = Source("s3://bucket/a.nc", "nc", "xarray")
    assert login_with(KNOWN)(source) is None
    assert login_with(KNOWN, "X", s3_endpoint=lambda _: None)(source) is None


def test_s3_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "earthaccess", None)
    with pytest.raises(MissingDependencyError, match=r"estinel-assets\[earthdata\]"):
        login_with(KNOWN, "POCLOUD")(Source("s3://bucket/a.nc", "nc", "xarray"))


def test_a_login_that_is_away_is_told_as_such() -> None:
    with pytest.raises(httpx.ConnectError):
        login_with(KNOWN)(Source("http://127.0.0.1:1/a.nc", "nc", "xarray"))


def test_local_files_need_no_login(tmp_path: Path) -> None:
    assert login_with(KNOWN)(Source((tmp_path / "a.nc").as_uri(), "nc", "xarray")) is None
