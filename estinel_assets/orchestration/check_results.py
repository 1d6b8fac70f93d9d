"""Verdicts as results of asset checks."""

import dagster as dg

from estinel_assets.outcomes.verdict import Verdict


def result_of(key: dg.AssetCheckKey, verdict: Verdict) -> dg.AssetCheckResult:
    """The result of a check that warns where it fails."""
    return dg.AssetCheckResult(
        passed=verdict.passed,
        asset_key=key.asset_key,
        check_name=key.name,
        severity=dg.AssetCheckSeverity.WARN,
        description=verdict.description,
        metadata={**verdict.numbers, "failing": dg.MetadataValue.json(list(verdict.failing))},
    )
