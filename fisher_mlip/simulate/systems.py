"""What is simulated: a topology, its positions, and which atoms are free of each other."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from openmm import Vec3, unit
from openmm.app import Topology

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data import Frames, equilibrated_liquid
from fisher_mlip.data.checks import check_structures
from fisher_mlip.data.ethanol import ethanol_topology
from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.simulate.gas import ethanol_gas_positions
from fisher_mlip.simulate.pdb import read_pdb
from fisher_mlip.simulate.progress import shown_preparation
from fisher_mlip.simulate.structures import (
    Structure,
    add_missing_bonds,
    frame_of,
    read_structure,
)
from fisher_mlip.units import NM_PER_ANGSTROM
from openmm_plugin import molecule_index

GAS = "ethanol-gas"
LIQUID = "ethanol-liquid"
# Readers of files that hold a system, by their suffix.
READERS: dict[str, Callable[[Path], Structure]] = {
    ".pdb": read_pdb,
    ".xyz": read_structure,
    ".extxyz": read_structure,
}


@dataclass(frozen=True, eq=False)
class MolecularSystem:
    """Atoms before a force is put on them.

    Attributes:
        topology: elements, bonds, and box vectors where periodic.
        positions: (n_atoms, 3), Å.
        cell: (3, 3), Å, rows are vectors; None where not periodic.
        independent_molecules: whether molecules do not see each other.
        note: what was added to what the file says, in words; "" for nothing.
        first_cell: of a run that is resumed, the cell that it was started with.
    """

    topology: Topology
    positions: FloatArray
    cell: FloatArray | None
    independent_molecules: bool
    note: str = ""
    first_cell: FloatArray | None = None

    @property
    def is_periodic(self) -> bool:
        return self.cell is not None

    @property
    def masses(self) -> FloatArray:
        """Standard atomic weights, (n_atoms,), amu."""
        atoms = self.topology.atoms()
        return np.array([atom.element.mass.value_in_unit(unit.dalton) for atom in atoms])

    @property
    def molecules(self) -> IntArray:
        """Index of each atom's molecule, (n_atoms,)."""
        return molecule_index(self.topology)

    @property
    def isolated_groups(self) -> IntArray:
        """Index of each atom's group, outside of which nothing acts on it, (n_atoms,).

        The momentum of such a group is conserved without a thermostat.
        """
        if self.independent_molecules:
            return self.molecules
        return np.zeros(len(self.positions), dtype=np.int64)


def build_molecular_system(config: SimulateConfig, cutoff: float) -> MolecularSystem:
    """Return the system that a configuration names.

    Args:
        config: its `system` is `ethanol-gas`, `ethanol-liquid` or the path of a file.
        cutoff: of the potential, Å; gas molecules start further apart.

    Raises:
        InputError: no such system, or one that cannot be simulated.
    """
    if config.start_frames and config.system != GAS:
        raise InputError(f"start_frames are for {GAS}, found system '{config.system}'")
    if config.system == GAS:
        positions = ethanol_gas_positions(
            config.molecules, spacing=cutoff, seed=config.seed, start_frames=config.start_frames
        )
        return MolecularSystem(ethanol_topology(config.molecules), positions, None, True)
    if config.system == LIQUID:
        with shown_preparation() as show:
            frame = equilibrated_liquid(
                config.molecules, config.temperature, seed=config.seed, progress=show
            )
        topology = ethanol_topology(config.molecules, frame.cell)
        return MolecularSystem(topology, frame.positions, check_box(frame.cell), False)
    return _system_of_file(Path(config.system), trust_units=config.trust_units)


def _system_of_file(path: Path, *, trust_units: bool) -> MolecularSystem:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        kinds = " or ".join(READERS)
        raise InputError(f"expected system {GAS}, {LIQUID} or a {kinds} file, found '{path}'")
    topology, positions, cell = reader(path)
    if cell is not None:
        topology.setPeriodicBoxVectors([Vec3(*row) for row in check_box(cell) * NM_PER_ANGSTROM])
    frame = frame_of(topology, positions, cell)
    check_structures(Frames((frame,), source=str(path)), trust_units=trust_units)
    note = add_missing_bonds(topology, frame)
    return MolecularSystem(topology, positions, cell, False, note)


def check_box(cell: FloatArray) -> FloatArray:
    """Return the cell if OpenMM can take it.

    Args:
        cell: (3, 3), Å, rows are vectors.

    Raises:
        InputError: it has no volume or is not in the reduced form that OpenMM's periodic
            boundaries need.
    """
    if not np.isfinite(cell).all() or np.linalg.det(cell) == 0.0:
        raise InputError(f"expected a box with a volume, found vectors {cell.tolist()} Å")
    (ax, ay, az), (bx, by, bz), (cx, cy, _) = cell
    is_triangular = ay == 0.0 and az == 0.0 and bz == 0.0 and (np.diagonal(cell) > 0.0).all()
    if not is_triangular or 2 * abs(bx) > ax or 2 * abs(cx) > ax or 2 * abs(cy) > by:
        raise InputError(
            "expected box vectors in OpenMM's reduced form (lower triangle: a along x, b in the xy "
            f"plane; offsets at most half a length), found {cell.tolist()} Å: turn a right-handed "
            "cell and its atoms together, in ASE by atoms.set_cell(atoms.cell.standard_form()[0], "
            "scale_atoms=True), and take whole vectors off those that lean further"
        )
    return cell
