"""The embedded world: made scenes, their items and the command that runs the pipeline on them.

Nothing here is satellite imagery. The landscapes are invented, the places are real, and the
files and items follow the form of Earth Search's `sentinel-2-c1-l2a`.
"""
