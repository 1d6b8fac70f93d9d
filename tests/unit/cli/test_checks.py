"""The checks of `estinel doctor`: each one passes, and each one can fail."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from estinel_assets.cli import checks as on_this_machine
from estinel_assets.cli.checks import (
    Check,
    Verdict,
    check_dagster_home,
    check_gdal,
    check_packages,
    check_python,
    check_variables,
    installed_version,
    known_variables,
)
from estinel_assets.cli.remote_checks import (
    _check_collection,
    check_cmr,
    check_stac,
    check_store,
    open_store_for_check,
)
from estinel_assets.errors import StoreError
from estinel_assets.settings import (
    CompatibilitySettings,
    Settings,
    StacSettings,
    StoreSettings,
    TransportSettings,
)
from estinel_assets.storage import open_store
from estinel_assets.storage.port import ObjectMeta, ObjectStore, StoredObject
from estinel_assets.transport import RequestsTransport
from tests.support.cmr import page
from tests.support.http import Misbehaviour, RangeServer
from tests.support.replay import Answer, ScriptedServer
from tests.support.stac_api import running_stac_api, stac_collection

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
TRANSPORT = TransportSettings(timeout_s=10)


def verdicts(checks: list[Check]) -> dict[str, Verdict]:
    for check in checks:
        assert (check.remedy is None) == (check.verdict is OK)
    return {check.name: check.verdict for check in checks}


def test_python() -> None:
    assert check_python().verdict is OK
    assert check_python((3, 10, 9)).verdict is FAIL


REQUIREMENTS = [
    "boto3>=1.40",
    "dagster<1.14,>=1.13",
    'rasterio<1.5,>=1.4.4; extra == "imagery"',
    'pyproj>=3.7; extra == "imagery"',
    'uvicorn>=0.35; extra == "serve"',
    'pytest>=8; extra == "test"',
]
COMPLETE = {"boto3": "1.44", "dagster": "1.13.2", "rasterio": "1.4.4", "pyproj": "3.7"}


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (COMPLETE, {"packages": OK, "packages [imagery]": OK, "packages [serve]": WARN}),
        ({**COMPLETE, "dagster": "1.14.0"}, {"packages": FAIL}),
        ({**COMPLETE, "rasterio": "1.3"}, {"packages": OK, "packages [imagery]": FAIL}),
        ({"boto3": "2", "pyproj": "4"}, {"packages": FAIL, "packages [imagery]": FAIL}),
        ({}, {"packages": FAIL, "packages [imagery]": WARN}),
    ],
)
def test_packages(installed: dict[str, str], expected: dict[str, Verdict]) -> None:
    found = verdicts(check_packages(REQUIREMENTS, installed.get))
    assert found.items() >= expected.items()


def test_a_package_that_does_not_fit_is_named() -> None:
    first, *_ = check_packages(REQUIREMENTS, {**COMPLETE, "dagster": "1.12.0"}.get)
    assert first.found == "dagster 1.12.0 is not <1.14,>=1.13"


def test_installed_version() -> None:
    assert installed_version("typer") is not None
    assert installed_version("no-such-package-here") is None


def test_gdal(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check_gdal()
    assert found.verdict is OK
    assert "GDAL 3." in found.found
    monkeypatch.setitem(sys.modules, "rasterio", None)  # makes its import fail
    assert check_gdal().verdict is FAIL
    monkeypatch.setattr(on_this_machine, "installed_version", lambda _: None)
    assert check_gdal().verdict is WARN


def test_variables() -> None:
    known = known_variables()
    assert {"ESTINEL_CONFIG", "ESTINEL_STORE_URL", "ESTINEL_STORE"} <= set(known)
    good = {"ESTINEL_STORE_URL": "x", "estinel_log_level": "info", "PATH": "/bin"}
    assert check_variables(good, known).verdict is OK
    bad = check_variables({**good, "ESTINEL_STORRE_URL": "x", "ESTINEL_ZZZZZZ": "y"}, known)
    assert bad.verdict is WARN
    assert bad.remedy is not None
    assert "did you mean ESTINEL_STORE_URL for ESTINEL_STORRE_URL?" in bad.remedy
    assert "unset ESTINEL_ZZZZZZ" in bad.remedy


LIMITED = "concurrency:\n  runs:\n    max_concurrent_runs: 2\n"


@pytest.mark.parametrize(
    ("yaml", "verdict", "mentions"),
    [
        (LIMITED, OK, "at most 2 concurrent runs"),
        ("run_queue:\n  max_concurrent_runs: 3\n", OK, "at most 3"),
        ("concurrency:\n  runs:\n    max_concurrent_runs: -1\n", WARN, "does not limit"),
        ("telemetry:\n  enabled: false\n", WARN, "does not limit"),
        ("", WARN, "does not limit"),
        ("- a list\n", WARN, "does not limit"),
        ("a: [1", FAIL, "cannot be read"),
        (None, FAIL, "no dagster.yaml"),
    ],
)
def test_dagster_yaml(tmp_path: Path, yaml: str | None, verdict: Verdict, mentions: str) -> None:
    if yaml is not None:
        (tmp_path / "dagster.yaml").write_text(yaml)
    found = check_dagster_home({"DAGSTER_HOME": str(tmp_path)})
    assert (found.verdict, mentions in found.found) == (verdict, True), found


@pytest.mark.parametrize(
    ("environment", "mentions"),
    [
        ({}, "not set"),
        ({"DAGSTER_HOME": ""}, "not set"),
        ({"DAGSTER_HOME": "relative"}, "not absolute"),
        ({"DAGSTER_HOME": "/no/such/folder"}, "no folder"),
    ],
)
def test_dagster_home_must_be_there(environment: dict[str, str], mentions: str) -> None:
    found = check_dagster_home(environment)
    assert found.verdict is FAIL
    assert mentions in found.found


def test_a_good_store_is_left_as_it_was(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    store.put("a", b"1")
    assert set(verdicts(check_store(store, "probe")).values()) == {OK}
    assert [meta.path for meta in store.list()] == ["a"]
    assert not (tmp_path / "doctor").exists()


def test_a_store_in_memory_is_warned_about() -> None:
    assert verdicts(check_store(open_store("memory://"), "probe")) == {
        "store": WARN,
        "store is writable": OK,
        "store is conditional": OK,
    }


class Spoiled:
    """A store in memory that does one thing wrong."""

    def __init__(self) -> None:
        self.inner: ObjectStore = open_store("memory://")

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


class Unreachable(Spoiled):
    def head(self, _path: str) -> ObjectMeta:
        raise StoreError("no route")


class Occupied(Spoiled):
    def head(self, _path: str) -> ObjectMeta:
        return self.inner.put("x", b"")


class ReadOnly(Spoiled):
    def put(self, _path: str, _data: bytes) -> ObjectMeta:
        raise StoreError("access denied")

    create = put


class Stale(Spoiled):
    def get(self, path: str) -> StoredObject:
        return StoredObject(b"old", self.inner.head(path))


class Undying(Spoiled):
    def delete(self, _path: str) -> None:
        """Say yes and keep it."""


class Clinging(Spoiled):
    def delete(self, _path: str) -> None:
        raise StoreError("access denied")


class CreatesAlways(Spoiled):
    def create(self, path: str, data: bytes) -> ObjectMeta:
        return self.inner.put(path, data)


class ReplacesAlways(Spoiled):
    def replace(self, path: str, data: bytes, **_: str) -> ObjectMeta:
        return self.inner.put(path, data)


class ReplacesNever(Spoiled):
    def replace(self, _path: str, _data: bytes, **_: str) -> ObjectMeta:
        raise StoreError("not implemented")


@pytest.mark.parametrize(
    ("make", "failed", "mentions"),
    [
        (Unreachable, "store", "no route"),
        (Occupied, "store", "exists already"),
        (ReadOnly, "store is writable", "access denied"),
        (Stale, "store is writable", "reads back differently"),
        (Undying, "store is writable", "cannot be deleted"),
        (Clinging, "store is writable", "access denied"),
        (CreatesAlways, "store is conditional", "created an object where one stood"),
        (ReplacesAlways, "store is conditional", "replaced an object that had changed"),
        (ReplacesNever, "store is conditional", "not implemented"),
    ],
)
def test_each_fault_of_a_store_is_found(
    make: Callable[[], ObjectStore], failed: str, mentions: str
) -> None:
    found = {check.name: check for check in check_store(make(), "probe")}
    assert found[failed].verdict is FAIL
    assert mentions in found[failed].found


def test_a_probe_that_stays_is_warned_about() -> None:
    assert verdicts(check_store(Clinging(), "probe"))["store is clean"] is WARN  # type: ignore[arg-type]


def test_a_store_that_cannot_be_opened(tmp_path: Path) -> None:
    for url in ("ftp://host/x", "s3://bucket?x=1"):
        found = open_store_for_check(Settings(store=StoreSettings(url=url)))
        assert isinstance(found, Check)
        assert found.verdict is FAIL


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    at = StoreSettings(url="s3://bucket", endpoint_url="http://127.0.0.1:1", region="eu-west-1")
    store = open_store_for_check(Settings(store=at, transport=TransportSettings(timeout_s=5)))
    assert not isinstance(store, Check)
    (check,) = check_store(store, "probe")
    assert check.verdict is FAIL
    assert "cannot be reached" in check.found


def test_a_stac_api_and_its_collection(tmp_path: Path) -> None:
    with running_stac_api(tmp_path, [stac_collection("scenes 1")]) as url:
        for address in (url, f"{url}/", f"{url}?key=secret"):
            stac = StacSettings(url=address, collection="scenes 1")
            found = check_stac(stac, TRANSPORT)
            assert verdicts(found) == {"stac api": OK, "stac collection": OK}, found
            assert "secret" not in str(found)
        found = check_stac(StacSettings(url=url, collection="absent"), TRANSPORT)
        assert verdicts(found) == {"stac api": OK, "stac collection": FAIL}
        assert "'absent'" in found[1].found
        assert f"{url}/collections" in str(found[1].remedy)


ROOT = '{"stac_version": "1.0.0", "conformsTo": ["https://x/item-search"]}'


@pytest.mark.parametrize(
    ("body", "misbehaviour", "mentions"),
    [
        (ROOT, Misbehaviour(status=503), "503"),
        (ROOT, Misbehaviour(status=404), "404"),
        (ROOT, Misbehaviour(reset=True), "connection failed"),
        (ROOT, Misbehaviour(delay_s=30), "no answer within"),
        ("<html>", None, "no JSON object"),
        ("[]", None, "no JSON object"),
        ("{}", None, "no STAC API"),
        ('{"stac_version": "1.0.0", "conformsTo": []}', None, "cannot search"),
    ],
)
def test_each_fault_of_a_stac_api_is_found(
    tmp_path: Path, body: str, misbehaviour: Misbehaviour | None, mentions: str
) -> None:
    (tmp_path / "api").write_text(body)
    with RangeServer(tmp_path) as server:
        if misbehaviour is not None:
            server.misbehave("api", misbehaviour)
        stac = StacSettings(url=server.url("api"))
        (found,) = check_stac(stac, TransportSettings(timeout_s=0.3, attempts=5))
        assert server.count("api") == 1
    assert (found.name, found.verdict) == ("stac api", FAIL)
    assert mentions in found.found


def test_a_collection_that_fails_otherwise(tmp_path: Path) -> None:
    (tmp_path / "collections").mkdir()
    (tmp_path / "collections" / "mine").write_text('{"id": "another"}')
    with RangeServer(tmp_path) as server:
        client = RequestsTransport.from_settings(TransportSettings(attempts=1))
        stac = StacSettings(url=server.url(), collection="mine")
        assert _check_collection(client, stac).verdict is FAIL
        server.misbehave("collections/mine", Misbehaviour(status=500))
        failed = _check_collection(client, stac)
        client.close()
    assert failed.verdict is FAIL
    assert "500" in failed.found


def test_a_cmr_is_asked_once_how_much_it_lists() -> None:
    with ScriptedServer(page([], hits=10_752)) as server:
        at = CompatibilitySettings(cmr_url=f"{server.url}/search/")
        eosdis = check_cmr(at, TRANSPORT)
        chosen = check_cmr(at.model_copy(update={"providers": ("POCLOUD", "A B")}), TRANSPORT)
    assert (eosdis.name, eosdis.verdict) == ("cmr", OK)
    assert eosdis.found == f"{server.url}/search/ answers, 10752 collections"
    assert chosen.verdict is OK
    first, second = server.requests
    assert first.path == second.path == "/search/collections.umm_json"
    assert first.query == {
        "has_granules": ["true"],
        "page_size": ["1"],
        "consortium[]": ["EOSDIS"],
    }
    assert second.query["provider[]"] == ["POCLOUD", "A B"]


@pytest.mark.parametrize(
    ("answer", "mentions"),
    [
        (Answer(503, b"tired"), "503"),
        (Answer(reset=True), "connection failed"),
        (Answer.html(), "no JSON object"),
        (Answer.json({"type": "Catalog"}), "is no CMR"),
        (page([], hits=0), "lists no collection of the EOSDIS archives"),
    ],
)
def test_each_fault_of_a_cmr_is_found(answer: Answer, mentions: str) -> None:
    with ScriptedServer(answer) as server:
        found = check_cmr(CompatibilitySettings(cmr_url=f"{server.url}/search"), TRANSPORT)
    assert len(server.requests) == 1
    assert found.verdict is FAIL
    assert mentions in found.found
    assert "ESTINEL_COMPATIBILITY_" in str(found.remedy)
