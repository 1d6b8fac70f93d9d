"""Kafka as librdkafka speaks it: options, what its errors mean, and what it logs."""

import logging
import re
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException

from estinel_assets.errors import BadInputError, PermanentError, RetryableError
from estinel_assets.logs import MASK, mask_text

KafkaOption = str | int | float | bool
KafkaOptions = Mapping[str, KafkaOption]
"""Values by the names that librdkafka gives them, as in `group.id`."""

DEFAULTS: Final[KafkaOptions] = {
    "auto.offset.reset": "earliest",
    "client.id": "estinel-assets",
    # Few messages are in work at a time; librdkafka would fetch 64 MB ahead of them.
    "queued.min.messages": 1000,
    "queued.max.messages.kbytes": 8 * 1024,
    "fetch.max.bytes": 8 * 1024 * 1024,
    "fetch.queue.backoff.ms": 50,
    # A topic that is unknown for longer is not about to be made; it is to be named at once.
    "topic.metadata.propagation.max.ms": 2000,
}
"""Where the user says nothing."""

FIXED: Final[KafkaOptions] = {"enable.auto.commit": False, "enable.auto.offset.store": False}
"""Whatever the user says: an offset is committed when its message is done, not when it is read."""

_REPEAT_S: Final = 60.0
_FACES: Final = 200
"""So many different log lines are remembered."""
_SECRET: Final = re.compile(r"password|secret|token|credential|\.pem$|oauthbearer\.config$")
_QUOTED: Final = re.compile(r'"([A-Za-z0-9._]+)"')
_SERVER: Final = re.compile(r"([A-Za-z_]+://)?([^\s:/,\[\]@]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_CHANGING: Final = re.compile(r"\d+")
_WHO: Final = re.compile(r"\[[^\]]*#consumer-\d+\] \[thrd:[^\]]*\]: ")

logger = logging.getLogger(__name__)


class KafkaFault(StrEnum):
    """What may go wrong with Kafka, in the words that reasons use."""

    UNAVAILABLE = "kafka_unavailable"
    REFUSED = "kafka_refused"


_TOPIC = "create the topic, or name another one"
_LOGIN = "check security.protocol, sasl.mechanism, sasl.username and sasl.password"
_READING = "let the user read the topic and the group, or log in as another one"
REMEDIES: Final[Mapping[int, str]] = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: _TOPIC,
    KafkaError.UNKNOWN_TOPIC_ID: _TOPIC,
    KafkaError.TOPIC_EXCEPTION: _TOPIC,
    KafkaError._UNKNOWN_TOPIC: _TOPIC,  # noqa: SLF001 - librdkafka's own errors are called so
    KafkaError._UNKNOWN_PARTITION: "name a partition that the topic has",  # noqa: SLF001
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _READING,
    KafkaError.GROUP_AUTHORIZATION_FAILED: _READING,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _READING,
    KafkaError.SASL_AUTHENTICATION_FAILED: _LOGIN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _LOGIN,
    KafkaError.ILLEGAL_SASL_STATE: _LOGIN,
    KafkaError._AUTHENTICATION: _LOGIN,  # noqa: SLF001
    KafkaError.INVALID_GROUP_ID: "choose another group.id",
    KafkaError.INVALID_SESSION_TIMEOUT: "choose a session.timeout.ms that the brokers allow",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: (
        "use the partition.assignment.strategy of the group's other members"
    ),
    KafkaError.UNSUPPORTED_ASSIGNOR: "choose a group.remote.assignor that the brokers know",
    KafkaError.FENCED_INSTANCE_ID: "give each member a group.instance.id of its own",
    KafkaError.UNSUPPORTED_VERSION: "use brokers of a newer version, or other options",
    KafkaError._AUTO_OFFSET_RESET: (  # noqa: SLF001
        "set auto.offset.reset to earliest or latest, or commit an offset that exists"
    ),
}
"""What to do about errors that would come again, by code; all others may pass."""


class KafkaClient:
    """A consumer of librdkafka, with its options checked, and what is known of its troubles.

    Args:
        options: the user's, secrets included; `bootstrap.servers` and `group.id` are needed.
        fixed: win over the user's.

    Raises:
        BadInputError: options are missing, unknown or unusable.
    """

    def __init__(self, options: KafkaOptions, **fixed: KafkaOption) -> None:
        check_options(options)
        self._options = {**DEFAULTS, **options, **FIXED}
        self._options.update((name.replace("_", "."), value) for name, value in fixed.items())
        self.servers: Final = mask_text(str(options["bootstrap.servers"]))
        self.group: Final = str(options["group.id"])
        self.reset: Final = str(self._options["auto.offset.reset"])
        self._log = _Log(self._options)
        self._last_error = ""
        self._refused: KafkaError | None = None
        self.silent_since: float | None = time.monotonic()
        """Since when no broker has given a sign of life; None while there is no doubt."""
        self._broken = ""
        """Why it cannot go on; empty while it can."""
        self.consumer: Final = Consumer(
            {**_plain(self._options), "error_cb": self._erred}, logger=self._log
        )

    def alive(self) -> None:
        """A broker has answered."""
        self.silent_since = None
        self._last_error = ""

    def note(self, text: str) -> None:
        """Log a trouble that librdkafka deals with by itself, but not over and over again."""
        self._log.log(logging.WARNING, "%s", text)

    def failure(self, error: KafkaError, what: str) -> PermanentError | RetryableError:
        """An error in our words.

        Args:
            error: librdkafka's.
            what: could not be done, as in `the topic a cannot be read`.
        """
        said = self._log.without_secrets(error.str().strip().rstrip("."))
        if error.code() == KafkaError._FATAL:  # noqa: SLF001
            return RetryableError(
                KafkaFault.UNAVAILABLE,
                f"{what}: the client of Kafka cannot go on ({said}); start again, and where "
                "group.instance.id is set, give each member one of its own",
            )
        if (remedy := REMEDIES.get(error.code())) is not None:
            return PermanentError(
                KafkaFault.REFUSED, f"{what}: Kafka at {self.servers} refuses ({said}); {remedy}"
            )
        if self._last_error and self._last_error not in said:
            said = f"{said}; {self._last_error}"
        return RetryableError(
            KafkaFault.UNAVAILABLE,
            f"{what}: Kafka at {self.servers} fails ({said}); see whether its brokers run and "
            "can be reached from here, then try again",
        )

    def raise_refusal(self, what: str) -> None:
        """Raise what the brokers have refused while nobody asked, such as the credentials.

        Raises:
            PermanentError: they have.
            RetryableError: it cannot go on at all.
        """
        if self._broken:
            raise self.failure(KafkaError(KafkaError._FATAL, self._broken), what)  # noqa: SLF001
        if self._refused is not None:
            raise self.failure(self._refused, what)

    @property
    def broken(self) -> bool:
        """Whether it cannot go on; it is no member of its group any more."""
        return bool(self._broken)

    def close(self) -> None:
        """Leave the group; the callbacks of the subscription are called before."""
        # A broken one would wait for ever.
        if not self._broken:
            self.consumer.close()

    def saw(self, error: KafkaError) -> None:
        """Take note of an error that came in place of a message."""
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001
            self._broken = self._log.without_secrets(error.str())

    def serve(self) -> None:
        """Take note of errors and log lines that wait, for a consumer that reads nothing."""
        self.consumer.poll(0)

    def _erred(self, error: KafkaError) -> None:
        # These are of the client as a whole: librdkafka tries again by itself.
        self.saw(error)
        if error.code() in REMEDIES:
            self._refused = error
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            if self.silent_since is None:
                self.silent_since = time.monotonic()
        else:
            self._last_error = self._log.without_secrets(error.str())


def check_options(options: KafkaOptions) -> None:
    """See whether librdkafka takes these options; it connects to nothing.

    Raises:
        BadInputError: with all that is wrong.
    """
    problems = [*_needed(options), *_forms(options)]
    fit = {name: value for name, value in options.items() if isinstance(value, KafkaOption)}
    hide = _Log(fit)
    trial = {**DEFAULTS, **fit, **FIXED, "group.id": "trial"}
    trial.pop("bootstrap.servers", None)
    while trial:
        try:
            Consumer(_plain(trial), logger=_Silence()).close()
        except (KafkaException, TypeError, ValueError) as error:
            problem = error.args[0]
            said = problem.str() if isinstance(problem, KafkaError) else str(problem)
            problems.append(hide.without_secrets(said.strip()))
            # One at a time is named; without it, librdkafka names the next.
            bad = [name for name in _QUOTED.findall(said) if name in trial]
            if not bad:
                break
            del trial[bad[-1]]
        else:
            break
    if problems:
        listed = "; ".join(problems)
        raise BadInputError(
            f"options of Kafka that cannot be used: {listed}; librdkafka's CONFIGURATION.md "
            "describes them all"
        )


def _needed(options: KafkaOptions) -> list[str]:
    problems = []
    if not str(options.get("group.id", "")).strip():
        problems.append("group.id is missing: name the group of consumers")
    servers = str(options.get("bootstrap.servers", "")).strip()
    if not servers:
        problems.append("bootstrap.servers is missing: name brokers, as in kafka.example.org:9092")
    named = [server.strip() for server in servers.split(",")] if servers else []
    return problems + [
        f'bootstrap.servers: "{mask_text(server)}" is no host:port, as in kafka.example.org:9092'
        for server in named
        if not _SERVER.fullmatch(server)
    ]


def _forms(options: Mapping[str, object]) -> list[str]:
    return [
        f"{name} is neither text, number nor true or false; put names with dots in quotes"
        for name, value in options.items()
        if not isinstance(value, KafkaOption)
    ]


def _plain(options: KafkaOptions) -> dict[str, Any]:
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in options.items()
    }


class _Silence:
    """A logger that says nothing."""

    def log(self, level: int, text: str, *values: object) -> None:
        """Nothing."""


class _Log:
    """Where librdkafka logs; it gets by with what it complains of, so nothing is an error."""

    def __init__(self, options: KafkaOptions) -> None:
        texts = {str(value) for name, value in options.items() if _SECRET.search(name)}
        self._secrets = sorted(texts - {""}, key=len, reverse=True)
        self._said_at: dict[str, float] = {}

    def without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return mask_text(text)

    def log(self, level: int, text: str, *values: object) -> None:
        """Log a line, or at DEBUG if it was logged a moment ago, but for numbers in it."""
        line = self.without_secrets(_WHO.sub("", text % values))
        now, face = time.monotonic(), _CHANGING.sub("", line)
        said_at = self._said_at.get(face)
        level = min(level, logging.WARNING)
        if said_at is not None and now - said_at < _REPEAT_S:
            level = logging.DEBUG
        else:
            if len(self._said_at) >= _FACES:
                self._said_at.clear()
            self._said_at[face] = now
        logger.log(level, "Kafka: %s", line)
