"""Publishing, removing and repairing publications, each under its own lease."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import uuid4

from estinel_assets.errors import EstinelError
from estinel_assets.outcomes.run import Run
from estinel_assets.publishing.doing import Worker
from estinel_assets.publishing.ending import Action, PublicationError, Recovery, Result, reason_of
from estinel_assets.publishing.journal import Journal, open_journals
from estinel_assets.publishing.layout import lease_path
from estinel_assets.publishing.model import Content, Policy
from estinel_assets.publishing.parts import NextState, State, current_of, read_state
from estinel_assets.publishing.planning import Plan, Planner
from estinel_assets.publishing.ports import Targets
from estinel_assets.publishing.preflight import check_room
from estinel_assets.publishing.reasons import PublishingReason
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.state import Current, Standing, drop_states, read_current
from estinel_assets.publishing.transaction import Transaction, recover
from estinel_assets.storage.lease import Lease, Timing, read_lease
from estinel_assets.storage.processes import current_process, is_gone


class Source(Protocol):
    """What is to be published."""

    @property
    def fingerprint(self) -> str:
        """Digest of all that goes in."""
        ...

    def content(self, *, publication: str, suffix: str, revision: str, spool: Spool) -> Content:
        """Everything that the publication is to consist of.

        Args:
            publication: its id.
            suffix: added to ids and places, such as `-v2`; empty for none.
            revision: added to places, so that they are new ones; empty for none.
            spool: takes bodies.
        """
        ...


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes, removes and repairs. Safe to use from many threads."""

    targets: Targets
    run: Run
    lease_ttl_s: float = 60.0
    """A worker silent for this long counts as dead, in seconds."""
    in_flight: int = 16
    """Objects at once."""
    new_txn: Callable[[], str] = field(default=lambda: uuid4().hex[:12])
    """Makes names for transactions."""
    objects_done: Callable[[int], None] = field(default=lambda _: None)
    """Told of the bytes of each object that is written."""

    def publish(self, source: Source, publication: str, policy: Policy) -> Result:
        """Publish a source: afterwards either all of it stands, or what stood before.

        Args:
            source: what to publish.
            publication: its id.
            policy: what to do where other content stands.

        Raises:
            PublicationError: it failed, for a reason; what was done is undone.
        """
        while True:
            with self._held(*self._target(source, publication, policy)) as work:
                current = work.standing.current
                settled = settled_action(source.fingerprint, current, policy)
                if settled is not None:
                    return work.result(settled, current)
                if policy is Policy.VERSION and current is not None and current.stands:
                    continue  # another worker has taken this version meanwhile
                content = work.content(source)
                result = self._transact(work, content, policy)
                return replace(result, warnings=(*content.warnings, *result.warnings))

    def remove(self, publication: str) -> Result:
        """Take a publication back: its items, documents and objects.

        Raises:
            PublicationError: it failed, for a reason; it stands as before.
        """
        with _told():
            known = read_current(self.targets.journal, publication).current
            if known is None and not open_journals(self.targets.journal, publication):
                return Result(publication, Action.ABSENT, None)
        with self._held(publication) as work:
            current = work.standing.current
            if current is None or current.removed:
                return work.result(Action.ABSENT, current)
            return self._transact(work, None, current.policy)

    def plan(
        self, source: Source | None, publication: str, policy: Policy, spool: Spool
    ) -> Plan | Action:
        """What `publish`, or `remove` where there is no source, would do; nothing is written.

        Returns:
            The plan, or the action where there is nothing to do.

        Raises:
            PublicationError: a target cannot be read, or something else stands there.
        """
        with _told():
            if source is None:
                standing = read_current(self.targets.journal, publication)
                if standing.current is None or standing.current.removed:
                    return Action.ABSENT
                work = _Work(publication, "", standing, spool)
                return self._plan(work, None, policy, self._state(work))
            target, suffix = self._target(source, publication, policy)
            standing = read_current(self.targets.journal, target)
            settled = settled_action(source.fingerprint, standing.current, policy)
            work = _Work(target, suffix, standing, spool)
            return settled or self._plan(work, work.content(source), policy, self._state(work))

    def recover(self, publication: str) -> list[Recovery]:
        """Complete or undo transactions that were broken off.

        Raises:
            PublicationError: a target failed, or another worker is at it.
        """
        with _told(), self._lease(publication) as (lease, suspect), Spool() as spool:
            return self._recover(publication, lease, spool, suspect=suspect)

    def _target(self, source: Source, publication: str, policy: Policy) -> tuple[str, str]:
        """Where a source goes, and the suffix of its ids: to the next free version, maybe."""
        if policy is not Policy.VERSION:
            return publication, ""
        number = 1
        while True:
            suffix = f"-v{number}" if number > 1 else ""
            with _told():
                current = read_current(self.targets.journal, publication + suffix).current
            # A version that was removed is not given to other content.
            never = current is None or (current.removed and not current.txn)
            same = current is not None and current.fingerprint == source.fingerprint
            if never or same:
                return publication + suffix, suffix
            number += 1

    def _transact(self, work: "_Work", content: Content | None, policy: Policy) -> Result:
        """Carry a transaction out, and clear up behind it."""
        former = self._state(work)
        plan = self._plan(work, content, policy, former)
        txn = self.new_txn()
        check_room(self.targets, plan, txn)
        journal = Journal(self.targets.journal, work.publication, txn)
        begin = journal.write(
            plan.steps,
            run_id=self.run.run_id,
            started_at=self.run.clock(),
            former_txn=(work.standing.current and work.standing.current.txn) or None,
            check=work.check,
        )
        state = NextState(content, frozenset(plan.collections_made() | former.collections))
        current = current_of(
            work.publication,
            state,
            txn=txn,
            policy=policy,
            now=self.run.clock(),
            run_id=self.run.run_id,
            moved=work.standing.current is not None and work.standing.current.moved,
        )
        worker = self._worker(journal, work.check, work.spool)
        transaction = Transaction(worker, journal, begin, plan, self.run, work.renew)
        transaction.carry_out(work.standing, state, current)
        warnings = transaction.settle()
        stood = work.standing.current is not None and not work.standing.current.removed
        action = Action.REPLACED if stood else Action.PUBLISHED
        result = work.result(Action.REMOVED if content is None else action, current)
        return replace(
            result,
            timings=tuple(transaction.timings),
            warnings=warnings,
            peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )

    def _plan(self, work: "_Work", content: Content | None, policy: Policy, state: State) -> Plan:
        planner = Planner(self.targets, work.publication, policy, state, work.spool)
        return planner.plan(content)

    def _state(self, work: "_Work") -> State:
        return read_state(self.targets.journal, work.standing.current, work.spool)

    def _worker(self, journal: Journal, check: Callable[[], None], spool: Spool) -> Worker:
        return Worker(
            self.targets,
            journal.publication,
            journal.txn,
            self.in_flight,
            check,
            spool,
            self.objects_done,
        )

    @contextmanager
    def _held(self, publication: str, suffix: str = "") -> Iterator["_Work"]:
        """Hold a publication, with whatever was broken off before repaired.

        Raises:
            PublicationError: whatever comes up.
        """
        with _told(), self._lease(publication) as (lease, suspect), Spool() as spool:
            recovered = self._recover(publication, lease, spool, suspect=suspect)
            left = [one for one in recovered if one.undo is not None and not one.undo.complete]
            if left:
                raise PublicationError(
                    PublishingReason.UNDO_INCOMPLETE,
                    f"an earlier transaction of {publication} is not undone yet: "
                    f"{left[0].summary()}; mend what it names, then try again",
                    left[0].undo,
                )
            standing = read_current(self.targets.journal, publication)
            told = tuple(one.summary() for one in recovered)
            yield _Work(publication, suffix, standing, spool, lease.check, lease.renew, told)

    @contextmanager
    def _lease(self, publication: str) -> Iterator[tuple[Lease, bool]]:
        """Hold a publication's lease; says, too, whether a former holder may still be at work.

        Whether the lease was lost meanwhile does not matter at the end: a commit under a lost one
        cannot succeed, and one that has succeeded stands.
        """
        path = lease_path(publication)
        former = read_lease(self.targets.journal, path)
        suspect = (
            former is not None
            and not former.released
            and not is_gone(former.process, current_process())
        )
        lease = Lease.acquire(
            self.targets.journal, path, Timing(ttl_s=self.lease_ttl_s), owner=self.run.run_id
        )
        lease.keep()
        try:
            yield lease, suspect
        finally:
            lease.release()

    def _recover(
        self, publication: str, lease: Lease, spool: Spool, *, suspect: bool
    ) -> list[Recovery]:
        """Repair what was broken off, and throw away states that no transaction left standing."""
        journals = open_journals(self.targets.journal, publication)
        recovered = [
            recover(self._worker(journal, lease.check, spool), journal, self.run, suspect=suspect)
            for journal in journals
        ]
        if all(one.undo is None or one.undo.complete for one in recovered):
            drop_states(self.targets.journal, publication)
        return recovered


@dataclass(frozen=True, slots=True)
class _Work:
    """A publication that is worked on."""

    publication: str
    suffix: str
    standing: Standing
    spool: Spool
    check: Callable[[], None] = field(default=lambda: None)
    renew: Callable[[], None] = field(default=lambda: None)
    recovered: tuple[str, ...] = ()

    def content(self, source: Source) -> Content:
        """What it is to consist of."""
        return source.content(
            publication=self.publication,
            suffix=self.suffix,
            revision=revision_of(source.fingerprint, self.standing.current),
            spool=self.spool,
        )

    def result(self, action: Action, current: Current | None) -> Result:
        """How it ended."""
        return Result(self.publication, action, current, recovered=self.recovered)


def settled_action(fingerprint: str, current: Current | None, policy: Policy) -> Action | None:
    """What is to be done where something stands already; None where a plan is to be made.

    Raises:
        PublicationError: other content stands, and the policy is to refuse.
    """
    if current is None or current.removed:
        return None
    if current.fingerprint == fingerprint:
        return Action.UNCHANGED
    if policy is Policy.SKIP:
        return Action.SKIPPED
    if policy is Policy.FAIL:
        raise PublicationError(
            PublishingReason.ALREADY_PUBLISHED,
            f"{current.publication} was published with other content by {current.run_id} at "
            f"{current.committed_at:%Y-%m-%dT%H:%M:%SZ}; choose the policy replace, version or "
            "skip, or another id",
        )
    return None


def revision_of(fingerprint: str, current: Current | None) -> str:
    """What is added to places, so that objects which readers use are never overwritten."""
    usual = current is None or (current.removed and not current.moved)
    return "" if usual else fingerprint[:12]


@contextmanager
def _told() -> Iterator[None]:
    """Let errors out as those of a publication, each with its reason.

    Raises:
        PublicationError: a target failed or refused.
    """
    try:
        yield
    except PublicationError:
        raise
    except EstinelError as error:
        raise PublicationError(reason_of(error, None), str(error)) from error
