"""Features of the head, summed over a configuration or over the neighborhood of each molecule."""

import numpy as np
import torch
from scipy.spatial import cKDTree

from fisher_mlip.data.frames import BoolArray, FloatArray, Frame
from fisher_mlip.model.graph import graph_of_frames
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import network_inputs
from fisher_mlip.stable.configurations import Configurations
from openmm_plugin.watch.pairs import near_pairs

ATOMS_PER_BATCH = 900


@torch.no_grad()
def feature_sums(
    network: EquivariantNetwork,
    elements: list[int],
    of: Configurations,
    neighborhood: float | None = None,
) -> FloatArray:
    """Return the sums that theta multiplies, float64, eV.

    Args:
        network: whose head, or readout, is trained.
        elements: the model's atomic numbers.
        of: configurations.
        neighborhood: Å; None: sums over all atoms.

    Returns:
        (n, 1, D), or with a neighborhood (n, n_molecules, D): sums over the atoms of a molecule
        and those closer than that to one of them.
    """
    pbc = np.full(3, of.cells is not None)
    cells = np.zeros((len(of), 3, 3)) if of.cells is None else of.cells
    step = max(1, ATOMS_PER_BATCH // len(of.atomic_numbers))
    found = []
    for start in range(0, len(of), step):
        places = range(start, min(start + step, len(of)))
        frames = [Frame(of.atomic_numbers, of.positions[k], cells[k], pbc) for k in places]
        graph = graph_of_frames(frames, elements, network.cutoff)
        inputs = network_inputs(network, graph, graph.positions, graph.cells)
        features = network.last_layer_features(*inputs).double().numpy()
        by_frame = features.reshape(len(frames), len(of.atomic_numbers), -1)
        if neighborhood is None:
            found.append(by_frame.sum(axis=1, keepdims=True))
            continue
        members = [near_molecules(of, k, neighborhood).astype(np.float64) for k in places]
        found.append(np.stack([m @ f for m, f in zip(members, by_frame, strict=True)]))
    return np.concatenate(found)


def near_molecules(of: Configurations, place: int, reach: float) -> BoolArray:
    """Return which atoms belong to each molecule's neighborhood, (n_molecules, n_atoms).

    Args:
        of: configurations.
        place: of one of them.
        reach: Å, from any atom of the molecule; 0 for the molecule alone.
    """
    found: BoolArray = of.molecules[None] == np.arange(of.n_molecules)[:, None]
    if reach <= 0.0:
        return found
    if of.cells is None:
        pairs = cKDTree(of.positions[place]).query_pairs(reach, output_type="ndarray")
        pairs = pairs.reshape(-1, 2)
    else:
        pairs, _ = near_pairs(of.positions[place], of.cells[place], reach, of.molecules)
    for first, second in ((0, 1), (1, 0)):
        found[of.molecules[pairs[:, first]], pairs[:, second]] = True
    return found
