"""`estinel publish audit`: whether object store, index, STAC API and our records agree."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from estinel_assets.cli.exit_codes import ExitCode
from estinel_assets.cli.output import Table, write_text
from estinel_assets.cli.publish_session import run_id, targets
from estinel_assets.cli.session import JsonOption, Session

if TYPE_CHECKING:
    from estinel_assets.publishing.audit import Finding

MOST_FINDINGS = 200
"""Findings that the table shows."""


def audit(
    context: typer.Context,
    *,
    mend: Annotated[
        bool, typer.Option("--repair", help="Remove what is ours and refers to nothing.")
    ] = False,
    collections: Annotated[
        list[str] | None,
        typer.Option(
            "--collection",
            help="Look for stray items there, too; may be repeated.",
            metavar="ID",
        ),
    ] = None,
    json: JsonOption = False,  # noqa: ARG001 - the session knows
) -> None:
    """Find objects without documents, documents without objects, items without either.

    Nothing is changed without --repair.

    Exit codes: 0 all agrees; 1 something does not (any more or still).
    """
    session = Session.of(context)
    went: dict[Finding, str | None] = {}
    with targets(session) as opened:
        from estinel_assets.publishing import audit as auditing

        report = auditing.audit(opened, collections=collections or ())
        if mend:
            went = auditing.repair(
                opened,
                report.findings,
                owner=run_id(),
                ttl_s=session.settings.outcomes.lease_ttl_s,
            )
    rows = [_row(finding, went) for finding in report.findings]
    left = sum(not row["repaired"] for row in rows)
    looked = {
        "publications": report.publications,
        "objects": report.objects,
        "documents": report.documents,
        "items": report.items,
    }
    document = {"looked_at": looked, "counts": report.counts(), "left": left, "findings": rows}
    if not session.wants_json:
        told = ", ".join(f"{count} {what}" for what, count in looked.items())
        write_text(f"Looked at {told}: {_verdict(len(rows), left, mend=mend)}\n")
        if not rows:
            return
        write_text("\n")
    columns = ("found", "publication", "name", "remedy")
    shown = [[row[name] for name in columns] for row in rows[:MOST_FINDINGS]]
    session.show(document, lambda: Table(columns, shown))
    if len(rows) > MOST_FINDINGS and not session.wants_json:
        write_text(f"… and {len(rows) - MOST_FINDINGS} more; --json shows all\n")
    if left:
        raise typer.Exit(ExitCode.PARTLY_FAILED)


def _verdict(found: int, left: int, *, mend: bool) -> str:
    if not found:
        return "all agrees."
    if not mend:
        return f"{found} findings."
    return f"{found} findings, {found - left} repaired, {left} left."


def _row(finding: "Finding", went: "dict[Finding, str | None]") -> dict[str, Any]:
    repaired = finding in went and went[finding] is None
    why = went.get(finding)
    return {
        "found": str(finding.found),
        "publication": finding.publication,
        "name": finding.name,
        "repairable": finding.repairable,
        "repaired": repaired,
        "remedy": "repaired" if repaired else f"not repaired: {why}" if why else finding.remedy,
    }
