"""The code location: what `dagster` loads."""

from estinel_assets.build import build_definitions

defs = build_definitions()
