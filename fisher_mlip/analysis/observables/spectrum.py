"""Trajectory -> velocity autocorrelation and the vibrational spectrum of the atoms' motion."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fisher_mlip.analysis.observables.distribution import standard_error
from fisher_mlip.analysis.observables.unwrapping import Unwrapper
from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.trajectory import ANGSTROM_PER_NM, iterate_chunks, start_frame
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError

# cm⁻¹ per 1/ps: 1 / (c 1 ps).
CM_PER_THZ = 33.35640951981521
_FEWEST_FRAMES = 8


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Autocorrelation of velocities and its spectrum.

    Attributes:
        lag_ps: (n_lags,).
        vacf: (n_lags,), mass-weighted, 1 at the start.
        vacf_error: (n_lags,), standard error between segments; NaN of one segment.
        wavenumber: (n_frequencies,), cm⁻¹.
        density: (n_frequencies,), vibrational density of states, of integral one over cm⁻¹.
        density_error: (n_frequencies,), likewise.
        nyquist: cm⁻¹, the highest that frames so far apart show; faster motion appears below it.
        resolution: cm⁻¹.
        n_segments: that were averaged.
    """

    lag_ps: FloatArray
    vacf: FloatArray
    vacf_error: FloatArray
    wavenumber: FloatArray
    density: FloatArray
    density_error: FloatArray
    nyquist: float
    resolution: float
    n_segments: int

    @property
    def peak(self) -> float:
        """Wavenumber of the highest density, cm⁻¹."""
        return float(self.wavenumber[np.argmax(self.density)])


def spectrum_of(run: Run, *, segment_ps: float = 2.0) -> Spectrum:
    """Measure the spectrum of a run from differences of positions; no run folder has velocities.

    Args:
        run: with a trajectory whose frames are evenly spaced.
        segment_ps: length of the segments that are averaged; shorter runs are one.

    Raises:
        InputError: there are fewer than 8 frames.
    """
    masses = np.array([atom.element.mass for atom in start_frame(run).topology.atoms])
    interval = _interval(run)
    wanted = max(_FEWEST_FRAMES, round(segment_ps / interval))
    segments = _segments(_velocities(run, interval), wanted)
    correlations = [autocorrelation(segment, masses) for segment in segments]
    if not correlations:
        raise InputError(
            f"expected more than {_FEWEST_FRAMES} frames for a spectrum in '{run.path}', found "
            "fewer"
        )
    return transform(np.array(correlations), interval, from_positions=True)


def autocorrelation(velocities: FloatArray, masses: FloatArray) -> FloatArray:
    """Return the mass-weighted velocity autocorrelation over the first half of the lags.

    Args:
        velocities: (n_frames, n_atoms, 3), of any unit.
        masses: (n_atoms,), amu.

    Returns:
        (n_frames // 2,), sum over atoms, not normalized.
    """
    n = len(velocities)
    spectrum = np.fft.rfft(velocities, 2 * n, axis=0)
    power = np.einsum("fax,a->f", np.abs(spectrum) ** 2, masses)
    lags = np.arange(n // 2)
    return np.asarray(np.fft.irfft(power, 2 * n)[: n // 2] / (n - lags))


def transform(correlations: FloatArray, interval_ps: float, *, from_positions: bool) -> Spectrum:
    """Average autocorrelations and transform them.

    Args:
        correlations: (n_segments, n_lags), of `autocorrelation`.
        interval_ps: between frames.
        from_positions: whether velocities are differences of neighboring positions, which damps
            frequency f by sinc(f interval)²: that is undone.

    Source: Wiener-Khinchin; a Hann window closes the correlation.
    """
    n_lags = correlations.shape[1]
    window = 0.5 * (1.0 + np.cos(np.pi * np.arange(n_lags) / n_lags))
    spectra = np.array([_cosine_transform(one * window) for one in correlations])
    frequency = np.fft.rfftfreq(2 * n_lags - 1, interval_ps)
    if from_positions:
        spectra = spectra / np.sinc(frequency * interval_ps) ** 2
    wavenumber = np.asarray(frequency * CM_PER_THZ, dtype=np.float64)
    area = float(np.trapezoid(spectra.mean(axis=0), wavenumber))
    start = float(correlations[:, 0].mean())
    return Spectrum(
        np.asarray(np.arange(n_lags) * interval_ps, dtype=np.float64),
        correlations.mean(axis=0) / start,
        standard_error(correlations) / start,
        wavenumber,
        spectra.mean(axis=0) / area,
        standard_error(spectra) / area,
        0.5 / interval_ps * CM_PER_THZ,
        CM_PER_THZ / (n_lags * interval_ps),
        len(correlations),
    )


def _cosine_transform(correlation: FloatArray) -> FloatArray:
    even = np.concatenate([correlation, correlation[:0:-1]])
    return np.asarray(np.fft.rfft(even).real)


def _interval(run: Run) -> float:
    """Return the time between frames, ps, as the trajectory has it."""
    times, _ = next(iterate_chunks(run, 2), (np.zeros(0), None))
    return float(times[1] - times[0]) if len(times) > 1 else run.frame_interval_ps


def _velocities(run: Run, interval: float) -> Iterator[FloatArray]:
    """Yield differences of positions, (n_frames, n_atoms, 3), Å/ps, over all chunks."""
    unwrapper, last = Unwrapper(), None
    for _, chunk in iterate_chunks(run):
        cells = chunk.unitcell_vectors
        cells = None if cells is None else np.asarray(cells) * ANGSTROM_PER_NM
        positions = unwrapper.add(np.asarray(chunk.xyz) * ANGSTROM_PER_NM, cells)
        whole = positions if last is None else np.concatenate([last, positions])
        last = positions[-1:]
        yield np.diff(whole, axis=0) / interval


def _segments(parts: Iterable[FloatArray], size: int) -> Iterator[FloatArray]:
    """Yield arrays of `size` rows; what is left at the end counts only where it is all."""
    kept: FloatArray | None = None
    n_yielded = 0
    for part in parts:
        kept = part if kept is None else np.concatenate([kept, part])
        while len(kept) >= size:
            yield kept[:size]
            n_yielded += 1
            kept = kept[size:]
    if kept is not None and not n_yielded and len(kept) >= _FEWEST_FRAMES:
        yield kept
