"""What PythonForce calls: one context at a time."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import openmm

from openmm_plugin.callback import HEAD_SCALE, PotentialCallback


class Watched:
    """A potential that notes how many are inside it at once."""

    periodic = False
    head_scale = 1.0

    def __init__(self) -> None:
        self.inside = self.most = 0

    def energy_and_forces(self, positions: Any, cell: Any) -> tuple[float, Any]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.05)
        self.inside -= 1
        return self.head_scale, np.zeros_like(positions)


def test_contexts_take_turns_and_keep_their_own_scale() -> None:
    watched = Watched()
    callback = PotentialCallback(watched)  # type: ignore[arg-type]
    states = []
    for scale in (0.0, 1.0, 2.0, 3.0):
        system = openmm.System()
        system.addParticle(1.0)
        force = openmm.CustomExternalForce("0*x")
        force.addGlobalParameter(HEAD_SCALE, scale)
        force.addParticle(0, [])
        system.addForce(force)
        reference = openmm.Platform.getPlatformByName("Reference")
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), reference)
        context.setPositions([[0.0, 0.0, 0.0]])
        states.append(context.getState(positions=True, parameters=True))
    with ThreadPoolExecutor(4) as pool:
        energies = [energy for energy, _ in pool.map(callback, states)]
    assert watched.most == 1
    np.testing.assert_allclose(np.array(energies) / 96.48533, [0.0, 1.0, 2.0, 3.0], rtol=1e-6)
