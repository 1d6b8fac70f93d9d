"""What a configuration is refused for: each fault by name, all of them at once, no secret."""

from collections.abc import Callable
from pathlib import Path

import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.pids.configuration import load_configuration
from estinel_assets.pids.configuration_kafka import broker_faults, is_secret
from estinel_assets.settings import PidSettings

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Reads a text of TOML, which has a fault, and says what was said."""

    def read(text: str, **secrets: str) -> str:
        file = tmp_path / "pids.toml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(BadInputError) as caught:
            load_configuration(PidSettings.model_validate({"config": file, **secrets}))
        assert str(file) in str(caught.value)
        return str(caught.value)

    return read


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("topic = 3\n", "topic is no table of the configuration"),
        ("[consumr]\n", "[consumr] is no table of the configuration: did you mean consumer?"),
        ("[x_y_z]\n", "[x_y_z] is no table of the configuration; there are: consumer, handle"),
        ("[plugin]\nprocessor = 'cmip6'\n", "did you mean plugins?"),
        ("consumer = 3\n", "consumer must be a table: write [consumer]"),
        ("[consumer]\ntransient = 3\n", "consumer.transient must be a table"),
        ("[consumer]\nmax_eror = 3\n", "consumer.max_eror is no key: did you mean max_errors?"),
        (
            "[consumer.transient]\nretry = 3\n",
            "consumer.transient.retry is no key: did you mean retries?",
        ),
        (
            "[lookup]\ncollection = 'x'\n",
            "lookup.collection is no key: did you mean stac.collection",
        ),
        (
            "[consumer]\ntransient_retrys = 3\n",
            "consumer.transient_retrys is no key: did you mean transient_retries?",
        ),
        ("[consumer]\nmax_errors = 0\n", "consumer.max_errors = 0: must be -1 (never stop) or at"),
        ("[consumer]\nmax_errors = -2\n", "consumer.max_errors = -2: must be -1"),
        (
            "[consumer]\nmax_errors = '3'\n",
            "consumer.max_errors = '3': input should be a valid int",
        ),
        (
            "[consumer]\nmax_errors = true\n",
            "consumer.max_errors = True: input should be a valid i",
        ),
        ("[consumer]\ntopic = 'A,B'\n", "consumer.topic = 'A,B': must be the name of one topic"),
        ("[consumer]\ntopic = '..'\n", "consumer.topic = '..': must be the name of one topic"),
        ("[consumer]\ntopic = ['A']\n", "consumer.topic: input should be a valid string"),
        ("[consumer]\nprocessor = ''\n", "consumer.processor = ''"),
        ("[consumer]\noutput_dir = 3\n", "consumer.output_dir = 3"),
        ("[consumer]\nin_flight = 0\n", "consumer.in_flight = 0: input should be greater"),
        ("[consumer]\nflush_messages = 0\n", "consumer.flush_messages = 0"),
        ("[consumer]\nflush_seconds = 0\n", "consumer.flush_seconds = 0"),
        ("[consumer]\nflush_seconds = inf\n", "consumer.flush_seconds = inf"),
        ("[consumer]\nmax_message_bytes = 0\n", "consumer.max_message_bytes = 0"),
        ("[consumer]\nprojects = 'all'\n", "a consumer has one plugin"),
        ("[consumer]\nprojects = ['a', 'b']\n", "a consumer has one plugin"),
        (
            "[consumer]\nprojects = ['a']\nprocessor = 'b'\n",
            "consumer.projects = ['a'] and consumer.processor = 'b' are the same setting",
        ),
        ("[consumer]\ntransient_retries = -1\n", "consumer.transient.retries = -1"),
        (
            "[consumer.transient]\nbackoff_initial = 6.0\n",
            "consumer.transient: backoff_max must not be less than backoff_initial",
        ),
        (
            "[consumer]\nstop_on_transient_skip = true\ntransient.stop_on_skip = false\n",
            "consumer.stop_on_transient_skip = True and consumer.transient.stop_on_skip = False",
        ),
        ("[handle]\nbackend = 'rset'\n", "handle.backend = 'rset': input should be 'pyhandle' or"),
        ("[handle]\nbackend = 3\n", "handle.backend = 3"),
        ("[handle]\nserver_url = 'ftp://h'\n", "handle.server_url = 'ftp://h': must be an address"),
        ("[handle]\nserver_url = 'https://[h'\n", "handle.server_url = 'https://[h': must be"),
        ("[handle]\nserver_url = 'https://h:99999'\n", "must be an address"),
        ("[handle]\nprefix = '21.TEST/x'\n", "handle.prefix = '21.TEST/x': must be a prefix alone"),
        ("[handle]\nprefix = 'hdl:21'\n", "must be a prefix alone"),
        ("[handle]\nowner = 'me'\n", "handle.owner = 'me': must be index:prefix/suffix"),
        ("[handle]\nat_once = 0\n", "handle.at_once = 0"),
        ("[handle]\ntimeout = nan\n", "handle.timeout = nan"),
        ("[handle]\nforeign_prefix = 'take'\n", "handle.foreign_prefix = 'take'"),
        (
            "[handle]\nHTTPS_verify = false\n",
            "handle.HTTPS_verify: the certificates of servers are",
        ),
        ("[handle]\nverify_https = 0\n", "SSL_CERT_FILE"),
        (
            "[stac]\nverify = false\n",
            "stac.verify: the certificates of servers are always verified",
        ),
        ("[stac]\nbase_url = ''\n", "stac.base_url = '': must be an address"),
        (
            "[lookup]\nbackend = 'es'\n",
            "lookup: versions are looked up in the STAC API: set lookup",
        ),
        ("[lookup]\nbackend = 'sql'\n", "lookup.backend = 'sql'"),
        ("[schema]\nstrict_mode = 1\n", "schema.strict_mode = 1"),
        ("[schema]\nstrict = true\n", "schema.strict is no key: did you mean strict_mode?"),
        ("[stats]\nsummary_interval = 0\n", "stats.summary_interval = 0"),
        ("[plugins]\ncmip6 = 3\n", "plugins.cmip6 must be a table"),
    ],
)
def test_faults(refused: Refused, text: str, fault: str) -> None:
    assert fault in refused(text)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("bootstrap.servers", '"a"', "kafka.bootstrap.servers: 'a' must be host:port"),
        ("bootstrap.servers", '["a:1"]', "must be a text, a number"),
        (
            "bootstrap_servers",
            '"a:1"',
            "kafka.bootstrap_servers is no property of librdkafka: write",
        ),
        ("bootstrap.server", '"a:1"', "write bootstrap.servers"),
        ("auto.offset.reset", '"latest"', "would pass over messages"),
        ("group.id", "3", "kafka.group.id must be the name of a group"),
        ("group.id", '" "', "kafka.group.id must be the name of a group"),
        ("Ä", "3", "kafka.Ä is no property of librdkafka"),
        ("session.timeout.ms", "nan", "kafka.session.timeout.ms must be a text, a number"),
        ("enable.ssl.certificate.verification", "false", "always verified"),
        ("ssl.endpoint.identification.algorithm", '"none"', "always verified"),
    ],
)
def test_faults_of_kafka(refused: Refused, key: str, value: str, fault: str) -> None:
    assert fault in refused(f'[kafka]\n"{key}" = {value}\n')


def test_a_property_in_both_spellings_is_a_fault(refused: Refused) -> None:
    said = refused('[kafka]\n"group.id" = "a"\ngroup.id = "b"\n')

    assert "kafka.group.id is there twice" in said


def test_both_names_of_the_servers_must_agree(refused: Refused) -> None:
    said = refused('[kafka]\n"bootstrap.servers" = "a:1"\n"metadata.broker.list" = "b:1"\n')

    assert "kafka.bootstrap.servers and kafka.metadata.broker.list differ" in said


@pytest.mark.parametrize(
    "servers",
    ["a:1", "a.b-c.example:65535,d:2", " a:1 , [2001:db8::1]:9092", "SASL_SSL://a:1", "10.0.0.1:9"],
)
def test_servers(servers: str) -> None:
    assert broker_faults(servers) == []


@pytest.mark.parametrize(
    "servers",
    [
        *("", "a", "a:", ":1", "a:0", "a:65536", "a:x", "a:1,", "2001:db8::1:9092", "[::1]"),
        *("[a]:1", "a b:1", "a:1;b:2", "user:pw@a:1"),
    ],
)
def test_no_servers(servers: str) -> None:
    assert len(broker_faults(servers)) == 1


def test_all_faults_are_in_one_message(refused: Refused) -> None:
    said = refused(
        "[bogus]\n[consumer]\nmax_errors = 0\ntopic = ''\n[handle]\nprefx = 'x'\nat_once = 0\n"
        '[kafka]\n"group.id" = ""\n[schema]\nstrict_mode = "no"\n[stac]\nbase_url = "x"\n'
    )

    for name in (
        "[bogus]",
        "consumer.max_errors",
        "consumer.topic",
        "handle.prefx",
        "handle.at_once",
        "kafka.group.id",
        "schema.strict_mode",
        "stac.base_url",
    ):
        assert said.count(f"\n  {name}") == 1, name
    assert said.count("\n") == 8


@pytest.mark.parametrize(
    "text",
    [
        '[handle]\nusername = "geheim"\npassword = "geheim"\n',
        '[handle]\npassword = "geheim"\n',
        '[handle]\nusername = "300:21.TEST/geheim"\n',
        '[handle]\nusername = "300:21.TEST/u"\npassword = ["geheim"]\n',
        '[handle]\npasword = "geheim"\n',
        '[handle]\nserver_url = "https://u:geheim@h.example"\n',
        '[handle]\nserver_url = "u:geheim@h.example"\n',
        '[handle]\nserver_url = "https://h.example?key=geheim"\n',
        '[stac]\nbase_url = "https://geheim@h.example"\n',
        '[kafka]\n"sasl.password" = ["geheim"]\n',
        '[kafka]\n"bootstrap.servers" = "user:geheim@a:1"\n',
        '[kafka]\n"sasl_password" = "geheim"\n',
        '[kafka]\n"sasl.pasword" = "geheim"\n',
        '[kafka]\n"sasl.password" = "geheim"\n"group.id" = ""\n',
        '[consumer]\npassword = "geheim"\n',
        '[other]\npassword = "geheim"\n',
    ],
)
def test_a_fault_shows_no_secret(refused: Refused, text: str) -> None:
    assert "geheim" not in refused(text)


def test_half_a_login_names_the_other_half(refused: Refused) -> None:
    assert "ESTINEL_PIDS_HANDLE_PASSWORD" in refused("", handle_username="300:21.TEST/u")
    assert "ESTINEL_PIDS_HANDLE_USERNAME" in refused("", handle_password="geheim")


@pytest.mark.parametrize("content", [b"[kafka", b"\xff\xfe", b"x = \x00"])
def test_no_toml(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pids.toml"
    file.write_bytes(content)

    with pytest.raises(BadInputError, match=r"pids\.toml of the PID line is not TOML"):
        load_configuration(PidSettings(config=file))


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match=r"cannot be read .*ESTINEL_PIDS_CONFIG"):
        load_configuration(PidSettings(config=tmp_path / name))


@pytest.mark.parametrize(
    "key",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "ssl.certificate.pem",
        "ssl.ca.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.token.endpoint.url",
        "sasl.oauthbearer.assertion.private.key.passphrase",
    ],
)
def test_secret_keys(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", ["group.id", "sasl.username", "ssl.ca.location", "open.timeout"])
def test_keys_that_may_be_shown(key: str) -> None:
    assert not is_secret(key)
