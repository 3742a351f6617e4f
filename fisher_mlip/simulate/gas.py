"""Independent ethanol molecules on a grid."""

from pathlib import Path

import numpy as np

from fisher_mlip.data import read_frames
from fisher_mlip.data.ethanol import check_hydrogens, count_molecules, ethanol_positions
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
        InputError: the start frames are not single ethanol molecules.
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
        check_hydrogens(frame.positions)
    return [frame.positions for frame in frames]
