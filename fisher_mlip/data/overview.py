"""What a set of frames holds, in numbers."""

from collections import Counter
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from fisher_mlip.data.checks import check_trainable
from fisher_mlip.data.distances import near_duplicate_groups, shortest_distance
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.data.reference_energies import resolve_reference_energies
from fisher_mlip.errors import InputError


def describe_frames(frames: Frames, *, reference_energies_file: str = "") -> dict[str, Any]:
    """Return what `frames` hold: composition, labels, E0s, ranges, near-duplicates, what is off.

    Args:
        frames: any, labelled or not.
        reference_energies_file: where the E0s were read from, if not with the frames.

    Returns:
        Plain data: counts; `smallest`, `mean` and `largest` of energy per atom and its part
        beyond the E0s (eV), of force components (eV/Å), of each frame's shortest distance (Å);
        E0s by symbol with their origin; `trainable` and, where not, the reason.
    """
    return {
        "source": frames.source,
        "frames": len(frames),
        "compositions": dict(Counter(_formula(frame) for frame in frames).most_common()),
        "config_types": dict(Counter(frame.config_type for frame in frames).most_common()),
        "atoms_per_frame": _range([float(frame.n_atoms) for frame in frames]),
        "periodic_frames": sum(frame.is_periodic for frame in frames),
        "missing": {
            label: sum(getattr(frame, label) is None for frame in frames)
            for label in ("energy", "forces", "stress")
        },
        **_distances(frames),
        "content_hash": frames.content_hash(),
        **_label_ranges(frames),
        **_reference_energies(frames, reference_energies_file),
        **_trainable(frames),
    }


def _distances(frames: Frames) -> dict[str, Any]:
    try:
        distances = [shortest_distance(frame) for frame in frames]
        groups = near_duplicate_groups(frames)
    except InputError:  # the reason is given as why the frames are not trainable
        return {"shortest_distance": None, "near_duplicates": None}
    return {
        "shortest_distance": _range([d for d in distances if np.isfinite(d)]),
        "near_duplicates": int((np.bincount(groups)[groups] > 1).sum()),
    }


def _label_ranges(frames: Frames) -> dict[str, Any]:
    energies = [f.energy / f.n_atoms for f in frames if f.energy is not None]
    forces = [f.forces.reshape(-1) for f in frames if f.forces is not None]
    sizes = np.abs(np.concatenate(forces)) if forces else np.zeros(0)
    return {
        "energy_per_atom": _range(energies),
        "force_component": {
            "rms": float(np.sqrt(np.mean(sizes**2))) if len(sizes) else None,
            "largest": float(sizes.max()) if len(sizes) else None,
        },
    }


def _reference_energies(frames: Frames, file: str) -> dict[str, Any]:
    try:
        reference = resolve_reference_energies(frames)
    except InputError as error:
        return {"reference_energies": {}, "reference_energies_origin": str(error)}
    e0 = reference.energies
    beyond = [
        (f.energy - sum(e0[int(z)] for z in f.atomic_numbers)) / f.n_atoms
        for f in frames
        if f.energy is not None
    ]
    return {
        "reference_energies": {chemical_symbols[z]: value for z, value in sorted(e0.items())},
        "reference_energies_origin": f"'{file}'" if file else reference.origin,
        "energy_per_atom_beyond_reference": _range(beyond),
    }


def _trainable(frames: Frames) -> dict[str, Any]:
    try:
        check_trainable(frames)
    except InputError as error:
        return {"trainable": False, "why_not": str(error)}
    return {"trainable": True, "why_not": None}


def _range(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    smallest, mean, largest = (float(f(values)) for f in (np.min, np.mean, np.max))
    return {"smallest": smallest, "mean": mean, "largest": largest}


def _formula(frame: Frame) -> str:
    counts = Counter(frame.atomic_numbers.tolist())
    # Carbon and hydrogen first, as chemists write.
    order = sorted(counts, key=lambda z: ((6, 1).index(z) if z in (6, 1) else 2, z))
    return "".join(f"{chemical_symbols[z]}{counts[z] if counts[z] > 1 else ''}" for z in order)
