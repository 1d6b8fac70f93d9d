"""One consumer in a process of its own, as `estinel pids consume` runs it; prints what it took.

python -m benchmarks.pids_consumer CONFIG FOLDER MESSAGES
"""

import json
import sys
import time
from pathlib import Path
from threading import Event

from benchmarks.measuring import peak_resident_mib
from estinel_assets.clock import utc_now
from estinel_assets.logs import configure_logging
from estinel_assets.pids.claims import CONSUMER
from estinel_assets.pids.configuration import load_configuration
from estinel_assets.pids.consuming import Consuming
from estinel_assets.pids.figures import Figures
from estinel_assets.pids.kafka_source import GroupSource
from estinel_assets.pids.watching import ConsumerWatch
from estinel_assets.settings import PidSettings, Settings, StoreSettings
from estinel_assets.storage import open_store


class FirstMessage(ConsumerWatch):
    """Knows when the first message was in work: before, the group forms."""

    began = 0.0

    def set_in_flight(self, messages: int) -> None:
        """Note the first time."""
        super().set_in_flight(messages)
        if messages and not self.began:
            self.began = time.perf_counter()


def main() -> None:
    """Consume so many messages, then print seconds, peak memory and reasons."""
    config, folder, messages = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    configure_logging("error", libraries="error")
    settings = Settings(
        store=StoreSettings(url=f"file://{folder}"), pids=PidSettings(config=config)
    )
    configuration = load_configuration(settings.pids)
    consuming = Consuming(
        settings,
        configuration,
        open_store(settings.store.url),
        owner=f"{CONSUMER} benchmark",
        run_id="benchmark",
        max_messages=messages,
    )
    watch = FirstMessage(
        Figures(started_at=utc_now()),
        clock=utc_now,
        interval_s=configuration.stats.interval_seconds,
        every_messages=configuration.stats.summary_interval,
    )
    source = GroupSource(consuming.options(), configuration.consumer.topic)
    cpu = time.process_time()
    consumed = consuming.run(source, watch, Event())
    document = {
        "seconds": time.perf_counter() - watch.began,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mib": peak_resident_mib(),
        "reasons": consumed.reasons,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
