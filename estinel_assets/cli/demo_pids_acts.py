"""The acts of `estinel demo pids`: each does something by the code of a command, and tells it."""

import json
import threading
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from estinel_assets.cli.demo import DemoFolder
from estinel_assets.cli.output import write_text
from estinel_assets.cli.pids_retry import told_counts
from estinel_assets.cli.pids_running import consume_group, consuming_of
from estinel_assets.cli.pids_status import partition_rows
from estinel_assets.cli.pids_telling import messages, told_message
from estinel_assets.errors import RetryableError

if TYPE_CHECKING:
    from estinel_assets.demo.handle_outage import FailingHandleApp
    from estinel_assets.demo.pid_messages import MadeMessage
    from estinel_assets.pids.configuration import PidConfiguration
    from estinel_assets.pids.consumer import Consumed
    from estinel_assets.settings import Settings
    from estinel_assets.storage.port import ObjectStore

TOPIC = "CMIP6"
ANSWERED = 13
"""Requests after which the Handle service fails."""

Act = dict[str, Any]


class Play:
    """The acts of the demo. What they print was read back."""

    def __init__(
        self,
        at: DemoFolder,
        settings: "Settings",
        configuration: "PidConfiguration",
        store: "ObjectStore",
        handles: "FailingHandleApp",
        *,
        quiet: bool,
    ) -> None:
        self.acts: list[Act] = []
        self._at = at
        self._settings = settings
        self._configuration = configuration
        self._store = store
        self._handles = handles
        self._quiet = quiet

    def first(self, kafka: str) -> None:
        """Good and bad messages are taken from Kafka."""
        from estinel_assets.demo.pid_messages import first_messages

        made = first_messages()
        _produce(kafka, made)
        kinds = Counter(message.kind for message in made)
        self._say(f"Kafka has {len(made)} messages about datasets that do not exist:")
        self._say(f"   {', '.join(f'{count} {kind}' for kind, count in kinds.items())}")
        self._say("They are consumed:")
        consumed = self._consume(len(made))
        bad = 5
        self._tell("consume", consumed, expected=consumed.faults == bad and not self._behind())
        self._say()

    def read_back(self) -> None:
        """A dataset's record as everybody may read it."""
        from estinel_assets.demo.pid_messages import VERSIONED

        found = self._datasets()[VERSIONED]
        self._say(f"The record of {VERSIONED},")
        self._say(f"as the Handle server has it under {found['handle']}:")
        for kind, text in found["values"].items():
            self._say(f"   {kind:18} {text if len(text) <= 150 else text[:149] + '…'}")
        self._say(f"Its {len(found['parts'])} files name it as IS_PART_OF, each of them.\n")
        self.acts.append(
            {
                "act": "read back",
                "ended": "links closed",
                "handle": found["handle"],
                "values": found["values"],
                "as_expected": found["closed"] and "PREVIOUS_VERSION" in found["values"],
            }
        )

    def outage(self, kafka: str) -> None:
        """The Handle service fails while messages are worked on."""
        from estinel_assets.demo.pid_messages import later_messages
        from estinel_assets.pids.consumer import Ending

        made = later_messages()
        _produce(kafka, made)
        self._say(f"{len(made)} more messages come. Meanwhile the Handle service fails:")
        self._handles.fail_after(ANSWERED)
        consumed = self._consume(len(made))
        behind = self._behind()
        self._tell(
            "handle service down",
            consumed,
            expected=consumed.ending is Ending.SERVICE_DOWN
            and consumed.messages + behind == len(made),
        )
        self._say("While it does so, a consumer does not even begin:")
        try:
            self._consume(len(made))
        except RetryableError as error:
            self._say(f"   {error.reason}: {_shortened(str(error))}\n")
        else:
            self.acts[-1]["as_expected"] = False

    def goes_on(self) -> None:
        """The service is back; nothing was lost."""
        self._handles.recover()
        behind = self._behind()
        self._say(f"The Handle service is back. There are {messages(behind)} to go:")
        consumed = self._consume(behind)
        expected = consumed.messages == behind and not consumed.faults and not self._behind()
        self._tell("handle service back", consumed, expected=expected)
        self._say()

    def repaired(self) -> None:
        """What failed is mended by hand and tried again."""
        from estinel_assets.demo.pid_messages import repair
        from estinel_assets.pids.retrying import retry_files

        folder = self._at.root / "outputs" / "failures"
        (file,) = (folder / "r0").glob("*.jsonl")
        kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        mended = sum(map(repair, kept))
        file.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")
        self._say(f"What failed is kept in {folder}.")
        self._say(f"Of {len(kept)} messages somebody mends {mended}; all are tried again:")
        retried = retry_files([folder], self._settings, store=self._store, delete_after=True)
        self._say(f"   {told_counts(retried)}")
        left = sorted(str(one.relative_to(folder)) for one in folder.rglob("*.jsonl"))
        self._say(f"   {retried.removed} lines are gone from the file; there are: {_listed(left)}")
        self.acts.append(
            {
                "act": "repair and retry",
                "ended": "retried",
                "messages": retried.total,
                "by_reason": dict(retried.reasons),
                "behind": self._behind(),
                "files": left,
                "as_expected": retried.succeeded == mended == retried.removed,
            }
        )
        self._say()

    def closed(self) -> None:
        """Every link of every dataset, in the end."""
        found = self._datasets()
        files = sum(len(one["parts"]) for one in found.values())
        whole = sum(one["closed"] for one in found.values())
        alone = self._files() - files
        retracted = sum("RETRACTED_ON" in one["values"] for one in found.values())
        replicas = sum("REPLICA_NODES" in one["values"] for one in found.values())
        later = sum("PREVIOUS_VERSION" in one["values"] for one in found.values())
        self._say(
            f"The Handle server has {len(found)} datasets and {files} files; "
            f"of {whole} datasets all links are closed both ways."
        )
        self._say(
            f"{later} follow an earlier version, {replicas} have replicas, {retracted} is "
            "retracted.\n"
        )
        self.acts.append(
            {
                "act": "read all",
                "ended": "links closed" if whole == len(found) else "links open",
                "datasets": len(found),
                "files": files,
                "closed": whole,
                "as_expected": whole == len(found) and not alone,
            }
        )

    def _consume(self, messages: int) -> "Consumed":
        consuming = consuming_of(
            self._settings, self._configuration, self._store, dump=True, max_messages=messages
        )
        consumed, _ = consume_group(consuming, threading.Event())
        return consumed

    def _behind(self) -> int:
        return sum(row["behind"] for row in partition_rows(self._configuration, self._store))

    def _tell(self, act: str, consumed: "Consumed", *, expected: bool) -> None:
        behind = self._behind()
        by_reason = dict(consumed.reasons.most_common())
        told = _listed([f"{count} {reason}" for reason, count in by_reason.items()])
        self._say(
            f"   {messages(consumed.messages)} recorded and committed ({told}); {behind} to go"
        )
        if consumed.stopped_by is not None:
            self._say(f"   stopped by {_shortened(told_message(consumed.stopped_by))}")
        self.acts.append(
            {
                "act": act,
                "ended": str(consumed.ending),
                "messages": consumed.messages,
                "by_reason": by_reason,
                "behind": behind,
                "as_expected": expected,
            }
        )

    def _datasets(self) -> dict[str, dict[str, Any]]:
        """All datasets by the id of their items: their records and those of their files."""
        from estinel_assets.pids.opening import opened_services

        found = {}
        with opened_services(self._configuration, dry_run=False) as services:

            def texts(handle: str) -> dict[str, str]:
                record = services.handles.read(handle)
                return {} if record is None else {one.type: one.data for one in record.values}

            for handle in self._handles.records():
                values = texts(handle)
                if values.get("AGGREGATION_LEVEL") != "DATASET":
                    continue
                parts = [
                    texts(one.removeprefix("hdl:"))
                    for one in json.loads(values.get("HAS_PARTS", "[]"))
                ]
                closed = all(one.get("IS_PART_OF") == f"hdl:{handle}" for one in parts)
                values.pop("HS_ADMIN", None)
                item_id = f"{values['DATASET_ID']}.{values['DATASET_VERSION']}"
                found[item_id] = {
                    "handle": handle,
                    "values": values,
                    "parts": parts,
                    "closed": closed and bool(parts),
                }
        return found

    def _files(self) -> int:
        """How many records of files there are, whether a dataset names them or not."""
        level = ("AGGREGATION_LEVEL", {"format": "string", "value": "FILE"})
        return sum(
            level in [(one["type"], one["data"]) for one in values]
            for values in self._handles.records().values()
        )

    def _say(self, line: str = "") -> None:
        if not self._quiet:
            write_text(f"{line}\n")


def _produce(kafka: str, made: "Sequence[MadeMessage]") -> None:
    from estinel_assets.demo.kafka_broker import Produced, produce

    produce(kafka, TOPIC, [Produced(message.body, key=message.key) for message in made])


def _shortened(text: str) -> str:
    return text if len(text) <= 240 else f"{text[:239]}…"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) or "none"
