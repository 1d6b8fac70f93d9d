"""What people are shown of how a publication ended."""

from estinel_assets.outcomes.record import Outcome

_COUNTS = ("objects", "bytes", "documents", "collections", "items")


def shown(outcome: Outcome) -> dict[str, str | int | float | bool]:
    """An outcome in plain values: how it ended, what stands, and what each phase took.

    Counts are of what stands now; `phase_{name}_s` are seconds and `peak_mib` MiB.
    """
    detail = outcome.detail
    said: dict[str, str | int | float | bool] = {
        "status": outcome.status,
        "reason": outcome.reason,
        "attempts": outcome.attempts,
        "duration_s": outcome.duration_s,
    }
    if not outcome.status:
        said["error_category"] = outcome.reason
    if outcome.error:
        said["error"] = outcome.error
    names = ("action", "publication", "folder", "policy", "fingerprint", *_COUNTS, "peak_mib")
    said |= {name: detail[name] for name in names if detail.get(name) not in (None, "")}
    for phase in detail.get("phases", ()):
        said[f"phase_{phase['phase']}_s"] = phase["duration_s"]
    for name in ("faults", "left", "spared", "warnings", "recovered"):
        if detail.get(name):
            said[name] = len(detail[name])
    return said
