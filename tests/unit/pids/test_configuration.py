"""The configuration of the PID line: what is read, from where, and what others get from it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from estinel_assets.errors import BadInputError
from estinel_assets.pids.configuration import (
    HandleAddress,
    PidConfiguration,
    handle_login,
    handle_rules,
    kafka_options,
    load_configuration,
    read_configuration,
)
from estinel_assets.pids.configuration_tables import TransientConfiguration
from estinel_assets.pids.identifiers import ForeignPrefix
from estinel_assets.pids.plugins import HandleRules, load_plugin
from estinel_assets.settings import PidSettings, load_settings

Load = Callable[..., PidConfiguration]

LIKE_THE_ORIGINAL = """
[consumer]
processor = "cmip6"
topic = "CMIP6"
output_dir = "outputs"
max_errors = -1

[consumer.transient]
stop_on_skip = true
retries = 3
backoff_initial = 0.5
backoff_max = 5.0
preflight_stac = true

[kafka]
"bootstrap.servers" = "localhost:39092"
"group.id" = "piddiplatsch-001"
"auto.offset.reset" = "earliest"
"enable.auto.commit" = true
"session.timeout.ms" = 45000

[handle]
backend = "pyhandle"
server_url = "http://localhost:8000"
prefix = "21.TEST"
username = "300:21.TEST/testuser"
password = "testpass"

[stac]
base_url = "https://stac.example/api"
timeout = 10
collection = "cmip6"

[elasticsearch]
base_url = "http://elastic.example:9200"
index = "handle_21t14995"

[schema]
strict_mode = true

[plugins.cmip6]
landing_page_url = "https://landing.example/lp"
max_parts = -1
excluded_asset_keys = ["reference_file", "globus", "thumbnail", "quicklook"]

[lookup]
backend = "stac"
enabled = true

[stats]
interval_seconds = 10
summary_interval = 1000
enable_db = true
db_path = "stats.db"
"""
AUTO_COMMIT = (
    "kafka.enable.auto.commit = true is not followed: offsets are committed when outcomes are "
    "stored"
)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Reads a text of TOML."""

    def read(text: str, **secrets: str) -> PidConfiguration:
        file = tmp_path / "pids.toml"
        file.write_text(text, encoding="utf-8")
        return load_configuration(PidSettings.model_validate({"config": file, **secrets}))

    return read


def test_a_file_like_the_original_s_is_read(load: Load, tmp_path: Path) -> None:
    read = load(LIKE_THE_ORIGINAL)

    assert read.file == tmp_path / "pids.toml"
    assert read.consumer.max_errors == -1
    assert read.consumer.output_dir == Path("outputs")
    assert read.stac.base_url == "https://stac.example/api"
    assert read.stac.timeout == 10.0
    assert read.validation.strict_mode
    assert read.missing() == ()
    assert read.need_handle() == HandleAddress("http://localhost:8000", "21.TEST")
    assert handle_rules(read) == HandleRules("21.TEST", strict=True)
    assert sorted(read.warnings) == [
        "[elasticsearch] is not used: versions are looked up in the STAC API",
        "handle.username and handle.password are those of a demo",
        AUTO_COMMIT,
        "stats.enable_db and stats.db_path: not used, counts are in the outcomes",
    ]


def test_the_plugin_takes_its_options(load: Load) -> None:
    read = load(LIKE_THE_ORIGINAL)

    maker = load_plugin("cmip6").configure(handle_rules(read), read.plugin_options)

    assert maker is not None
    assert read.plugin_options["landing_page_url"] == "https://landing.example/lp"


def test_of_the_options_those_of_the_chosen_plugin_count(load: Load) -> None:
    text = "[plugins.other]\nrooms = 3\n[plugins.cmip6]\nmax_parts = 2\n"

    assert load(text).plugin_options == {"max_parts": 2}
    assert load(f'[consumer]\nprocessor = "other"\n{text}').plugin_options == {"rooms": 3}
    assert load('[consumer]\nprocessor = "third"\n').plugin_options == {}


def test_without_a_file_there_are_defaults() -> None:
    read = load_configuration(PidSettings())

    assert read.file is None
    assert read.warnings == ()
    assert (read.consumer.in_flight, read.consumer.flush_messages) == (32, 500)
    assert (read.consumer.flush_seconds, read.consumer.max_message_bytes) == (2.0, 8_388_608)
    assert read.consumer.transient == TransientConfiguration()
    assert read.handle.foreign_prefix is ForeignPrefix.REFUSE
    assert read.kafka.group_id == "piddiplatsch-001"
    assert read.kafka.bootstrap_servers is None
    assert handle_login(read) is None


@pytest.mark.parametrize(
    ("need", "key"),
    [
        (PidConfiguration.need_kafka, "kafka.bootstrap.servers"),
        (kafka_options, "kafka.bootstrap.servers"),
        (PidConfiguration.need_handle, "handle.server_url"),
        (PidConfiguration.need_prefix, "handle.prefix"),
        (handle_rules, "handle.prefix"),
        (PidConfiguration.need_stac, "stac.base_url"),
    ],
)
def test_what_is_needed_is_asked_for(need: Callable[[Any], Any], key: str, load: Load) -> None:
    with pytest.raises(BadInputError, match=rf"{key} is not set: .*ESTINEL_PIDS_CONFIG"):
        need(load_configuration(PidSettings()))
    with pytest.raises(BadInputError, match=rf"{key} is not set: set it in .*pids\.toml"):
        need(load(""))


def test_all_that_is_missing_is_listed_once() -> None:
    missing = load_configuration(PidSettings()).missing()

    assert [one.split()[0] for one in missing] == [
        "kafka.bootstrap.servers",
        "handle.prefix",
        "handle.server_url",
        "stac.base_url",
    ]


def test_what_is_dry_needs_no_service(load: Load) -> None:
    read = load(
        '[handle]\nbackend = "jsonl"\nprefix = "21.TEST"\n[kafka]\n"bootstrap.servers" = "a:1"\n'
    )

    assert read.handle.is_dry
    assert read.missing() == ()


def test_without_lookups_no_stac_api_is_needed(load: Load) -> None:
    read = load(
        '[handle]\nprefix = "21.TEST"\nserver_url = "https://h.example"\n'
        '[kafka]\n"bootstrap.servers" = "a:1"\n[lookup]\nbackend = "es"\nenabled = false\n'
    )

    assert read.missing() == ()


FLAT = """
[consumer]
transient_retries = 7
transient_backoff_initial = 1.5
transient_backoff_max = 9
stop_on_transient_skip = false
preflight_stac = false
"""
NESTED = """
[consumer]
transient.retries = 7
transient.backoff_initial = 1.5
transient.backoff_max = 9.0
transient.stop_on_skip = false
transient.preflight_stac = false
"""


def test_both_spellings_of_transient_keys_say_the_same(load: Load) -> None:
    expected = TransientConfiguration(
        retries=7, backoff_initial=1.5, backoff_max=9.0, stop_on_skip=False, preflight_stac=False
    )

    assert load(FLAT).consumer.transient == expected
    assert load(NESTED).consumer.transient == expected
    assert load(FLAT + NESTED.replace("[consumer]", "")).consumer.transient == expected


def test_spellings_that_differ_are_both_named(load: Load) -> None:
    with pytest.raises(BadInputError) as caught:
        load("[consumer]\ntransient_retries = 2\ntransient.retries = 3\n")

    assert "consumer.transient_retries = 2 and consumer.transient.retries = 3" in str(caught.value)


def test_the_environment_goes_before_the_file(load: Load) -> None:
    text = (
        '[handle]\nusername = "300:21.TEST/one"\npassword = "first"\n'
        '[kafka]\n"sasl.password" = "first"\n"bootstrap.servers" = "a:1"\n'
    )

    read = load(
        text,
        handle_username="301:21.TEST/two",
        handle_password="second",
        kafka_password="third",
    )

    login = handle_login(read)
    assert login is not None
    assert (login.user, login.password) == ("301:21.TEST/two", "second")
    assert kafka_options(read)["sasl.password"] == "third"


def test_the_environment_s_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pids.toml"
    file.write_text('[consumer]\ntopic = "CMIP7"\n')
    monkeypatch.setenv("ESTINEL_PIDS_CONFIG", str(file))
    monkeypatch.setenv("ESTINEL_PIDS_HANDLE_USERNAME", "300:21.TEST/one")
    monkeypatch.setenv("ESTINEL_PIDS_HANDLE_PASSWORD", "geheim")
    monkeypatch.setenv("ESTINEL_PIDS_KAFKA_PASSWORD", "geheimer")

    settings = load_settings()

    assert "geheim" not in repr(settings)
    read = load_configuration(settings.pids)
    assert read.consumer.topic == "CMIP7"
    assert read.handle.password == SecretStr("geheim")
    assert read.kafka.options["sasl.password"] == SecretStr("geheimer")


def test_kafka_s_options_are_passed_on_and_offsets_stay_ours(load: Load) -> None:
    read = load(
        '[kafka]\n"bootstrap.servers" = "a.example:9092, [::1]:9093,SSL://b:9094"\n'
        '"enable.auto.commit" = "true"\n"enable.auto.offset.store" = true\n'
        '"client.id" = "me"\n"check.crcs" = true\n"fetch.wait.max.ms" = 100.0\n'
        '"ssl.key.password" = 1234\n'
    )

    assert kafka_options(read) == {
        "bootstrap.servers": "a.example:9092, [::1]:9093,SSL://b:9094",
        "group.id": "piddiplatsch-001",
        "auto.offset.reset": "earliest",
        "session.timeout.ms": 45_000,
        "enable.auto.commit": "false",
        "enable.auto.offset.store": "false",
        "client.id": "me",
        "check.crcs": "true",
        "fetch.wait.max.ms": 100,
        "ssl.key.password": "1234",
    }
    assert len(read.warnings) == 2


def test_keys_of_kafka_may_stand_without_quotes(load: Load) -> None:
    read = load(
        '[kafka]\nbootstrap.servers = "a:1"\ngroup.id = "mine"\nsession.timeout.ms = 9000\n'
    )

    assert read.need_kafka() == "a:1"
    assert read.kafka.group_id == "mine"
    assert kafka_options(read)["session.timeout.ms"] == 9000


def test_the_older_name_of_the_servers_counts(load: Load) -> None:
    assert load('[kafka]\n"metadata.broker.list" = "a:1"\n').need_kafka() == "a:1"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[cmip6]\nmax_parts = 3\n", "[cmip6] is not read: the options of a plugin belong in"),
        ('[consumer]\nprocessor = "mine"\n[mine]\nx = 1\n', "belong in [plugins.mine]"),
        ("[handle]\nHTTPS_verify = true\n", "handle.HTTPS_verify = true may go"),
        ("[stac]\nverify = true\n", "stac.verify = true may go"),
        ('[stats]\ndb_path = "x.db"\n', "stats.db_path: not used"),
        (
            '[kafka]\n"sasl.username" = "admin"\n"sasl.password" = "admin"\n',
            "kafka.sasl.username and its password are those of a demo",
        ),
        (
            '[handle]\nusername = "300:1.2/ADMIN"\npassword = "admin"\n',
            "handle.username and handle.password are those of a demo",
        ),
        (
            '[handle]\nserver_url = "http://h.example"\nusername = "300:1.2/ME"\npassword = "x"\n',
            "travels unencrypted",
        ),
    ],
)
def test_warnings(load: Load, text: str, warning: str) -> None:
    (found,) = load(text).warnings

    assert warning in found


@pytest.mark.parametrize(
    "url", ["https://handles.example", "http://127.0.0.1:8000", "http://[::1]", "http://localhost"]
)
def test_nothing_is_said_of_a_login_that_nobody_can_read(load: Load, url: str) -> None:
    text = f'[handle]\nserver_url = "{url}"\nusername = "300:1.2/ME"\npassword = "longer"\n'

    assert load(text).warnings == ()


def test_a_statistics_table_that_is_off_is_no_warning(load: Load) -> None:
    assert load('[stats]\nenable_db = false\ndb_path = "x.db"\n').warnings == ()


def test_how_handles_are_registered(load: Load) -> None:
    read = load(
        '[handle]\nprefix = "21.TEST"\nforeign_prefix = "replace"\nowner = "200:0.NA/21.TEST"\n'
        "at_once = 4\ntimeout = 3\nread_first = true\n"
    )

    assert read.handle.owner == "200:0.NA/21.TEST"
    assert (read.handle.at_once, read.handle.timeout, read.handle.read_first) == (4, 3.0, True)
    assert handle_rules(read).foreign_prefix is ForeignPrefix.REPLACE


def test_newer_spellings_of_the_original(load: Load) -> None:
    read = load('[consumer]\nprojects = ["cordex"]\n[handle]\nbackend = "rest"\n')

    assert read.consumer.processor == "cordex"
    assert read.handle.backend == "pyhandle"


def test_it_is_frozen() -> None:
    read = load_configuration(PidSettings())

    with pytest.raises(ValidationError, match="frozen"):
        read.consumer.topic = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        read.consumer = read.consumer  # type: ignore[misc]


def test_secrets_show_nowhere(load: Load) -> None:
    read = load(
        '[handle]\nusername = "300:21.TEST/GEHEIM"\npassword = "geheim-1"\n'
        '[kafka]\n"sasl.password" = "geheim-2"\n"ssl.key.pem" = "geheim-3"\n'
        '"ssl.key.password" = "geheim-4"\n"sasl.oauthbearer.client.secret" = "geheim-5"\n'
        '"ssl.keystore.password" = "geheim-6"\n"sasl.oauthbearer.config" = "geheim-7"\n'
    )

    for text in (repr(read), str(read), read.model_dump_json(), repr(handle_login(read))):
        assert "geheim" not in text.lower()


def test_reading_keeps_faults_and_warnings_apart(tmp_path: Path) -> None:
    file = tmp_path / "pids.toml"
    file.write_text("[elasticsearch]\n[consumer]\nmax_errors = 0\n")

    reading = read_configuration(PidSettings(config=file))

    assert reading.configuration is None
    assert len(reading.faults) == 1
    assert len(reading.warnings) == 1


def test_reading_needs_no_client_of_any_service() -> None:
    script = (
        "import sys; from estinel_assets.pids import configuration, configuration_show; "
        "from estinel_assets.settings import PidSettings; "
        "configuration.load_configuration(PidSettings()); "
        "print([name for name in ('confluent_kafka', 'httpx', 'dagster') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "[]"
