"""Weights of frames that turn a sample at one temperature into one at another."""

import numpy as np

from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.units import BOLTZMANN_EV_PER_K

# Fewer effective frames than this, or than a tenth of them: the average is that of a few.
FEWEST, SMALLEST_PART = 20.0, 0.1


def effective_sample_size(weights: FloatArray) -> float:
    """Return (sum w)^2 / sum w^2 (Kish 1965), the number of equal weights worth as much."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def temperature_weights(frames: Frames, sampled: float, wanted: float) -> FloatArray:
    """Return w ∝ exp(-U (1/kT2 - 1/kT1)), of mean one.

    Args:
        frames: a Boltzmann sample, all of one composition, with energies (eV).
        sampled: K, T1.
        wanted: K, T2.

    Returns:
        (n_frames,).

    Raises:
        InputError: a temperature that is not positive, a frame without an energy, frames of
            different compositions, or weights that leave too few effective frames.

    Source:
        importance sampling (Torrie, Valleau, J. Comput. Phys. 23, 187 (1977)).
    """
    if not (np.isfinite([sampled, wanted]).all() and sampled > 0 and wanted > 0):
        raise InputError(f"expected temperatures above 0 K, found {sampled} and {wanted}")
    compositions = {tuple(sorted(frame.atomic_numbers.tolist())) for frame in frames}
    if len(compositions) > 1:
        raise InputError(
            f"expected frames of one composition to reweight, found {len(compositions)}"
        )
    if any(frame.energy is None for frame in frames):
        raise InputError(f"expected an energy in every frame of {frames.source} to reweight")
    energies = np.array([frame.energy for frame in frames], dtype=np.float64)
    exponent = -(energies - energies.mean()) / BOLTZMANN_EV_PER_K * (1.0 / wanted - 1.0 / sampled)
    weights = np.exp(exponent - exponent.max())
    size = effective_sample_size(weights)
    least = max(FEWEST, SMALLEST_PART * len(frames))
    if size < least:
        raise InputError(
            f"reweighting {len(frames)} frames from {sampled:g} K to {wanted:g} K leaves "
            f"{size:.1f} effective frames, expected at least {least:.0f}: sample nearer"
        )
    scaled: FloatArray = weights / weights.mean()
    return scaled
