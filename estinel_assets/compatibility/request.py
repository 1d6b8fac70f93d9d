"""What a check is asked to do; it travels into the process that does it."""

from dataclasses import dataclass

from estinel_assets.settings import (
    CompatibilitySettings,
    EarthdataSettings,
    Settings,
    TransportSettings,
)

MORE_MEMORY = "raise compatibility.memory_limit_mib"
"""What helps a check that ran out of memory."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """The settings that a check needs; they go with each request into its process."""

    compatibility: CompatibilitySettings
    earthdata: EarthdataSettings
    transport: TransportSettings

    @classmethod
    def of(cls, settings: Settings) -> "CheckSettings":
        """Those of the settings; CMR is given half of a check's time at most."""
        longest_s = settings.compatibility.time_limit_s / 2
        transport = settings.transport.model_copy(
            update={"deadline_s": min(settings.transport.deadline_s, longest_s)}
        )
        return cls(settings.compatibility, settings.earthdata, transport)


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What is to be checked."""

    concept_id: str
    """Of the collection."""
    settings: CheckSettings
    seed: int
    """Decides, with the concept id, which granule is tried."""
    granule_id: str | None = None
    """Concept id of the granule to try, in place of a random one."""
