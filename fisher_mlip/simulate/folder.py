"""The run folder: the names of its files, and those that are written once."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np
from openmm import unit
from openmm.app import PDBFile, Topology, element

from fisher_mlip.config import SimulateConfig, write_yaml
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.export.lammps_artefact import LammpsArtefact
from fisher_mlip.products import (
    SUMMARY_NAME,
    locked_folder,
    sha256_of_file,
    write_json,
    write_text,
)
from fisher_mlip.simulate.engine import box_vectors
from fisher_mlip.simulate.records import Reference, start_of
from fisher_mlip.simulate.systems import MolecularSystem

# Widest numbers that fit a PDB column, Å.
PDB_LIMIT = 9999.0
# What OpenMM and mdtraj raise at a PDB file that was torn anywhere.
PDB_FAILURES = (OSError, ValueError, IndexError, KeyError, AssertionError)


@dataclass(frozen=True)
class RunFolder:
    """Paths in a run folder.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def topology(self) -> Path:
        return self.path / "topology.pdb"

    @property
    def reference(self) -> Path:
        return self.path / "reference.json"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.csv"

    @property
    def molecules(self) -> Path:
        return self.path / "molecules.csv"

    @property
    def uncertainty(self) -> Path:
        return self.path / "uncertainty.csv"

    @property
    def watch(self) -> Path:
        return self.path / "watch.csv"

    @property
    def watch_memory(self) -> Path:
        return self.path / "watch.json"

    @property
    def alarms(self) -> Path:
        return self.path / "alarms.csv"

    @property
    def rewinds(self) -> Path:
        return self.path / "rewinds.json"

    @property
    def healing(self) -> Path:
        return self.path / "healing.csv"

    @property
    def good_states(self) -> Path:
        return self.path / "good_states"

    def good_state(self, step: int) -> Path:
        """Return the path of a state that the run may be rewound to."""
        return self.good_states / f"{step}.xml"

    @property
    def state(self) -> Path:
        return self.path / "state.xml"

    @property
    def record(self) -> Path:
        return self.path / "checkpoint.json"

    @property
    def unstable(self) -> Path:
        return self.path / "unstable.pdb"

    @property
    def summary(self) -> Path:
        return self.path / SUMMARY_NAME

    def segment(self, number: int) -> Path:
        """Return the path of the trajectory's segment, counted from 1."""
        name = "trajectory.dcd" if number == 1 else f"trajectory.part{number:04d}.dcd"
        return self.path / name

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder against other processes, as `locked_folder`."""
        return locked_folder(self.path)


def write_description(
    folder: RunFolder,
    molecular: MolecularSystem,
    artefact: Artefact | LammpsArtefact,
    config: SimulateConfig,
    kernel: str,
) -> None:
    """Write what does not change during a run: config, topology, reference.

    Args:
        folder: that is being made.
        molecular: the atoms at the start.
        artefact: the potential.
        config: what to run.
        kernel: that runs the network.
    """
    write_yaml(folder.config, config.model_dump())
    write_pdb(folder.topology, molecular.topology, molecular.positions)
    atoms = list(molecular.topology.atoms())
    molecules = molecular.molecules
    reference = Reference(
        n_atoms=len(atoms),
        n_molecules=int(molecules.max()) + 1,
        independent_molecules=molecular.independent_molecules,
        periodic=molecular.is_periodic,
        cell=None if molecular.cell is None else molecular.cell.tolist(),
        molecule_index=molecules.tolist(),
        masses=molecular.masses.tolist(),
        symbols=[atom.element.symbol for atom in atoms],
        bonds=[(bond.atom1.index, bond.atom2.index) for bond in molecular.topology.bonds()],
        bonds_from=molecular.note or "the topology",
        model=str(artefact.path.resolve()),
        model_sha256=sha256_of_file(artefact.path),
        model_label=artefact.path.parent.name,
        potential_zero="E - sum(E0)",
        kernel=kernel,
        start=start_of(config),
    )
    write_json(folder.reference, reference.model_dump())


def read_description(folder: RunFolder, box: FloatArray | None = None) -> MolecularSystem:
    """Return the system of a run folder, its positions left at zero.

    It is rebuilt from `reference.json`, whose order and bonds are exact where those of a PDB file
    pass through OpenMM's reading of residue names.

    Args:
        folder: of a run.
        box: (3, 3), Å, rows are vectors; that of the start where None. Left aside where the run is
            not periodic.

    Raises:
        InputError: `reference.json` is missing or damaged.
    """
    reference = Reference.read(folder.reference)
    first_cell = None if reference.cell is None else np.array(reference.cell)
    cell = (first_cell if box is None else box) if reference.periodic else None
    topology = Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    try:
        elements = [element.get_by_symbol(symbol) for symbol in reference.symbols]
        atoms = [topology.addAtom(kind.symbol, kind, residue) for kind in elements]
        for first, second in reference.bonds:
            topology.addBond(atoms[first], atoms[second])
    except (KeyError, IndexError) as failure:
        raise InputError(
            f"expected elements and bonds between atoms in '{folder.reference}', found others: "
            f"{failure}"
        ) from None
    if cell is not None:
        topology.setPeriodicBoxVectors(box_vectors(cell))
    positions = np.zeros((len(atoms), 3))
    independent = reference.independent_molecules
    return MolecularSystem(topology, positions, cell, independent, first_cell=first_cell)


def first_system(folder: RunFolder) -> MolecularSystem:
    """Return the system of a run folder at its start, its positions to 0.001 Å.

    Raises:
        InputError: a file is missing or damaged.
    """
    molecular = read_description(folder)
    try:
        # OpenMM leaves a file open that it cannot read.
        with folder.topology.open(encoding="utf-8") as handle:
            found = PDBFile(handle).getPositions(asNumpy=True)
    except PDB_FAILURES as failure:
        raise no_pdb(folder.topology, failure) from None
    positions = np.array(found.value_in_unit(unit.angstrom))
    if positions.shape != molecular.positions.shape:
        raise InputError(
            f"expected {len(molecular.positions)} atoms in '{folder.topology}', found "
            f"{len(positions)}"
        )
    return replace(molecular, positions=positions)


def no_pdb(path: Path, failure: Exception) -> InputError:
    """Return what is told of a file that is no PDB file, or one that was torn."""
    lines = str(failure).splitlines() or ["a torn file"]
    return InputError(f"expected a PDB file '{path}', found: {lines[0].strip()}")


def write_pdb(path: Path, topology: Topology, positions: FloatArray, remark: str = "") -> None:
    """Write a PDB file whole; positions (n_atoms, 3), Å, that its columns cannot hold are cut."""
    shown = np.clip(positions, -PDB_LIMIT / 10, PDB_LIMIT)
    text = StringIO()
    PDBFile.writeFile(topology, shown, text)
    remarks = "".join(f"REMARK   {line}\n" for line in remark.splitlines())
    write_text(path, remarks + text.getvalue())
