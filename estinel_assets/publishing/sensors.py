"""Publishing's sensor: it watches the inbox."""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from estinel_assets.orchestration.keys_sensor import Chosen, request_keys, version_of
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.publishing.assets import can_be_published
from estinel_assets.publishing.folders import waiting_folders
from estinel_assets.publishing.jobs import publish_folders
from estinel_assets.publishing.opening import open_book
from estinel_assets.settings import Settings


@dg.sensor(job=publish_folders, minimum_interval_seconds=60)
def inbox_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsResource, store: StoreResource
) -> dg.RunRequest | dg.SkipReason:
    """Asks for the publication of folders that are new, changed, or due for another try."""

    def chosen(loaded: Settings, now: datetime, _retry: RetryRule) -> Iterator[Chosen]:
        standing = open_book(loaded, store.open()).standing()
        for one in waiting_folders(loaded, standing, now):
            if can_be_published(one.publication):
                key = (one.publication,)
                yield Chosen(key, (one.listing.fingerprint, version_of(standing.get(key))))

    return request_keys(context, settings, chosen, nothing="no job folder is waiting")


SENSORS = [inbox_sensor]
