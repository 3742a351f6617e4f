"""Model: frames as graphs -> energies, forces, stresses; and the checkpoint on disk."""

from fisher_mlip.model.checkpoint import (
    Checkpoint,
    CheckpointConfig,
    load_checkpoint,
    new_network,
    save_checkpoint,
)
from fisher_mlip.model.graph import Graph, build_graph, graph_of_frames, join_graphs
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import Prediction, evaluate

__all__ = [
    "Checkpoint",
    "CheckpointConfig",
    "EquivariantNetwork",
    "Graph",
    "Prediction",
    "build_graph",
    "evaluate",
    "graph_of_frames",
    "join_graphs",
    "load_checkpoint",
    "new_network",
    "save_checkpoint",
]
