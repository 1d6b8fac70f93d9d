"""Outcomes: what is done, what failed and why. Nothing else says so."""
