"""The strain derivative that the artefact tells against finite strains of the engine's energy."""

from collections.abc import Callable
from functools import partial

import numpy as np

from fisher_mlip.certificate.engine import Potential
from fisher_mlip.certificate.gradient import derivative
from fisher_mlip.certificate.rows import Row, judged
from fisher_mlip.certificate.tolerances import Tolerances
from fisher_mlip.data.frames import FloatArray, Frame

COMPONENTS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
NAMES = ("xx", "yy", "zz", "yz", "xz", "xy")


def virial_rows(
    potential: Potential,
    strain_derivative: Callable[[Frame], FloatArray],
    frame: Frame,
    on: str,
    allowed: Tolerances,
) -> list[Row]:
    """Check the six components of dE/dε (the virial is its negative).

    Args:
        potential: the engine's energy.
        strain_derivative: frame -> dE/dε (3, 3), eV, by differentiation.
        frame: periodic, or open.
        on: its name.
        allowed: tolerances.
    """
    told = strain_derivative(frame)
    finite = np.array(
        [
            derivative(partial(strained, potential, frame, k), allowed.step / 4.0)
            for k in range(len(COMPONENTS))
        ]
    )
    expected = np.array([told[i, j] for i, j in COMPONENTS])
    differences = np.abs(finite - expected)
    scale = max(1.0, float(np.abs(finite).max()))
    worst = NAMES[int(np.argmax(differences))]
    return [
        judged(
            "virial",
            on,
            "largest difference of dE/dε and finite strains of the energy",
            float(differences.max()),
            "eV",
            allowed.gradient * scale,
            f"all six components; worst {worst}",
        )
    ]


def strained(potential: Potential, frame: Frame, component: int, size: float) -> float:
    """Return the energy (eV) under one symmetric strain of positions and cell."""
    i, j = COMPONENTS[component]
    strain = np.zeros((3, 3))
    strain[i, j] += 0.5 * size
    strain[j, i] += 0.5 * size
    deformation = np.eye(3) + strain
    moved = frame.relabelled(positions=frame.positions @ deformation, cell=frame.cell @ deformation)
    return potential(moved)[0]
