"""Energies of independent molecules."""

from pathlib import Path

import numpy as np
import pytest
from openmm.app import Simulation

from fisher_mlip.errors import UnstableRunError
from fisher_mlip.export import Artefact
from openmm_plugin import (
    LedgerReporter,
    MoleculeEnergyReporter,
    molecule_index,
    topology_atomic_numbers,
)

from .conftest import read_rows


def _attach(gas: Simulation, artefact: Artefact, path: Path, interval: int) -> None:
    molecules = molecule_index(gas.topology)
    module = artefact.bind(
        topology_atomic_numbers(gas.topology), periodic=False, molecules=molecules
    )
    gas.reporters.append(MoleculeEnergyReporter(path, interval, module, molecules))


def _assert_adds_up(energies: np.ndarray, ledger: np.ndarray) -> None:
    np.testing.assert_allclose(energies.sum(axis=1), ledger[:, 4], rtol=0, atol=1e-9)


def test_molecules_add_up_to_the_total_energy(
    gas: Simulation, artefact: Artefact, tmp_path: Path
) -> None:
    gas.reporters.append(LedgerReporter(tmp_path / "ledger.csv", 5))
    _attach(gas, artefact, tmp_path / "molecules.csv", 5)
    gas.step(20)
    columns, rows = read_rows(tmp_path / "molecules.csv")
    assert columns == ["Step", "Time (ps)", *(f"Molecule {i} (kJ/mole)" for i in range(3))]
    _, ledger = read_rows(tmp_path / "ledger.csv")
    _assert_adds_up(rows[:, 2:], ledger)
    # Each molecule is closed: what drifts within 10 fs is small against what is exchanged.
    assert np.ptp(rows[:, 2:], axis=0).max() < 0.05 * np.ptp(ledger[:, 3])
    with pytest.raises(AssertionError):
        _assert_adds_up(rows[:, 2:] * 1.0001, ledger)
    with pytest.raises(AssertionError):
        _assert_adds_up(rows[:, 2:4], ledger)


def test_a_lost_molecule_is_named(gas: Simulation, artefact: Artefact, tmp_path: Path) -> None:
    _attach(gas, artefact, tmp_path / "molecules.csv", 1)
    velocities = np.zeros((27, 3))
    velocities[10] = 1e200  # its kinetic energy overflows
    gas.context.setVelocities(velocities)
    with pytest.raises(UnstableRunError, match="molecule 1 at step 0 is not finite"):
        gas.step(1)
