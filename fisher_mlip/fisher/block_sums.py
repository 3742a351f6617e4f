"""What score matching and force matching sum over frames, block by block in one network pass."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fisher_mlip.data.frames import FloatArray, Frames, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.jacobian import feature_jacobian
from fisher_mlip.fisher.laplacian import Laplacian, exact_laplacian, hutchinson_laplacian
from fisher_mlip.model.graph import Graph, graph_of_frames
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import evaluate
from fisher_mlip.units import BOLTZMANN_EV_PER_K

LaplacianName = Literal["exact", "hutchinson"]
ATOMS_PER_BATCH = 180


@dataclass(frozen=True, eq=False)
class BlockSums:
    """Sums over the frames of each block; U_0 is the model's own energy before the correction.

    Attributes:
        gram: (n_blocks, D, D), G'G, (eV/Å)^2.
        laplacian: (n_blocks, D), the Laplacians of D, eV/Å^2.
        probe_variance: (n_blocks, D), of `laplacian` by its random probes, (eV/Å^2)^2.
        base: (n_blocks, D), G' grad U_0, (eV/Å)^2.
        residual: (n_blocks, D), G' (grad U - grad U_0) of the reference's forces, (eV/Å)^2; NaN
            where a frame has none.
        residual_square: (n_blocks,), |grad U - grad U_0|^2, (eV/Å)^2; NaN where a frame has none.
        n_components: (n_blocks,), force components.
        n_frames: (n_blocks,).
    """

    gram: FloatArray
    laplacian: FloatArray
    probe_variance: FloatArray
    base: FloatArray
    residual: FloatArray
    residual_square: FloatArray
    n_components: FloatArray
    n_frames: FloatArray

    @property
    def has_forces(self) -> bool:
        return bool(np.isfinite(self.residual_square).all())

    def score_moment(self, temperature: float) -> FloatArray:
        """Return c of score matching at a temperature (K), (n_blocks, D)."""
        moment: FloatArray = BOLTZMANN_EV_PER_K * temperature * self.laplacian - self.base
        return moment

    def first(self, n_blocks: int) -> "BlockSums":
        """Return the first blocks alone."""
        return BlockSums(**{f.name: getattr(self, f.name)[:n_blocks] for f in fields(self)})

    def merged(self, n_blocks: int) -> "BlockSums":
        """Return fewer blocks, each the sum of neighbors."""
        starts = np.array([part[0] for part in np.array_split(np.arange(len(self.gram)), n_blocks)])
        return BlockSums(
            **{f.name: np.add.reduceat(getattr(self, f.name), starts) for f in fields(self)}
        )

    def square_errors(self, theta: FloatArray) -> FloatArray:
        """Return each block's sum of squared force errors, (n_blocks,), (eV/Å)^2.

        Args:
            theta: (D,), or (n_blocks, D) with one for each block.
        """
        each = np.broadcast_to(theta, self.base.shape)
        square = np.einsum("bi,bij,bj->b", each, self.gram, each)
        errors: FloatArray = square - 2.0 * (each * self.residual).sum(axis=1)
        return errors + self.residual_square

    def force_rmse(self, theta: FloatArray) -> float:
        """Return the root mean squared force component error with correction theta, eV/Å."""
        total = max(float(self.square_errors(theta).sum()), 0.0)
        return float(np.sqrt(total / self.n_components.sum()))


def joined(parts: list[BlockSums]) -> BlockSums:
    """Return the blocks of all parts, in order."""
    return BlockSums(
        **{
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(BlockSums)
        }
    )


def one_block(
    jacobian: Tensor,
    laplacian: Laplacian,
    base_gradient: Tensor,
    forces: Tensor,
) -> BlockSums:
    """Return the sums of frames that make one block.

    Args:
        jacobian: (n_atoms, 3, D), G, eV/Å.
        laplacian: (n_frames, D), eV/Å^2.
        base_gradient: (n_atoms, 3), grad U_0, eV/Å.
        forces: (n_atoms, 3), of the reference, eV/Å; NaN where there are none.
    """
    g = jacobian.reshape(-1, jacobian.shape[-1])
    base = base_gradient.reshape(-1)
    residual = -forces.reshape(-1) - base
    error = laplacian.standard_error
    variance = torch.zeros_like(laplacian.values) if error is None else error.square()
    sums = (
        g.T @ g,
        laplacian.values.sum(dim=0),
        variance.sum(dim=0),
        g.T @ base,
        g.T @ residual,
        residual @ residual,
    )
    counts = np.array([[len(g)], [len(laplacian.values)]], dtype=np.float64)
    return BlockSums(*(s.double().cpu().numpy()[None] for s in sums), *counts)


def block_sums(
    network: EquivariantNetwork,
    frames: Frames,
    elements: list[int],
    *,
    n_blocks: int,
    laplacian: LaplacianName = "exact",
    probes: int = 8,
    seed: int = 0,
    advance: Callable[[int], object] = lambda n_frames: None,
) -> BlockSums:
    """Return the sums of contiguous blocks of frames, so that time correlation stays within them.

    Args:
        network: the model in float64, on any device.
        frames: in the order of time, with forces or without.
        elements: the model's atomic numbers.
        n_blocks: of nearly equal numbers of frames; at most one for each frame.
        laplacian: `exact`, or `hutchinson` with `probes` random directions a frame.
        probes: two at least.
        seed: of the probes.
        advance: called with the number of frames just done.

    Raises:
        InputError: fewer than two frames or blocks.
    """
    if min(len(frames), n_blocks) < 2:
        raise InputError(
            f"expected two frames and two blocks or more, found {len(frames)} and {n_blocks}"
        )
    generator = torch.Generator().manual_seed(seed)
    parts = np.array_split(np.arange(len(frames)), min(n_blocks, len(frames)))
    block_of_frame = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    blocks: list[BlockSums] = []
    for batch in frames.batches(ATOMS_PER_BATCH):
        graph = graph_of_frames(batch, elements, network.cutoff).to(network.energy_scale.device)
        found = (
            exact_laplacian(network, graph)
            if laplacian == "exact"
            else hutchinson_laplacian(network, graph, probes, generator)
        )
        here, block_of_frame = block_of_frame[: len(batch)], block_of_frame[len(batch) :]
        for block, part in _by_block(network, graph, batch, found, here):
            blocks[block:] = [joined([*blocks[block:], part]).merged(1)]
        advance(len(batch))
    return joined(blocks)


def _by_block(
    network: EquivariantNetwork, graph: Graph, batch: Frames, found: Laplacian, block: IntArray
) -> Iterator[tuple[int, BlockSums]]:
    """Yield each block (n_frames,) of a batch with the sums of its frames."""
    jacobian = feature_jacobian(network, graph).displacement
    base = -evaluate(network, graph).forces
    labels = [
        np.full((frame.n_atoms, 3), np.nan) if frame.forces is None else frame.forces
        for frame in batch
    ]
    forces = torch.from_numpy(np.concatenate(labels)).to(base)
    for k in np.unique(block):
        chosen = torch.from_numpy(block == k).to(base.device)
        rows = chosen[graph.frame_index]
        yield int(k), one_block(jacobian[rows], found.of(chosen), base[rows], forces[rows])
