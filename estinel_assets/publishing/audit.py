"""The audit: do object store, index, STAC API and our own records agree?

It finds objects without documents, documents without objects, items without either, parts of a
publication that have vanished or changed, prefixes that nobody uses, and transactions that are
still open. What nobody can restore is only reported; what is ours and refers to nothing can be
removed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby

from estinel_assets.errors import EstinelError, NotFoundError
from estinel_assets.outcomes.paths import decode_key
from estinel_assets.publishing.claims import claim_of, claims, give_up_claim
from estinel_assets.publishing.journal import open_journals
from estinel_assets.publishing.layout import BY_ID, lease_path
from estinel_assets.publishing.model import Place, digest_of, owner_of
from estinel_assets.publishing.parts import State, read_state
from estinel_assets.publishing.ports import Change, DocumentQuery, Targets
from estinel_assets.publishing.shelves import Key
from estinel_assets.publishing.spool import Spool
from estinel_assets.publishing.state import read_current
from estinel_assets.storage.lease import hold_lease


class Found(StrEnum):
    """What an audit finds."""

    OPEN_JOURNAL = "open_journal"
    """A transaction is not closed; `recover` completes or undoes it."""
    MISSING_OBJECT = "missing_object"
    MISSING_DOCUMENT = "missing_document"
    MISSING_ITEM = "missing_item"
    CHANGED_OBJECT = "changed_object"
    """An object has another size than was published."""
    CHANGED_DOCUMENT = "changed_document"
    CHANGED_ITEM = "changed_item"
    STRAY_OBJECT = "stray_object"
    """An object below a publication's prefix that the publication does not know."""
    STRAY_DOCUMENT = "stray_document"
    """A document of a publication that does not know it, or that is not there."""
    STRAY_ITEM = "stray_item"
    """An item of a publication that does not know it, or that is not there."""
    STRAY_CLAIM = "stray_claim"
    """A prefix is kept for a publication that does not use it."""


REPAIRABLE = frozenset(
    {Found.STRAY_OBJECT, Found.STRAY_DOCUMENT, Found.STRAY_ITEM, Found.STRAY_CLAIM}
)
"""Nothing refers to these, so that they can be removed."""
_ORDER = (Found.STRAY_ITEM, Found.STRAY_DOCUMENT, Found.STRAY_OBJECT, Found.STRAY_CLAIM)
REPUBLISH = "remove the publication, then publish it again"


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement."""

    found: Found
    publication: str
    name: str
    """Address of an object or prefix, id of a document, collection/id of an item."""
    place: Place | None = None
    """Store and path of an object or a prefix."""
    collection: str = ""
    """Of an item."""

    @property
    def repairable(self) -> bool:
        """Whether `repair` can remove it."""
        return self.found in REPAIRABLE

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.found is Found.OPEN_JOURNAL:
            return f"estinel publish recover {self.publication}"
        return "estinel publish audit --repair" if self.repairable else REPUBLISH


@dataclass(slots=True)
class AuditReport:
    """What an audit looked at and found."""

    publications: int = 0
    objects: int = 0
    documents: int = 0
    items: int = 0
    findings: list[Finding] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Findings by kind."""
        counts: dict[str, int] = {}
        for finding in self.findings:
            counts[finding.found] = counts.get(finding.found, 0) + 1
        return counts


def audit(targets: Targets, *, collections: Iterable[str] = ()) -> AuditReport:
    """Compare all publications with what stands at the three targets. Nothing is changed.

    Publications with an open transaction are left to `recover`, and not looked into.

    Args:
        targets: all three.
        collections: STAC collections to look for stray items in, besides those that publications
            name.

    Raises:
        EstinelError: a target cannot be read.
    """
    with Spool() as spool:
        return _audited(targets, set(collections), spool)


def _audited(targets: Targets, collections: set[str], spool: Spool) -> AuditReport:
    report = AuditReport()
    states: dict[str, State] = {}
    busy: set[str] = set()
    txns: dict[str, str] = {}
    for folder in targets.journal.list_folders(BY_ID):
        (name,) = decode_key(folder)
        report.publications += 1
        if open_journals(targets.journal, name):
            busy.add(name)
            report.findings.append(Finding(Found.OPEN_JOURNAL, name, name))
            continue
        try:
            current = read_current(targets.journal, name).current
            state = read_state(targets.journal, current, spool)
        except NotFoundError:  # replaced between the two
            busy.add(name)
            continue
        txns[name] = "" if current is None else current.txn
        states[name] = state
    known = {place: name for name, state in states.items() for place in state.places}
    for claim in claims(targets.journal, with_free=True):
        if claim.publication in busy or known.get(claim.place) == claim.publication:
            continue
        # A worker that was taken over may have left something where nothing should be.
        known.setdefault(claim.place, claim.publication)
        if not claim.free:
            report.findings.append(
                Finding(Found.STRAY_CLAIM, claim.publication, claim.address, claim.place)
            )
    report.findings += _objects(targets, known, states, report)
    report.findings += _documents(targets, states, busy, report)
    report.findings += _items(targets, states, busy, collections, report)
    changed = {name for name, txn in txns.items() if _has_changed(targets, name, txn)}
    report.findings = [one for one in report.findings if one.publication not in changed]
    return report


def _has_changed(targets: Targets, publication: str, txn: str) -> bool:
    """Whether somebody has worked on a publication since it was looked at."""
    current = read_current(targets.journal, publication).current
    same = (current.txn if current is not None else "") == txn
    return not same or bool(open_journals(targets.journal, publication))


def repair(
    targets: Targets, findings: Iterable[Finding], *, owner: str, ttl_s: float = 60.0
) -> dict[Finding, str | None]:
    """Remove what nothing refers to: items first, then documents, objects and claims.

    Each publication is held meanwhile, and what it has come to know since the audit stays.

    Args:
        targets: all three.
        findings: of an audit; those that cannot be repaired are passed over.
        owner: shown to whoever has to wait.
        ttl_s: a repair that is silent for this long counts as dead, in seconds.

    Returns:
        By finding that is repairable, why it was not removed; None where it was.
    """
    went: dict[Finding, str | None] = {}
    chosen = sorted(
        (finding for finding in findings if finding.repairable),
        key=lambda finding: (finding.publication, _ORDER.index(finding.found)),
    )
    for publication, members in groupby(chosen, key=lambda finding: finding.publication):
        group = list(members)
        path = lease_path(publication)
        try:
            with hold_lease(targets.journal, path, ttl_s=ttl_s, owner=owner) as lease:
                for finding in group:
                    lease.check()
                    went[finding] = _repaired(targets, finding)
        except EstinelError as error:
            went.update({finding: str(error) for finding in group if finding not in went})
    return went


def _repaired(targets: Targets, finding: Finding) -> str | None:
    """Remove one thing whose publication is held; say why not."""
    if open_journals(targets.journal, finding.publication):
        return "a transaction is open; recover it first"
    current = read_current(targets.journal, finding.publication).current
    with Spool() as spool:
        if _is_known(read_state(targets.journal, current, spool), finding):
            return "it belongs to the publication by now"
    if finding.found is Found.STRAY_OBJECT and _is_below_anothers(targets, finding):
        return "it stands below a prefix of another publication by now"
    try:
        _remove(targets, finding)
    except EstinelError as error:
        return str(error)
    return None


def _is_below_anothers(targets: Targets, finding: Finding) -> bool:
    """Whether the prefix of an object belongs to another publication."""
    scheme, _, rest = finding.name.partition("://")
    while "/" in rest.strip("/"):
        rest = rest.rpartition("/")[0]
        claim = claim_of(targets.journal, f"{scheme}://{rest}")
        if claim is not None and not claim.free and claim.publication != finding.publication:
            return True
    return False


def _is_known(state: State, finding: Finding) -> bool:
    place = finding.place
    match finding.found:
        case Found.STRAY_ITEM:
            name = finding.name.removeprefix(f"{finding.collection}/")
            return state.items.get(finding.collection, name) is not None
        case Found.STRAY_DOCUMENT:
            return state.documents.get("", finding.name) is not None
        case Found.STRAY_OBJECT:
            known = place and state.objects.get(place.store.group, place.path)
            return known is not None
        case _:
            return place in state.places


def _remove(targets: Targets, finding: Finding) -> None:
    match finding.found:
        case Found.STRAY_ITEM:
            name = finding.name.removeprefix(f"{finding.collection}/")
            targets.need_stac().delete_items(finding.collection, [name])
        case Found.STRAY_DOCUMENT:
            stands = targets.index.get([finding.name])
            targets.index.apply([Change(name, one.digest, None) for name, one in stands.items()])
        case Found.STRAY_OBJECT if finding.place is not None:
            targets.open_store(finding.place.store).delete(finding.place.path)
        case Found.STRAY_CLAIM if finding.place is not None:
            give_up_claim(targets.journal, finding.name, publication=finding.publication, txn=None)


def _objects(
    targets: Targets,
    known: Mapping[Place, str],
    states: Mapping[str, State],
    report: AuditReport,
) -> Iterator[Finding]:
    """Objects that are missing, changed or stray, below all prefixes that are somebody's."""
    seen: dict[str, set[Key]] = {name: set() for name in states}
    anybodys = {one.key for state in states.values() for one in state.objects}
    for place, name in sorted(known.items()):
        state = states.get(name)
        for found in targets.open_store(place.store).list(place.path):
            report.objects += 1
            key = place.store.group, found.path
            at = Place(place.store, found.path)
            expected = None if state is None else state.objects.get(*key)
            if expected is None:
                if key not in anybodys:
                    yield Finding(Found.STRAY_OBJECT, name, _address(targets, at), at)
                continue
            seen[name].add(key)
            if expected.size != found.size:
                yield Finding(Found.CHANGED_OBJECT, name, _address(targets, at), at)
    for name, state in states.items():
        for missing in state.objects:
            if missing.key not in seen[name]:
                at = Place(missing.store, missing.path)
                yield Finding(Found.MISSING_OBJECT, name, _address(targets, at), at)


def _documents(
    targets: Targets, states: Mapping[str, State], busy: set[str], report: AuditReport
) -> Iterator[Finding]:
    seen: dict[str, set[str]] = {name: set() for name in states}
    for one in targets.index.search(DocumentQuery()):
        report.documents += 1
        if one.publication in busy:
            continue
        state = states.get(one.publication)
        expected = None if state is None else state.documents.get("", one.id)
        if expected is None:
            yield Finding(Found.STRAY_DOCUMENT, one.publication, one.id)
            continue
        seen[one.publication].add(one.id)
        if expected.digest != one.digest:
            yield Finding(Found.CHANGED_DOCUMENT, one.publication, one.id)
    for name, state in states.items():
        for missing in state.documents:
            if missing.name not in seen[name]:
                yield Finding(Found.MISSING_DOCUMENT, name, missing.name)


def _items(
    targets: Targets,
    states: Mapping[str, State],
    busy: set[str],
    collections: set[str],
    report: AuditReport,
) -> Iterator[Finding]:
    named = {group for state in states.values() for group in state.items.groups()}
    named |= {group for state in states.values() for group in state.collections}
    seen: dict[str, set[Key]] = {name: set() for name in states}
    for group in sorted(named | collections):
        stac = targets.need_stac()
        if stac.collection(group) is None:
            continue
        for item in stac.all_items(group):
            report.items += 1
            owner = owner_of(item)
            if owner is None or owner in busy:
                continue
            key = group, str(item["id"])
            state = states.get(owner)
            expected = None if state is None else state.items.get(*key)
            if expected is None:
                yield Finding(Found.STRAY_ITEM, owner, "/".join(key), collection=group)
                continue
            seen[owner].add(key)
            if expected.digest != digest_of(item):
                yield Finding(Found.CHANGED_ITEM, owner, "/".join(key), collection=group)
    for name, state in states.items():
        for missing in state.items:
            key = missing.group, missing.name
            if key not in seen[name]:
                yield Finding(Found.MISSING_ITEM, name, "/".join(key), collection=key[0])


def _address(targets: Targets, at: Place) -> str:
    return targets.open_store(at.store).uri(at.path)
