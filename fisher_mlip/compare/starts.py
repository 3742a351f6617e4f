"""Whether runs start alike: the same atoms at the same places with the same velocities."""

from collections.abc import Sequence

import numpy as np

from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.trajectory import ANGSTROM_PER_NM, start_frame
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError

# Å: topology.pdb holds three decimals, and a molecule's center rounds too.
_SAME_PLACE = 3e-3
# With the masses, these decide the velocities at the start.
_DECISIVE = ("ensemble", "temperature", "seed")
_TELLING = ("timestep", "thermostat", "friction", "inner", "respa_steps", "pressure_bar")


def check_same_start(first: Sequence[Run], other: Sequence[Run]) -> None:
    """Check that the replicas of two models start alike.

    Args:
        first, other: the runs of each, in the order of their replicas.

    Raises:
        InputError: they do not, or it cannot be known.
    """
    if len(first) != len(other):
        raise InputError(
            f"expected as many runs of each model, found {len(first)} and {len(other)}"
        )
    for ours, theirs in zip(first, other, strict=True):
        for run in (ours, theirs):
            if run.is_foreign:
                raise InputError(
                    f"expected runs of `simulate`, whose start is known, found '{run.path}'"
                )
        _check_pair(ours, theirs)


def are_independent(run: Run) -> bool:
    """Return whether the run's molecules do not see each other, and are its replicas."""
    return bool(run.reference.provenance.get("independent_molecules", run.molecules is not None))


def differing_settings(first: Run, other: Run) -> list[str]:
    """Return what differs between two runs besides the model and does not decide the start."""
    return [
        f"{key} {getattr(first.config, key)} and {getattr(other.config, key)}"
        for key in _TELLING
        if getattr(first.config, key) != getattr(other.config, key)
    ]


def _check_pair(ours: Run, theirs: Run) -> None:
    for key in _DECISIVE:
        here, there = getattr(ours.config, key), getattr(theirs.config, key)
        if here != there:
            raise InputError(
                f"expected runs that start alike, found {key} {here} in '{ours.path}' and {there} "
                f"in '{theirs.path}'"
            )
    if ours.reference.symbols != theirs.reference.symbols:
        raise InputError(
            f"expected runs that start alike, found other atoms in '{ours.path}' than in "
            f"'{theirs.path}'"
        )
    apart = float(np.abs(_places(ours) - _places(theirs)).max())
    if not apart <= _SAME_PLACE:
        raise InputError(
            f"expected runs that start alike, found atoms {apart:.3g} Å apart in '{ours.path}' and "
            f"'{theirs.path}'"
        )


def _places(run: Run) -> FloatArray:
    """Return positions at the start, (n_atoms, 3), Å; of independent molecules from their center.

    Those stand on a grid that is as wide as the model's cutoff asks for.
    """
    positions = np.asarray(start_frame(run).xyz[0], dtype=np.float64) * ANGSTROM_PER_NM
    if not are_independent(run):
        return positions
    index = run.reference.molecule_index
    sums = np.zeros((run.reference.n_molecules, 3))
    np.add.at(sums, index, positions)
    return np.asarray(positions - (sums / np.bincount(index)[:, None])[index])
