"""The normal equations of force matching, accumulated over frames and never holding G."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.jacobian import feature_jacobian
from fisher_mlip.model.graph import graph_of_frames
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.products import write_bytes

ATOMS_PER_BATCH = 900


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """Sums over frames of what determines theta.

    With predicted forces -G theta, the squared force error is
    theta' T theta - 2 theta' c + F'F, which is least at theta = T^-1 c.

    Attributes:
        gram: (D, D), the sum of G'G, float64. Units with features in eV: (eV/Å)^2.
        moment: (D,), c, the sum of -G'F, (eV/Å)^2.
        force_square: the sum of F'F, (eV/Å)^2.
        n_components: force components summed over.
        n_frames: frames summed over.

    Source:
        minimal Fisher divergence to a Boltzmann density, 1/2 beta^2 E|grad U - G theta|^2, with
        grad U = -F; beta cancels. The report prints theta = -T^-1 E[G' grad U] (its eq. 4); its
        eq. 3 has the sign of the cross term wrong.
    """

    gram: FloatArray
    moment: FloatArray
    force_square: float
    n_components: int
    n_frames: int

    def __add__(self, other: "NormalEquations") -> "NormalEquations":
        return NormalEquations(
            self.gram + other.gram,
            self.moment + other.moment,
            self.force_square + other.force_square,
            self.n_components + other.n_components,
            self.n_frames + other.n_frames,
        )

    def force_rmse(self, theta: FloatArray) -> float:
        """Return the root mean squared force component error of a readout theta, eV/Å."""
        square = float(theta @ self.gram @ theta - 2.0 * theta @ self.moment) + self.force_square
        return math.sqrt(max(square, 0.0) / self.n_components)


def from_jacobian(jacobian: Tensor, forces: Tensor, n_frames: int) -> NormalEquations:
    """Return the normal equations of G (n_atoms, 3, D) and F (n_atoms, 3), both float64."""
    g = jacobian.reshape(-1, jacobian.shape[-1])
    f = forces.reshape(-1)
    return NormalEquations(
        (g.T @ g).cpu().numpy(), -(g.T @ f).cpu().numpy(), float(f @ f), len(f), n_frames
    )


def accumulate(
    network: EquivariantNetwork,
    frames: Frames,
    elements: list[int],
    *,
    advance: Callable[[int], object] = lambda n_frames: None,
) -> NormalEquations:
    """Return the normal equations of all `frames`, a batch of about 900 atoms at a time.

    Args:
        network: the model whose features are used, on any device.
        frames: frames with forces.
        elements: the model's atomic numbers.
        advance: called with the number of frames just done, for progress bars.

    Raises:
        InputError: no frames, or a frame without forces.
    """
    if len(frames) == 0:
        raise InputError("expected at least one frame to solve from, found none")
    device = network.energy_scale.device
    total: NormalEquations | None = None
    for batch in frames.batches(ATOMS_PER_BATCH):
        forces = [frame.forces for frame in batch if frame.forces is not None]
        if len(forces) < len(batch):
            raise InputError(
                f"expected forces in every frame of {frames.source}, found none in one"
            )
        jacobian = feature_jacobian(
            network, graph_of_frames(batch, elements, network.cutoff).to(device)
        )
        target = torch.from_numpy(np.concatenate(forces)).to(device)
        part = from_jacobian(jacobian, target, len(batch))
        total = part if total is None else total + part
        advance(len(batch))
    assert total is not None
    return total


def save_normal_equations(path: Path, equations: NormalEquations, data_hash: str) -> None:
    """Write `gram.safetensors`: T and c, with the scalars and the data hash as metadata."""
    scalars = {
        "force_square": equations.force_square,
        "n_components": equations.n_components,
        "n_frames": equations.n_frames,
        "data_hash": data_hash,
    }
    tensors = {"gram": equations.gram, "moment": equations.moment}
    write_bytes(path, save(tensors, metadata={"normal_equations": json.dumps(scalars)}))


def load_normal_equations(path: Path) -> NormalEquations:
    """Read `gram.safetensors`.

    Raises:
        InputError: the file is missing, damaged, or something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            scalars = json.loads((file.metadata() or {})["normal_equations"])
            gram, moment = file.get_tensor("gram"), file.get_tensor("moment")
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise InputError(f"expected normal equations in '{path}', found: {error}") from None
    scalars.pop("data_hash")
    return NormalEquations(gram, moment, **scalars)
