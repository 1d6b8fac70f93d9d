"""Rasters: grids, reading files onto them, mosaics, views and encoders."""
