"""The Fisher head without forces: theta from equilibrium frames and their temperature alone.

Frames of p ~ exp(-beta U) are matched by U_theta = U_0 + sum_k theta_k D_k, U_0 the energy of the
model as it is. The Fisher divergence 1/2 E|grad log p - grad log p_theta|^2 holds the unknown
grad log p = -beta grad U only in its cross term, which integration by parts turns over:

    -E[grad log p . s] = -int grad p . s dx = int p div s dx = E[div s],  s = -beta grad U_theta,

where p s vanishes at the boundary. What is left depends on theta as (Hyvärinen's eq. 4)

    J = E[ 1/2 beta^2 |grad U_theta|^2 - beta Lap U_theta ],

and with G = dD/dx, T = E[G'G], dJ/dtheta = 0 reads

    beta^2 (T theta + E[G' grad U_0]) - beta E[Lap D] = 0
    T theta = c,   c = E[Lap D] / beta - E[G' grad U_0].

The Laplacian of U_0 drops out. As E[Lap D] / beta = E[G' grad U], c is in the limit of many frames
that of force matching of what U_0 leaves over; and (2 J + const) / beta^2 is the mean squared force
error but for a constant, so blocks of frames left out choose the ridge without a force. One
harmonic oscillator, U = k x^2/2, D = x^2/2: T = <x^2> = 1/(beta k), Lap D = 1, theta = k.

It holds for equilibrium of the stated temperature in all coordinates: not for rigid bonds, nor for
frames picked by any other rule, nor where quantum nuclei were sampled. Frames may be shifted and
rotated as wholes, since D does not see it.

Source:
    A. Hyvärinen, J. Mach. Learn. Res. 6, 695 (2005), theorem 1.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.block_sums import BlockSums, LaplacianName, block_sums
from fisher_mlip.fisher.jackknife import RIDGES, Estimate, covariance_factor, estimate
from fisher_mlip.model.checkpoint import Checkpoint
from fisher_mlip.units import BOLTZMANN_EV_PER_K

N_BLOCKS = 20


@dataclass(frozen=True)
class ForceComparison:
    """What frames with forces say of a theta found without them; blocks left out, eV/Å.

    Attributes:
        base_rmse: force RMSE with theta = 0.
        score_matched_rmse: with the theta of score matching.
        force_matched_rmse: with the theta of force matching.
        force_matched_error: statistical error of the force-matched forces.
        temperature: that the frames show, from their forces, K.
        temperature_error: its standard error, K.
    """

    base_rmse: float
    score_matched_rmse: float
    force_matched_rmse: float
    force_matched_error: float
    temperature: float
    temperature_error: float


@dataclass(frozen=True, eq=False)
class ScoreMatched:
    """A correction of the head's coefficients found without forces.

    Attributes:
        score: theta, to be added to the coefficients of the model's features, with errors.
        sums: what it was solved from.
        temperature: of the frames, K.
        model_temperature: that the frames would show if the model's own forces were right, K. Far
            from `temperature`, frames and temperature do not belong together, or the model is bad.
        model_temperature_error: its standard error, K.
        probe_share: part of the variance of c that comes from random probes; 0 where exact.
        comparison: with forces, where every frame has them.
        force_matched: the same solved from forces, where every frame has them.
    """

    score: Estimate
    sums: BlockSums
    temperature: float
    model_temperature: float
    model_temperature_error: float
    probe_share: float
    comparison: ForceComparison | None
    force_matched: Estimate | None

    @property
    def worse_than_base(self) -> bool:
        """Whether the frames' own forces, where they have them, say that theta is no gain."""
        known = self.comparison
        return known is not None and not known.score_matched_rmse < known.base_rmse

    @property
    def why_kept(self) -> str:
        """Why the pretrained readout is kept, if it is."""
        if self.worse_than_base:
            return "by the frames' own forces the model without them is no better"
        return "no ridge gains more than its own error"

    def summary(self) -> dict[str, Any]:
        """Return the numbers for `summary.json` and the checkpoint's provenance."""
        return {
            "method": "score matching",
            "temperature_K": self.temperature,
            "model_temperature_K": self.model_temperature,
            "model_temperature_error_K": self.model_temperature_error,
            "features": len(self.score.theta),
            "frames": int(self.sums.n_frames.sum()),
            "blocks": len(self.sums.n_frames),
            "ridge": self.score.ridge,
            "kept_pretrained_readout": self.score.ridge is None,
            "statistical_force_error_eV_A": self.score.force_error,
            "probe_share_of_variance": self.probe_share,
            "ridge_path": [asdict(row) for row in self.score.path],
            "with_forces": None if self.comparison is None else asdict(self.comparison),
        }


def score_matched_theta(
    checkpoint: Checkpoint,
    frames: Frames,
    temperature: float,
    *,
    laplacian: LaplacianName = "exact",
    probes: int = 8,
    seed: int = 0,
    ridge: float | None = None,
    n_blocks: int = N_BLOCKS,
    device: str = "cpu",
    advance: Callable[[int], object] = lambda n_frames: None,
) -> ScoreMatched:
    """Solve for the head's coefficients from equilibrium frames, without their forces.

    Args:
        checkpoint: the model, U_0; it is not changed. Features are float64 whatever its dtype.
        frames: an equilibrium sample, in the order of time; forces are only compared with.
        temperature: of the sample, K.
        laplacian: `exact`, three passes an atom of a frame, or `hutchinson`.
        probes: of Hutchinson's estimator, a frame.
        seed: of the probes.
        ridge: relative to the scaled diagonal of T; None lets the blocks left out choose.
        n_blocks: of frames, for errors and ridge; each should outlast the correlation time.
        device: where the network runs.
        advance: called with the number of frames just done.

    Raises:
        InputError: a temperature, ridge or number that makes no sense, or too few frames.
    """
    if not 0 < temperature < math.inf:
        raise InputError(f"expected a temperature above zero (K), found {temperature}")
    network = copy.deepcopy(checkpoint.network).to(device, torch.float64)
    sums = block_sums(
        network,
        frames,
        checkpoint.config.elements,
        n_blocks=n_blocks,
        laplacian=laplacian,
        probes=probes,
        seed=seed,
        advance=advance,
    )
    return solved(sums, temperature, ridge)


def solved(sums: BlockSums, temperature: float, ridge: float | None = None) -> ScoreMatched:
    """Return the theta of sums already taken; the temperature (K) enters only here."""
    ridges = RIDGES if ridge is None else (ridge,)
    moment = sums.score_moment(temperature)
    score = estimate(sums.gram, moment, sums.n_components, ridges)
    shown = configurational_temperature(sums, sums.base)
    known = (score, sums, temperature, *shown, _probe_share(sums, temperature))
    if not sums.has_forces:
        return ScoreMatched(*known, None, None)
    matched = estimate(sums.gram, sums.residual, sums.n_components, ridges)
    comparison = ForceComparison(
        sums.force_rmse(np.zeros_like(score.theta)),
        sums.force_rmse(score.left_out),
        sums.force_rmse(matched.left_out),
        matched.force_error,
        *configurational_temperature(sums, sums.base + sums.residual),
    )
    found = ScoreMatched(*known, comparison, matched)
    if ridge is not None or not found.worse_than_base:
        return found
    # Nobody asked for this ridge, and there are forces that speak against it.
    kept = replace(score, ridge=None, theta=np.zeros_like(score.theta))
    return replace(found, score=kept)


def configurational_temperature(sums: BlockSums, moment: FloatArray) -> tuple[float, float]:
    """Return the temperature (K) that frames show, and its standard error.

    k_B T = E[grad V . grad U] / E[Lap V] holds for every V; V is what the features make of
    U, for each block of the others: what V has learned from a block's noise does not enter.

    Args:
        sums: of the frames.
        moment: (n_blocks, D), G' grad U: `base` for the model's own U, `base` and `residual`
            together for the reference's.

    Source:
        H. H. Rugh, Phys. Rev. Lett. 78, 772 (1997); B. D. Butler et al., J. Chem. Phys. 109, 6519
        (1998).
    """
    fit = estimate(sums.gram, moment, sums.n_components, (1e-6,)).left_out
    virial, laplacian = (fit * moment).sum(axis=1), (fit * sums.laplacian).sum(axis=1)
    without = (virial.sum() - virial) / (laplacian.sum() - laplacian) / BOLTZMANN_EV_PER_K
    error = np.sqrt((covariance_factor(without[:, None]) ** 2).sum())
    return float(virial.sum() / laplacian.sum() / BOLTZMANN_EV_PER_K), float(error)


def _probe_share(sums: BlockSums, temperature: float) -> float:
    """Return the part of the variance of c due to probes, over features scaled alike."""
    moment = sums.score_moment(temperature)
    per_frame = moment / sums.n_frames[:, None]
    variance = per_frame.var(axis=0, ddof=1) * len(moment)
    probes = (BOLTZMANN_EV_PER_K * temperature) ** 2 * (
        sums.probe_variance / sums.n_frames[:, None] ** 2
    ).sum(axis=0)
    moving = variance > 0
    return float((probes[moving] / variance[moving]).mean()) if moving.any() else 0.0
