"""The frames of an alarm as extended XYZ, which ASE, mdtraj and every editor open."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from openmm.app import Topology

from fisher_mlip.products import whole_file
from openmm_plugin.watch.look import Look


def write_frames(path: Path, topology: Topology, looks: Sequence[Look], reason: str) -> None:
    """Write looks, the last of which tripped the alarm.

    The model's forces are called `model_forces`, so that nobody takes them for reference data.

    Args:
        path: the file.
        topology: of the atoms; those without element are X.
        looks: positions Å, velocities Å/fs, forces eV/Å where they are known.
        reason: of the alarm; it stands in the comment of the last frame.
    """
    from ase import Atoms
    from ase.io import write

    symbols = [atom.element.symbol if atom.element else "X" for atom in topology.atoms()]
    frames = []
    for number, look in enumerate(looks, start=1 - len(looks)):
        cell = np.zeros((3, 3)) if look.cell is None else look.cell
        atoms = Atoms(symbols, positions=look.positions, cell=cell, pbc=look.cell is not None)
        atoms.arrays["velocities"] = look.velocities
        if look.forces is not None:
            atoms.arrays["model_forces"] = look.forces
        atoms.info = {"step": look.step, "time_ps": look.time_ps, "looks_from_alarm": number}
        if number == 0:
            atoms.info["alarm"] = reason
        frames.append(atoms)
    with whole_file(path) as partial:
        write(partial, frames, format="extxyz")
