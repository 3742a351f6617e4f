"""Fixtures of every room, and one thread per test process (set before torch is imported)."""

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENMM_CPU_THREADS"):
    os.environ[_name] = "1"

from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.testing import ethanol, morse_energy_and_forces

REFERENCE_ENERGIES = {1: -13.6, 6: -1030.0, 8: -2042.0}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of rMD17 ethanol: train.xyz, test_MD.xyz, isolated_atoms.xyz."""
    beside = Path(__file__).parents[1].parent / "shared" / "data"
    root = Path(os.environ.get("FISHER_MLIP_TEST_DATA", beside))
    folder = root / "rmd17_ethanol"
    if not folder.is_dir():
        pytest.skip(f"real data: no '{folder}' (set FISHER_MLIP_TEST_DATA to its parent)")
    return folder


@pytest.fixture(scope="session")
def ethanol_frames() -> Frames:
    """Twelve perturbed ethanols with energies (with E0s) and forces of a Morse pair potential."""
    numbers, positions = ethanol()
    generator = np.random.default_rng(0)
    offset = sum(REFERENCE_ENERGIES[int(number)] for number in numbers)
    frames = []
    for _ in range(12):
        moved = positions + generator.normal(0.0, 0.05, positions.shape)
        energy, forces = morse_energy_and_forces(numbers, moved)
        frames.append(Frame(numbers, moved, energy=energy + offset, forces=forces))
    return Frames(tuple(frames), dict(REFERENCE_ENERGIES), source="Morse ethanol")
