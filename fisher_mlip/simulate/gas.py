"""Independent ethanol molecules on a grid."""

from pathlib import Path

import numpy as np
from ase.geometry import complete_cell

from fisher_mlip.data import Frame, read_frames
from fisher_mlip.data.bonds import bonds_by_distance
from fisher_mlip.data.checks import check_structures
from fisher_mlip.data.ethanol import (
    BONDS,
    check_hydrogens,
    count_molecules,
    ethanol_positions,
    whole_molecules,
)
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError

# Room to vibrate and turn in before two molecules on the grid overlap in a viewer, Å.
CLEARANCE = 5.0


def ethanol_gas_positions(
    molecules: int, *, spacing: float, seed: int, start_frames: str = ""
) -> FloatArray:
    """Return molecules on a cubic grid with at least `spacing` between their atoms.

    Args:
        molecules: how many.
        spacing: Å, at least the cutoff of the potential.
        seed: draws the order in which the start frames are used; they are used again when there
            are fewer of them than molecules.
        start_frames: path of a frames file of single ethanol molecules; "": one standard geometry.

    Returns:
        (9 * molecules, 3), Å.

    Raises:
        InputError: the start frames are not single, whole ethanol molecules in Å.
    """
    geometries = _start_geometries(Path(start_frames)) if start_frames else [ethanol_positions()]
    order = np.random.default_rng(seed).permutation(len(geometries))
    chosen = np.stack([geometries[order[i % len(order)]] for i in range(molecules)])
    chosen -= chosen.mean(axis=1, keepdims=True)
    radius = float(np.linalg.norm(chosen, axis=-1).max())
    per_side = int(np.ceil(molecules ** (1.0 / 3.0) - 1e-9))
    grid = np.indices((per_side, per_side, per_side)).reshape(3, -1).T[:molecules]
    placed = chosen + grid[:, None, :] * (2.0 * radius + spacing + CLEARANCE)
    return np.asarray(placed.reshape(-1, 3))


def _start_geometries(path: Path) -> list[FloatArray]:
    frames = read_frames(path)
    for index, frame in enumerate(frames):
        if count_molecules(frame.atomic_numbers) != 1:
            raise InputError(
                f"expected single ethanol molecules in '{path}', found {frame.n_atoms} atoms in "
                f"frame {index}"
            )
    check_structures(frames)
    return [
        _whole_molecule(frame, f"frame {index} of '{path}'") for index, frame in enumerate(frames)
    ]


def _whole_molecule(frame: Frame, name: str) -> FloatArray:
    """Return the positions of an ethanol made whole: the gas has no boundary to bond across."""
    # Directions that are not periodic get a unit vector, so that the cell can be inverted.
    cell = complete_cell(frame.cell * frame.pbc[:, None])  # type: ignore[no-untyped-call]
    images = whole_molecules(frame.positions, cell, frame.pbc)
    check_hydrogens(images)
    whole = Frame(frame.atomic_numbers, images)
    found = {(int(first), int(second)) for first, second in bonds_by_distance(whole)}
    missing = [bond for bond in BONDS if bond not in found]
    if missing:
        first, second = missing[0]
        distance = float(np.linalg.norm(images[first] - images[second]))
        raise InputError(
            f"expected a whole ethanol molecule in {name}, found its atoms {first} and {second} "
            f"{distance:.2f} Å apart, further than a bond reaches"
        )
    return images
