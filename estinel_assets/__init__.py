"""Estinel Assets: Earth-observation products as one Dagster asset graph."""

__version__ = "0.1.0"
