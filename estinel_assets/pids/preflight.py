"""Before the first message: do the services answer?"""

from collections.abc import Callable

from estinel_assets.errors import PermanentError, RetryableError, UnitError
from estinel_assets.pids.item_source import ItemSource
from estinel_assets.pids.ports import HandleService

_REMEDIES = {
    "the Handle service": "see server_url, prefix, username and password in [handle]",
    "the STAC API": "see base_url in [stac]",
    "Kafka": "see bootstrap.servers in [kafka] and topic in [consumer]",
}


def preflight(
    handles: HandleService | None,
    items: ItemSource | None,
    kafka_probe: Callable[[], None] | None,
) -> list[str]:
    """Ask every service for something; all are asked, whatever the others say.

    Args:
        handles: None where none is needed, as for all of them.
        items: the STAC API.
        kafka_probe: raises a `UnitError` where Kafka or the topic cannot be used.

    Returns:
        Names of the services that answered.

    Raises:
        RetryableError: some do not answer for the time being; all of them are named.
        PermanentError: some refuse; all that failed are named.
    """
    probes = {
        "the Handle service": None if handles is None else handles.probe,
        "the STAC API": None if items is None else items.probe,
        "Kafka": kafka_probe,
    }
    answered: list[str] = []
    failed: dict[str, UnitError] = {}
    for name, probe in probes.items():
        if probe is None:
            continue
        try:
            probe()
        except UnitError as error:
            failed[name] = error
        else:
            answered.append(name)
    if failed:
        raise _together(failed)
    return answered


def _together(failed: dict[str, UnitError]) -> UnitError:
    told = "; ".join(f"{name}: {error} ({_REMEDIES[name]})" for name, error in failed.items())
    lasting = [one for one in failed.values() if not isinstance(one, RetryableError)]
    if lasting:
        return PermanentError(lasting[0].reason, f"not ready: {told}")
    return RetryableError(next(iter(failed.values())).reason, f"not ready: {told}")
