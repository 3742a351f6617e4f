"""An artefact as an ASE calculator: the numbers that OpenMM gets, in ASE's units."""

from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from fisher_mlip.errors import InputError
from fisher_mlip.export.artefact import Artefact, load_artefact
from fisher_mlip.export.potential import ArtefactPotential, KernelChoice


class FisherCalculator(Calculator):
    """An exported potential for ASE: energies in eV, forces in eV/Å, stress in eV/Å^3.

    Beside ASE's own properties `energies` (of each atom) and `uncertainty` (n_atoms,), eV/Å: the
    standard deviation of each atom's force over the sampled heads, for models finetuned here. It
    costs some ten to thirty evaluations, so that it is computed only where it is asked for:
    `calculator.get_property("uncertainty", atoms)`.

    Args:
        model: `model.pt`, the folder that holds it, or the loaded artefact.
        kernel: `fused`, `torchscript`, or `auto`: fused where that can be.
        skin: Å added to the cutoff of the neighbor list, which is kept while atoms move less.
        total_energies: add the isolated atoms' E0s, as a quantum-chemistry code has them; the
            engines never do, since a large box would have no digits left.

    Raises:
        InputError: no such artefact.
    """

    # ASE's base class declares a list on the class.
    implemented_properties = [  # noqa: RUF012
        *("energy", "free_energy", "energies", "forces", "stress", "uncertainty")
    ]

    def __init__(
        self,
        model: str | Path | Artefact,
        *,
        kernel: KernelChoice = "auto",
        skin: float = 0.5,
        total_energies: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self.artefact = model if isinstance(model, Artefact) else load_artefact(Path(model))
        self._kernel: KernelChoice = kernel
        self._skin = skin
        self._total_energies = total_energies
        self._potential: ArtefactPotential | None = None
        self._bound: tuple[bytes, bool] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the script and its list, which are made again where they are needed."""
        return self.__dict__ | {"_potential": None, "_bound": None}

    def calculate(
        self,
        atoms: Any = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        """Compute what ASE asks for; stress and uncertainty only then.

        Raises:
            InputError: an element that the model does not know, atoms periodic in some directions
                only, stress without a cell, or uncertainty of a model without sampled heads.
        """
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        system: Any = self.atoms
        potential = self._potential_for(system)
        positions = np.array(system.positions, dtype=np.float64)
        cell = np.array(system.cell[:], dtype=np.float64) if system.pbc.all() else None
        if "stress" in properties:
            if cell is None:
                raise InputError("expected a periodic cell for a stress, found none")
            energy, forces, stress = potential.energy_forces_stress(positions, cell)
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)  # type: ignore[no-untyped-call]
        else:
            energy, forces = potential.energy_and_forces(positions, cell)
        offset = self.artefact.reference_energy(system.numbers) if self._total_energies else 0.0
        self.results |= {"energy": energy + offset, "free_energy": energy + offset}
        self.results["forces"] = forces
        if "energies" in properties:
            self.results["energies"] = self._energies(potential, system, positions, cell)
        if "uncertainty" in properties:
            self.results["uncertainty"] = potential.force_uncertainty(positions, cell)

    def _energies(
        self, potential: ArtefactPotential, system: Any, positions: Any, cell: Any
    ) -> Any:
        energies = potential.atomic_energies(positions, cell)
        if not self._total_energies:
            return energies
        zeros = self.artefact.manifest.reference_energies
        return energies + np.array([zeros[int(number)] for number in system.numbers])

    def _potential_for(self, system: Any) -> ArtefactPotential:
        """Return the potential of these atoms, with its neighbor list, made anew for others."""
        if system.pbc.any() != system.pbc.all():
            raise InputError(
                "expected atoms periodic in all directions or in none, found pbc "
                f"{system.pbc.tolist()}"
            )
        numbers = np.asarray(system.numbers, dtype=np.int64)
        wanted = (numbers.tobytes(), bool(system.pbc.all()))
        if self._potential is None or self._bound != wanted:
            self._potential = ArtefactPotential(
                self.artefact, numbers, periodic=wanted[1], kernel=self._kernel, skin=self._skin
            )
            self._bound = wanted
        return self._potential
