"""Compatibility: can a NASA CMR collection be tiled, and if not, why."""
