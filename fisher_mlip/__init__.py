"""Closed-form Fisher heads for e3nn potentials, run in OpenMM."""

__version__ = "0.1.0"
