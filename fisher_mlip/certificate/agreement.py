"""Is the engine's potential the model that was trained, and what does its precision cost?"""

from collections.abc import Callable

import numpy as np

from fisher_mlip.certificate.engine import Potential
from fisher_mlip.certificate.rows import Row, judged
from fisher_mlip.certificate.symmetry import same_rows
from fisher_mlip.certificate.tolerances import TOLERANCES, Tolerances
from fisher_mlip.config import DtypeName
from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.export import Artefact
from fisher_mlip.export.fusing import table_error
from fisher_mlip.fused.packing import TOLERANCE as TABLE_TOLERANCE
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.model.checkpoint import network_in, torch_dtype


def eager_potential(
    checkpoint: Checkpoint, dtype: DtypeName
) -> Callable[[Frame], tuple[float, FloatArray]]:
    """Return the checkpoint's network in plain torch, with a list made anew for each frame."""
    network = network_in(checkpoint, dtype)

    def potential(frame: Frame) -> tuple[float, FloatArray]:
        graph = build_graph(frame, checkpoint.config.elements, network.cutoff)
        found = evaluate(network, graph)
        return float(found.energies[0]), np.asarray(found.forces.numpy())

    return potential


def parity_rows(
    potential: Potential, eager: Potential, frame: Frame, on: str, allowed: Tolerances
) -> list[Row]:
    """Check the engine against the eager model."""
    what = "exporting the model"
    return same_rows("parity", on, what, potential(frame), eager(frame), allowed.same)


def table_row(artefact: Artefact) -> Row:
    """Check the radial functions that the fused operators tabulate against the functions."""
    manifest = artefact.manifest
    allowed = 10.0 * TABLE_TOLERANCE[torch_dtype(manifest.dtype)]
    return judged(
        "parity",
        "network",
        "largest error of a tabulated radial function's slope, over the largest slope",
        table_error(artefact.path, manifest),
        "",
        allowed,
        "half-way between knots; the rows of forces have what comes of it",
    )


def precision_rows(double: Potential, single: Potential, frame: Frame, on: str) -> list[Row]:
    """Check float32 against float64 of the same weights."""
    allowed = TOLERANCES["float32"].same
    what = "float32 instead of float64"
    return same_rows("precision", on, what, single(frame), double(frame), allowed)
