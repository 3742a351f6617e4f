"""LAMMPS: an artefact and a system -> input files, and a run folder."""

from fisher_mlip.lammps.run import run_lammps

__all__ = ["run_lammps"]
