"""Alerts: what failed is posted as JSON to the address that `ESTINEL_ALERT_URL` names.

The document::

    {"text", "kind": "run" | "check", "job", "run_id", "partition", "reason", "checks", "error"}

`text` says the same for people, as Slack and what imitates it show it. The address is a secret:
whoever has it can post. It stands in no message, so the transport's own messages, which name the
address, are not used here; only its retry policy is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import dagster as dg
import requests

from estinel_assets.errors import BadInputError, EstinelError, public_url
from estinel_assets.logs import MASK, get_logger, mask_text
from estinel_assets.orchestration.resources import SettingsResource
from estinel_assets.settings import Settings
from estinel_assets.transport import (
    AnswerTimeoutError,
    ConnectionLostError,
    HttpStatusError,
    RetryPolicy,
)

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

LONGEST_S = 10.0
"""For one alert with all its tries: Dagster gives a tick 60 s, and a tick may send five."""
LONGEST_TEXT = 2000
"""Characters of an error that are sent."""
NO_ADDRESS = "ESTINEL_ALERT_URL is not set, so no alert was sent"
PARTITION_TAG = "dagster/partition"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """One asset check that did not pass."""

    asset: str
    name: str
    severity: str
    description: str
    """Which partitions fail it."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What somebody should know."""

    kind: Literal["run", "check"]
    job: str
    run_id: str
    partition: str | None = None
    reason: str | None = None
    """Why units of work of a failed run failed, in the words of their outcomes."""
    checks: tuple[FailedCheck, ...] = ()
    error: str | None = None
    """What the failed run said."""

    @property
    def text(self) -> str:
        """The alert for people, a line each."""
        if self.kind == "check":
            lines = [f"{len(self.checks)} checks failed in {self.job}"]
            lines += [
                f"{one.severity} {one.asset} {one.name}: {one.description}" for one in self.checks
            ]
        else:
            at = f" for {self.partition}" if self.partition else ""
            why = f" ({self.reason})" if self.reason else ""
            lines = [f"{self.job} failed{at}{why}", *([self.error] if self.error else [])]
        return "\n".join([*lines, f"run {self.run_id}"])

    def document(self, hidden: Iterable[str] = ()) -> dict[str, Any]:
        """The alert as it is posted.

        Args:
            hidden: texts that must not stand in it.
        """
        hide = tuple(hidden)
        return {
            "text": _escaped(_clean(self.text, hide)),
            "kind": self.kind,
            "job": self.job,
            "run_id": self.run_id,
            "partition": self.partition,
            "reason": self.reason,
            "checks": [
                {
                    "asset": one.asset,
                    "name": one.name,
                    "severity": one.severity,
                    "description": _clean(one.description, hide),
                }
                for one in self.checks
            ],
            "error": None if self.error is None else _clean(self.error, hide),
        }


def send(alert: Alert, settings: Settings) -> str | None:
    """Post an alert; a receiver that does not take it is a warning, never a failure.

    Args:
        alert: what to post.
        settings: name the address, and how often a request is tried.

    Returns:
        Why it was not sent; None when it was.
    """
    if settings.alert.url is None:
        return NO_ADDRESS
    url = settings.alert.url.get_secret_value()
    at = settings.transport
    policy = RetryPolicy.from_settings(at)
    policy = replace(policy, deadline_s=min(policy.deadline_s, LONGEST_S))
    document = alert.document(_secrets_of(url))
    try:
        policy.run(
            lambda remaining_s: _post(url, document, min(at.timeout_s, remaining_s)),
            what="posting the alert",
        )
    except EstinelError as error:
        problem = f"the alert about run {alert.run_id} was given up: {error}"
        log.warning("alert not sent", run_id=alert.run_id, problem=problem)
        return problem
    return None


def failed_run(context: dg.RunFailureSensorContext) -> Alert:
    """The alert about a failed run."""
    run = context.dagster_run
    reason, error = None, context.failure_event.message
    for event in context.get_step_failure_events()[:1]:
        failure = event.step_failure_data
        said = failure.user_failure_data
        if said is not None:
            reason, error = _reason(said.metadata), said.description or error
        elif failure.error is not None:
            error = (failure.error.cause or failure.error).message.strip()
    return Alert(
        "run", run.job_name, run.run_id, run.tags.get(PARTITION_TAG), reason=reason, error=error
    )


def failed_checks(context: dg.RunStatusSensorContext) -> Alert | None:
    """The alert about the checks of a run that did not pass; None where all did."""
    run = context.dagster_run
    records = context.instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    found = []
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        evaluation = event.asset_check_evaluation_data
        if not evaluation.passed:
            found.append(
                FailedCheck(
                    evaluation.asset_key.to_user_string(),
                    evaluation.check_name,
                    evaluation.severity.value,
                    evaluation.description or "it did not pass",
                )
            )
    if not found:
        return None
    return Alert(
        "check", run.job_name, run.run_id, run.tags.get(PARTITION_TAG), checks=tuple(found)
    )


@dg.run_failure_sensor(
    name="alert_on_failed_run",
    description="Posts every failed run of this Dagster instance to ESTINEL_ALERT_URL.",
    # Runs that the command line started belong to no code location.
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def alert_on_failed_run(
    context: dg.RunFailureSensorContext, settings: SettingsResource
) -> dg.SkipReason | None:
    """See the description."""
    return _skip(send(failed_run(context), settings.load()))


def alert_on_failed_check(jobs: "Sequence[UnresolvedAssetJobDefinition]") -> dg.SensorDefinition:
    """The sensor that posts failed checks.

    Args:
        jobs: those that run checks.
    """

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="alert_on_failed_check",
        description="Posts the checks that did not pass to ESTINEL_ALERT_URL.",
        monitored_jobs=jobs,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(
        context: dg.RunStatusSensorContext, settings: SettingsResource
    ) -> dg.SkipReason | None:
        alert = failed_checks(context)
        if alert is None:
            return dg.SkipReason(f"every check of run {context.dagster_run.run_id} passed")
        return _skip(send(alert, settings.load()))

    return sensor


def _skip(why: str | None) -> dg.SkipReason | None:
    return None if why is None else dg.SkipReason(why)


def _post(url: str, document: dict[str, Any], timeout_s: float) -> None:
    """One try. Nothing that it raises names the address."""
    try:
        response = requests.post(url, json=document, timeout=timeout_s, allow_redirects=False)
    except requests.exceptions.Timeout:
        raise AnswerTimeoutError(f"no answer within {timeout_s:g} s") from None
    except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError):
        raise ConnectionLostError("the connection failed") from None
    except (requests.exceptions.RequestException, ValueError) as error:
        raise BadInputError(
            f"ESTINEL_ALERT_URL is no address to post to ({type(error).__name__}); correct it"
        ) from None
    if not 200 <= response.status_code < 300:
        raise HttpStatusError(response.status_code, response.headers.get("Retry-After"))


def _reason(metadata: Mapping[str, dg.MetadataValue[Any]]) -> str | None:
    """The reason, or the reasons, that `failures` put into a failure's metadata."""
    if "reason" in metadata:
        return str(metadata["reason"].value)
    if "fault_reasons" in metadata:
        return ", ".join(sorted(metadata["fault_reasons"].value))
    return None


def _secrets_of(url: str) -> tuple[str, ...]:
    """What of an address must not be seen, the longest first."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all, as posting will find
        return (url,)
    return tuple(text for text in (url, public_url(url), parts.path, parts.query) if len(text) > 4)


def _clean(text: str, hidden: Iterable[str]) -> str:
    for secret in hidden:
        text = text.replace(secret, MASK)
    text = mask_text(text)
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def _escaped(text: str) -> str:
    """Without what Slack reads as markup: `<!channel>` in an error would call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
