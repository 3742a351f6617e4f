"""LAMMPS: an artefact and a system -> input files, and a run folder."""
