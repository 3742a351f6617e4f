"""A finetuned checkpoint as a function of theta, with the Fisher quadratic around its solution."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.fisher.gram_file import GramFile
from fisher_mlip.fisher.nesting import nested_head
from fisher_mlip.fisher.posterior import posterior
from fisher_mlip.fisher.solve import diagonalize, fitted_offsets, linear_system
from fisher_mlip.fisher.sums import Sums
from fisher_mlip.fisher.update import load_finetune
from fisher_mlip.model.checkpoint import Checkpoint
from fisher_mlip.model.head import LinearHead


@dataclass(frozen=True, eq=False)
class FisherPrior:
    """What the frames of a finetune say of theta, as coordinates z: theta = theta_0 + factor z.

    |z|^2 = (theta - theta_0)' (T + ridge S^2) (theta - theta_0) / scale, T the mean of G'G over
    force components (and other labels, as they were weighted): a unit of z raises the squared
    force error by about what it is, spread over all directions. Directions outside the rank of T
    are never moved.

    Attributes:
        checkpoint: the finetuned one.
        theta_0: (D,), its solution, relative to the pretrained model.
        factor: (D, rank).
        held_out: sums of forces that theta_0 has not seen.
        energies: sums of the training energies, with those of the elements' offsets.
    """

    checkpoint: Checkpoint
    theta_0: FloatArray
    factor: FloatArray
    held_out: Sums
    energies: Sums

    def theta(self, z: FloatArray) -> FloatArray:
        """Return theta (D,) at coordinates z (rank,)."""
        return np.asarray(self.theta_0 + self.factor @ z)

    def held_out_rmse(self, z: FloatArray) -> float:
        """Return the root mean square error of the held-out forces at z, eV/Å."""
        return self.held_out.rms(self.theta(z))

    def force_change(self, step: FloatArray) -> float:
        """Return the root mean square change of the held-out forces by a step of z, eV/Å."""
        delta = self.factor @ step
        square = float(delta @ self.held_out.gram @ delta)
        return float(np.sqrt(max(square, 0.0) / self.held_out.weight))

    def at(self, z: FloatArray, provenance: dict[str, Any] | None = None) -> Checkpoint:
        """Return the checkpoint with theta at z, its energies fitted to the training frames'.

        Args:
            z: (rank,).
            provenance: of the change, kept under `stable` in the configuration.
        """
        network = copy.deepcopy(self.checkpoint.network)
        delta = self.factor @ z
        if network.head is None:
            readout = network.readout
            readout.data = (readout.data.double() + torch.from_numpy(delta)).to(readout)
        else:
            theta = network.head.theta
            theta.data = torch.from_numpy(self.theta(z)).reshape(theta.shape).to(theta)
        # What a step moves the mean energy by, the offsets take back.
        still = replace(self.energies, moment=np.zeros_like(self.energies.moment))
        offsets = torch.from_numpy(fitted_offsets(still, delta))
        network.shift.data = (network.shift.data.double() + offsets).to(network.shift)
        config = self.checkpoint.config
        if provenance is not None:
            kept = {**config.provenance, "stable": provenance}
            config = config.model_copy(update={"provenance": kept})
        return Checkpoint(network, config, self.checkpoint.metrics)


def load_prior(folder: Path) -> FisherPrior:
    """Return a finetune as a prior.

    Raises:
        InputError: no checkpoint, or one without the normal equations of a finetune.

    Source:
        Bayesian ridge regression, as `fisher.posterior`: covariance sigma^2 (T + ridge S^2)^-1.
    """
    checkpoint, gram = load_finetune(folder)
    theta_0 = solution_of(checkpoint, gram)
    config = checkpoint.config
    large = None
    if gram.head.kind != "last-layer":
        large = LinearHead(gram.head, config.model, len(config.elements))
    head = nested_head(config.head, large, gram.training.n_features)
    training, held_out = head.equations(gram.training), head.equations(gram.held_out)
    system = linear_system(training, gram.label_weights)
    chosen = config.provenance.get("fisher", {}).get("chosen", {})
    ridge = float(chosen.get("ridge") or 0.0)
    spread = posterior(system, diagonalize(system), ridge, held_out.forces, theta_0)
    return FisherPrior(checkpoint, theta_0, spread.factor, held_out.forces, training.energies)


def solution_of(checkpoint: Checkpoint, gram: GramFile) -> FloatArray:
    """Return theta (D,) of a finetune, relative to the pretrained model."""
    network = checkpoint.network
    if network.head is None:
        readout = network.readout.detach().double().cpu().numpy()
        return np.asarray(readout - gram.readout)
    return np.asarray(network.head.theta.detach().double().cpu().numpy().ravel())
