"""Publishing's sensors: they watch the inbox, and the images that imagery makes."""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from estinel_assets.orchestration.keys_sensor import Chosen, request_keys, version_of
from estinel_assets.orchestration.resources import SettingsResource, StoreResource
from estinel_assets.outcomes.rules import RetryRule
from estinel_assets.publishing.assets import can_be_published
from estinel_assets.publishing.folders import waiting_folders
from estinel_assets.publishing.inbox import why_waiting
from estinel_assets.publishing.jobs import publish_folders, publish_images
from estinel_assets.publishing.opening import open_book, stored_images
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


@dg.sensor(job=publish_images, minimum_interval_seconds=300)
def images_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsResource, store: StoreResource
) -> dg.RunRequest | dg.SkipReason:
    """Asks for the publication of sites whose images are new, changed, or due for another try."""

    def chosen(loaded: Settings, now: datetime, retry: RetryRule) -> Iterator[Chosen]:
        if loaded.publishing.stac_url is None:
            return
        opened = store.open()
        standing = open_book(loaded, opened).standing()
        for images in stored_images(opened, loaded):
            key = (images.publication,)
            if why_waiting(standing.get(key), images.fingerprint, now, retry):
                yield Chosen(key, (images.fingerprint, version_of(standing.get(key))))

    return request_keys(context, settings, chosen, nothing="no site has images to publish")


SENSORS = [images_sensor, inbox_sensor]
