"""`estinel doctor` on what a consumer needs: configuration, Kafka, Handle service, STAC API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from estinel_assets.cli.checks import Check, Verdict
from estinel_assets.cli.pids_checks import check_pids
from estinel_assets.demo.kafka_broker import KafkaCluster
from estinel_assets.settings import PidSettings
from tests.support.pid_commands import Desk, desk
from tests.support.web_server import free_port


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster({}) as started:
        yield started


@pytest.fixture
def at(tmp_path: Path, cluster: KafkaCluster) -> Iterator[Desk]:
    with desk(tmp_path, cluster) as opened:
        yield opened


def checked(at: Desk) -> dict[str, Check]:
    config = Path(at.variables["ESTINEL_PIDS_CONFIG"])
    return {one.name: one for one in check_pids(PidSettings(config=config))}


def test_all_is_well(at: Desk) -> None:
    found = checked(at)
    assert {name: one.verdict for name, one in found.items()} == {
        "pids": Verdict.OK,
        "kafka": Verdict.OK,
        "handle service": Verdict.OK,
    }
    assert at.topic in found["kafka"].found
    assert found["handle service"].found == at.handle_url


def test_what_cannot_be_reached_is_told_each_by_itself(at: Desk) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    at.tables["handle"]["server_url"] = nobody
    at.tables["lookup"] = {"enabled": True}
    at.tables["stac"] = {"base_url": nobody}
    at.tables["consumer"]["topic"] = "another"
    found = checked(at)
    assert {name: one.verdict for name, one in found.items()} == {
        "pids": Verdict.OK,
        "kafka": Verdict.FAIL,
        "handle service": Verdict.FAIL,
        "stac of pids": Verdict.FAIL,
    }
    assert "another" in found["kafka"].found
    assert nobody in found["handle service"].found


@pytest.mark.parametrize(
    ("table", "key", "value", "said"),
    [("handle", "prefixx", "21.X", "prefixx"), ("kafka", "no.such.option", "x", "no.such.option")],
)
def test_what_is_wrong_with_the_configuration_is_told_and_nobody_is_asked(
    at: Desk, table: str, key: str, value: str, said: str
) -> None:
    at.tables[table][key] = value
    found = checked(at)
    assert list(found) == ["pids"]
    assert found["pids"].verdict is Verdict.FAIL
    assert said in found["pids"].found
    assert "config validate" in found["pids"].remedy


def test_without_a_file_there_is_nothing_to_look_at() -> None:
    (only,) = check_pids(PidSettings())
    assert only.verdict is Verdict.OK
    assert "not configured" in only.found
