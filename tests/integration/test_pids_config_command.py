"""`estinel pids config`: what it shows, what it finds, and what it never says."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Outcome, estinel, estinel_process

SECRET = "geheim"
USABLE = f"""
[consumer]
topic = "CMIP6"
transient_retries = 4

[kafka]
"bootstrap.servers" = "broker.example:9092"
"security.protocol" = "SASL_SSL"
"sasl.mechanisms" = "PLAIN"
"sasl.username" = "me"
"sasl.password" = "{SECRET}"
"ssl.key.password" = "{SECRET}"

[handle]
server_url = "https://handles.example"
prefix = "21.TEST"
username = "300:21.TEST/{SECRET}"
password = "{SECRET}"

[stac]
base_url = "https://stac.example/api"

[plugins.cmip6]
max_parts = 7

[plugins.other]
api_token = "{SECRET}"
since = 2024-01-02
parts = ["a", "b"]
label = "bell \\u0007, \\u009b"
"""

Ask = Callable[..., Outcome]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pids.toml"
    path.write_text(USABLE, encoding="utf-8")
    return path


@pytest.fixture
def ask(file: Path) -> Ask:
    """Calls `estinel pids config` with the file."""

    def call(*words: object, **variables: str) -> Outcome:
        ended = estinel("pids", "config", *words, ESTINEL_PIDS_CONFIG=str(file), **variables)
        assert SECRET not in ended.stdout + ended.stderr
        return ended

    return call


def test_toml_that_is_shown_can_be_read(ask: Ask) -> None:
    ended = ask("show")

    assert (ended.code, ended.stderr) == (0, "")
    shown = tomllib.loads(ended.stdout)
    assert shown["consumer"]["topic"] == "CMIP6"
    assert shown["consumer"]["in_flight"] == 32
    assert shown["consumer"]["transient"]["retries"] == 4
    assert shown["kafka"]["bootstrap.servers"] == "broker.example:9092"
    assert shown["kafka"]["enable.auto.commit"] is False
    assert shown["kafka"]["sasl.password"] == shown["kafka"]["ssl.key.password"] == "(hidden)"
    assert shown["handle"]["username"] == shown["handle"]["password"] == "(hidden)"
    assert "owner" not in shown["handle"]
    assert shown["plugins"]["other"]["parts"] == ["a", "b"]
    assert shown["plugins"]["cmip6"] == {"max_parts": 7}
    assert shown["plugins"]["other"]["api_token"] == "(hidden)"
    assert shown["plugins"]["other"]["label"] == "bell \x07, \x9b"
    assert "\x9b" not in ended.stdout


@pytest.mark.parametrize("words", [("--format", "json"), ("--json",)])
def test_json_says_the_same_and_what_is_not_set(ask: Ask, words: tuple[str, ...]) -> None:
    document = ask("show", *words).document

    assert document["handle"]["owner"] is None
    assert document["plugins"]["other"]["since"] == "2024-01-02"
    assert without_none(document) == tomllib.loads(ask("show").stdout)


def without_none(document: Any) -> Any:
    if not isinstance(document, dict):
        return document
    return {name: without_none(value) for name, value in document.items() if value is not None}


def test_one_table(ask: Ask) -> None:
    assert ask("show", "--section", "stac", "--json").document == {
        "base_url": "https://stac.example/api",
        "timeout": 10.0,
        "collection": "cmip6",
    }
    assert tomllib.loads(ask("show", "--section", "consumer.transient").stdout)["retries"] == 4


@pytest.mark.parametrize(
    ("section", "key", "toml", "value"),
    [
        ("kafka", "group.id", '"piddiplatsch-001"\n', "piddiplatsch-001"),
        ("kafka", "sasl.password", '"(hidden)"\n', "(hidden)"),
        ("consumer", "max_errors", "1\n", 1),
        ("consumer.transient", "stop_on_skip", "true\n", True),
        ("handle", "owner", "", None),
        ("plugins.cmip6", "max_parts", "7\n", 7),
    ],
)
def test_one_value(ask: Ask, section: str, key: str, toml: str, value: object) -> None:
    assert ask("show", "--section", section, "--key", key).stdout == toml
    assert ask("show", "--section", section, "--key", key, "--json").document == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--section", "kafak"), "did you mean kafka?"),
        (("--section", "stac", "--key", "base"), "stac.base is no key: did you mean base_url?"),
        (("--key", "topic"), "--key needs --section"),
        (("--format", "yaml"), "yaml"),
    ],
)
def test_what_is_not_there(ask: Ask, words: tuple[str, ...], said: str) -> None:
    ended = ask("show", *words)

    assert ended.code == 3
    assert said in ended.stderr


def test_the_environment_is_in_force(ask: Ask, file: Path) -> None:
    file.write_text('[kafka]\n"bootstrap.servers" = "a:1"\n')

    shown = ask("show", "--json", ESTINEL_PIDS_KAFKA_PASSWORD=SECRET).document

    assert shown["kafka"]["sasl.password"] == "(hidden)"


def test_without_a_file_the_defaults_are_shown() -> None:
    ended = estinel("pids", "config", "show", "--section", "kafka", "--json")

    assert ended.document == {
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "group.id": "piddiplatsch-001",
        "session.timeout.ms": 45_000,
    }


def test_a_usable_configuration_is_valid(ask: Ask, file: Path) -> None:
    ended = ask("validate", "--json")

    assert (ended.code, ended.stderr) == (0, "")
    assert ended.document == {"file": str(file), "valid": True, "faults": [], "warnings": []}
    assert "nothing is wrong" in ask("validate").stdout


def test_warnings_are_printed_and_allowed(ask: Ask, file: Path) -> None:
    file.write_text(f"{USABLE}\n[elasticsearch]\n[cmip6]\nmax_parts = 3\n")

    ended = ask("validate")

    assert ended.code == 0
    assert "[elasticsearch] is not used" in ended.stdout
    assert "[cmip6] is not read" in ended.stdout
    assert ended.stdout.count("warning") == 2


def test_all_faults_are_listed(ask: Ask, file: Path) -> None:
    file.write_text(
        f'[elasticsearch]\n[bogus]\n[consumer]\nmax_errors = 0\n[handle]\npassword = "{SECRET}"\n'
    )

    ended = ask("validate", "--json")

    assert ended.code == 3
    assert not ended.document["valid"]
    assert len(ended.document["faults"]) == 3
    assert len(ended.document["warnings"]) == 1
    lines = ask("validate").stdout.splitlines()
    assert sum(line.startswith("fault") for line in lines) == 3


def test_what_is_missing_is_a_fault() -> None:
    ended = estinel("pids", "config", "validate", "--json")

    assert ended.code == 3
    assert ended.document["file"] is None
    assert [fault.split()[0] for fault in ended.document["faults"]] == [
        "kafka.bootstrap.servers",
        "handle.prefix",
        "handle.server_url",
        "stac.base_url",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("max_parts = 7", "max_parts = -7", "plugins.cmip6 cannot be used: max_parts = -7"),
        ('topic = "CMIP6"', 'processor = "cmip60"', "no plugin is called 'cmip60'"),
        (
            "[handle]",
            '"nonsense" = 3\n[handle]',
            "refused by librdkafka: No such configuration pro",
        ),
        ("[handle]", '"debug" = "nonsense"\n[handle]', "refused by librdkafka: Invalid value"),
        ("[handle]", '"ssl.ca.location" = "/absent"\n[handle]', "ssl.ca.location failed"),
        ('"PLAIN"', f'"{SECRET}"', "(hidden)"),
    ],
)
def test_what_the_plugin_and_librdkafka_refuse(
    ask: Ask, file: Path, old: str, new: str, fault: str
) -> None:
    file.write_text(USABLE.replace(old, new, 1))

    ended = ask("validate", "--json")

    assert ended.code == 3
    (found,) = ended.document["faults"]
    assert fault in found


def test_librdkafka_says_nothing_by_itself(tmp_path: Path, file: Path) -> None:
    file.write_text(USABLE.replace("[handle]", '"debug" = "all"\n[handle]', 1))

    ended = estinel_process(
        "pids", "config", "validate", cwd=tmp_path, ESTINEL_PIDS_CONFIG=str(file)
    )

    assert (ended.code, ended.stderr) == (0, "")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for command in ("show", "validate"):
        ended = estinel(
            *("pids", "config", command, "--json"), ESTINEL_PIDS_CONFIG=str(tmp_path / "absent")
        )
        assert ended.code == 3
        assert "absent of the PID line cannot be read" in ended.document["error"]["message"]


def test_importing_the_command_imports_no_client() -> None:
    clients = ("confluent_kafka", "httpx", "estinel_assets.pids", "tomlkit")
    script = (
        "import sys, estinel_assets.cli.app; "
        f"print([name for name in {clients!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "[]"
