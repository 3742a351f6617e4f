"""Molecules that do not see each other, in the real OpenMM: each as the eager model has it."""

from itertools import pairwise

import numpy as np
import pytest

from fisher_mlip.data.frames import Frame
from fisher_mlip.export import Artefact
from fisher_mlip.export.kernel import KernelName
from fisher_mlip.export.parity import FORCE_TOLERANCE
from fisher_mlip.model import Checkpoint
from openmm_plugin import make_force
from openmm_plugin.force import Route
from tests.engines.test_routes import (
    NO_GPU,
    ROUTES,
    check_same,
    context_of,
    eager,
    frames,
    read,
    topology_of,
)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("platform", ["Reference", pytest.param("CUDA", marks=NO_GPU)])
@pytest.mark.parametrize("kernel", ["torchscript", "fused"])
def test_independent_molecules_do_not_see_each_other(
    fused: Artefact, checkpoint: Checkpoint, route: Route, kernel: KernelName, platform: str
) -> None:
    frame = frames()[0]
    topology = topology_of(frame)
    atoms, first = list(topology.atoms()), 11
    for one, other in pairwise(atoms):
        if other.index != first:
            topology.addBond(one, other)
    built = make_force(
        fused, topology, route=route, kernel=kernel, platform=platform, independent_molecules=True
    )
    found = read(context_of(built, frame, platform))
    parts = [
        eager(checkpoint, fused, Frame(frame.atomic_numbers[part], frame.positions[part]))
        for part in (slice(first), slice(first, None))
    ]
    expected = sum(energy for energy, _ in parts), np.concatenate([forces for _, forces in parts])
    tolerance = FORCE_TOLERANCE[fused.manifest.dtype]
    check_same(found, expected, tolerance)
    with pytest.raises(AssertionError):
        check_same(found, eager(checkpoint, fused, frame), tolerance)
