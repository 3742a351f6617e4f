"""The embedded reference as an ASE calculator."""

from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from fisher_mlip.data.ethanol import check_hydrogens, count_molecules, whole_molecules
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.data.opls import OplsEthanol
from fisher_mlip.errors import InputError


class OplsEthanolCalculator(Calculator):
    """OPLS-AA ethanol; energies in eV, forces in eV/Å, stress in eV/Å^3.

    Atoms are those of whole molecules in the order C C O H H H H H H, wrapped or not, periodic in
    all directions or in none. Isolated atoms of H, C and O are at zero.
    """

    # ASE's base class declares a list on the class.
    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._reference: OplsEthanol | None = None

    def calculate(
        self,
        atoms: Any = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        """Compute what ASE asks for.

        Raises:
            InputError: no ethanol molecules in that order, or a cell that OpenMM cannot take.
        """
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        system: Any = self.atoms
        if len(system) == 1 and int(system.numbers[0]) in (1, 6, 8):
            self.results = {"energy": 0.0, "free_energy": 0.0, "forces": np.zeros((1, 3))}
            return
        molecules = count_molecules(system.numbers)
        positions, cell, rotation = _standard_form(system)
        check_hydrogens(positions)
        reference = self._reference_for(molecules, cell)
        energy, forces = reference.energy_and_forces(positions)
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": forces @ rotation,
        }
        if "stress" in properties:
            stress = rotation.T @ reference.stress(positions) @ rotation
            self.results["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]

    def _reference_for(self, molecules: int, cell: FloatArray | None) -> OplsEthanol:
        kept = self._reference
        # PME's parameters follow the box at creation, so a new box is a new system.
        if kept is None or kept.molecules != molecules or not _same(kept.cell, cell):
            kept = OplsEthanol(molecules, cell)
        self._reference = kept
        return kept


def _same(first: FloatArray | None, second: FloatArray | None) -> bool:
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second)


def _standard_form(atoms: Any) -> tuple[FloatArray, FloatArray | None, FloatArray]:
    """Return whole molecules and the cell in OpenMM's lower triangular form, and the rotation.

    positions = standard positions @ rotation, up to lattice vectors.
    """
    positions = np.array(atoms.positions)
    if not atoms.pbc.any():
        return positions, None, np.eye(3)
    if not atoms.pbc.all():
        raise InputError("expected ethanol periodic in all directions or in none, found some")
    standard, rotation = atoms.cell.standard_form()
    cell = np.array(standard[:])
    (ax, _, _), (bx, by, _), (cx, cy, _) = cell
    if 2 * abs(bx) > ax or 2 * abs(cx) > ax or 2 * abs(cy) > by:
        raise InputError(
            "expected a cell in reduced form (off-diagonal elements of its lower triangle at most "
            f"half the diagonal ones), found {cell.tolist()} Å"
        )
    rotation = np.asarray(rotation)
    return whole_molecules(positions @ rotation.T, cell), cell, rotation
