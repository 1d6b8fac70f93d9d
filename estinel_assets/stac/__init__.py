"""Finding scenes in STAC APIs, and what a scene's item says."""
