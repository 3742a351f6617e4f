"""Trajectory of a box -> mean square displacement of molecules and their self-diffusion."""

from dataclasses import dataclass

import mdtraj
import numpy as np

from fisher_mlip.analysis.observables.distribution import standard_error
from fisher_mlip.analysis.observables.unwrapping import Unwrapper
from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.trajectory import ANGSTROM_PER_NM, iterate_chunks
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.units import BOLTZMANN_J_PER_K

# 1e-9 m²/s per Å²/ps.
_NANO_PER_A2_PS = 10.0
# Of a cubic box.
_YEH_HUMMER = 2.837297
_FEWEST_FRAMES = 20


@dataclass(frozen=True, eq=False)
class Diffusion:
    """Mean square displacement of centers of mass and the diffusion coefficient.

    Attributes:
        lag_ps: (n_lags,).
        msd: (n_lags,), Å², mean over molecules and all origins of time.
        msd_error: (n_lags,), Å², standard error between molecules.
        coefficient: 1e-9 m²/s, slope / 6 in the window.
        coefficient_error: standard error between molecules.
        window_ps: of the fit.
        exponent: of MSD ~ t^exponent in the window: 1 where molecules diffuse.
        box_length: Å, cube root of the mean volume.
    """

    lag_ps: FloatArray
    msd: FloatArray
    msd_error: FloatArray
    coefficient: float
    coefficient_error: float
    window_ps: tuple[float, float]
    exponent: float
    box_length: float

    def without_finite_size(self, temperature: float, viscosity_mpa_s: float) -> float:
        """Return the coefficient of an infinite box, 1e-9 m²/s.

        Args:
            temperature: K.
            viscosity_mpa_s: shear viscosity, mPa s.

        Source: I.-C. Yeh, G. Hummer, J. Phys. Chem. B 108, 15873 (2004):
            D = D_PBC + 2.837297 k_B T / (6 pi eta L).
        """
        resistance = 6.0 * np.pi * viscosity_mpa_s * 1e-3 * self.box_length * 1e-10
        return self.coefficient + _YEH_HUMMER * BOLTZMANN_J_PER_K * temperature / resistance * 1e9


def diffusion_of(run: Run, *, window: tuple[float, float] = (0.1, 0.5)) -> Diffusion:
    """Measure self-diffusion in a run's trajectory.

    Centers of mass are held in memory: 24 bytes a molecule and frame.

    Args:
        run: periodic; wrapped or not.
        window: of the fit, as parts of the trajectory's length.

    Raises:
        InputError: the run is not periodic, or has fewer than 20 frames.
    """
    unwrapper, centers, times, volumes = Unwrapper(), [], [], []
    for time, chunk in iterate_chunks(run):
        cells = chunk.unitcell_vectors
        if cells is None:
            raise InputError(f"expected a periodic box to diffuse in, found none in '{run.path}'")
        cells = np.asarray(cells, dtype=np.float64) * ANGSTROM_PER_NM
        positions = np.asarray(chunk.xyz, dtype=np.float64) * ANGSTROM_PER_NM
        centers.append(_centers(unwrapper.add(positions, cells), run, chunk.topology))
        times.append(time)
        volumes.append(np.abs(np.linalg.det(cells)))
    n_frames = sum(map(len, times))
    if n_frames < _FEWEST_FRAMES:
        raise InputError(
            f"expected {_FEWEST_FRAMES} frames or more for a diffusion coefficient in "
            f"'{run.path}', found {n_frames}"
        )
    whole = np.concatenate(centers)
    interval = float(np.median(np.diff(np.concatenate(times))))
    length = float(np.cbrt(np.concatenate(volumes).mean()))
    return einstein(whole, interval, window=window, box_length=length)


def einstein(
    centers: FloatArray, interval_ps: float, *, window: tuple[float, float], box_length: float
) -> Diffusion:
    """Fit the Einstein relation to unwrapped paths.

    Args:
        centers: (n_frames, n_molecules, 3), Å.
        interval_ps: between frames.
        window: of the fit, as parts of the length.
        box_length: Å.

    Source: A. Einstein, Ann. Phys. 17, 549 (1905): MSD = 6 D t.
    """
    msd = mean_square_displacements(centers)
    lags = np.asarray(np.arange(len(msd)) * interval_ps, dtype=np.float64)
    first, last = (max(1, round(part * len(msd))) for part in window)
    last = min(max(last, first + 2), len(msd) - 1)
    rows = slice(first, last + 1)
    time = lags[rows] - lags[rows].mean()
    slopes = time @ msd[rows] / (time @ time)
    each = slopes / 6.0 * _NANO_PER_A2_PS
    mean = msd.mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = float(np.polyfit(np.log(lags[rows]), np.log(mean[rows]), 1)[0])
    return Diffusion(
        lags,
        mean,
        standard_error(msd.T),
        float(each.mean()),
        float(standard_error(each[:, None])[0]),
        (float(lags[first]), float(lags[last])),
        exponent,
        box_length,
    )


def mean_square_displacements(centers: FloatArray) -> FloatArray:
    """Return the MSD of each path over all origins of time, (n_lags, n_molecules), Å².

    Args:
        centers: (n_frames, n_molecules, 3), Å, unwrapped.

    Source: V. Calandrini et al., Collection SFN 12, 201 (2011): sums by recursion, products by FFT.
    """
    n = len(centers)
    paths = centers - centers[:1]
    squares = (paths**2).sum(axis=2)
    spectrum = np.fft.rfft(paths, 2 * n, axis=0)
    products = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=2), 2 * n, axis=0)[:n]
    cumulative = np.concatenate([np.zeros((1, squares.shape[1])), np.cumsum(squares, axis=0)])
    lags = np.arange(n)
    # Over origins k < n - lag: the squares at k and at k + lag.
    sums = cumulative[n - lags] + cumulative[n] - cumulative[lags]
    return np.asarray((sums - 2.0 * products) / (n - lags)[:, None])


def _centers(positions: FloatArray, run: Run, topology: "mdtraj.Topology") -> FloatArray:
    masses = np.array([atom.element.mass for atom in topology.atoms])
    index = run.reference.molecule_index
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(run.reference.n_molecules))
    total = np.add.reduceat(masses[order], starts)
    weighted = positions[:, order] * masses[order, None]
    centers = np.add.reduceat(weighted, starts, axis=1) / total[:, None]
    # What the whole box drifts is no diffusion.
    drift = np.einsum("m,fmx->fx", total, centers) / total.sum()
    return np.asarray(centers - drift[:, None])
