"""What is looked at right before the first write: is there room, may we write?"""

import os
import shutil
from pathlib import Path

from estinel_assets.errors import PermanentError
from estinel_assets.publishing.model import StoreAt
from estinel_assets.publishing.planning import Plan
from estinel_assets.publishing.ports import Targets
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.steps import Phase
from estinel_assets.storage.paths import LocalRoot, MemoryRoot, parse_root
from estinel_assets.storage.port import ObjectStore

SPARE = 1.05
"""Room that is asked for, as a share of what is copied."""
PROBE = "estinel-probe"


def check_room(targets: Targets, plan: Plan, txn: str) -> None:
    """Make sure that every store takes what the plan is to write, as far as can be told.

    A local folder must have room, and any other store takes a small object and its deletion.

    Raises:
        PermanentError: there is too little room, or no right to write; all stores are named.
        StoreError: a store refuses the small object.
    """
    problems = []
    for at, size in sorted(plan.sizes.items()):
        store = targets.open_store(at)
        root = parse_root(store.url)
        if isinstance(root, LocalRoot):
            problems += _local_problems(root.folder, size)
        elif not isinstance(root, MemoryRoot):
            _probe(store, plan, at, txn)
    if problems:
        raise PermanentError(PublishingReason.STORE_FAILED, "; ".join(problems))


def _local_problems(root: Path, size: int) -> list[str]:
    problems = []
    if not os.access(root, os.W_OK):
        problems.append(f"the folder {root} may not be written; change its rights")
    free = shutil.disk_usage(root).free
    if size * SPARE > free:
        problems.append(f"{root} has {free:,} bytes free and {size:,} are to be copied; make room")
    return problems


def _probe(store: ObjectStore, plan: Plan, at: StoreAt, txn: str) -> None:
    """Write beside the first object, where the rights are those of all; nothing is overwritten."""
    first = next(step for step in plan.steps[Phase.OBJECTS] if step.store == at)
    path = f"{first.name.rpartition('/')[0]}/{PROBE}-{txn}".lstrip("/")
    store.create(path, b"")
    store.delete(path)
