"""Closed-form Fisher heads for e3nn potentials, run in OpenMM and LAMMPS."""

__version__ = "0.1.0"
