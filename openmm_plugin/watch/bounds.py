"""Bounds on numbers of a single look: finite, forces, temperature, total energy."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from openmm_plugin.watch.criterion import Criterion
from openmm_plugin.watch.look import Look

# A look's temperature may leave its mean by this many of its standard deviations.
STANDARD_DEVIATIONS = 6.0


class FiniteNumbers(Criterion):
    """How many positions, velocities and forces are not finite: none may be."""

    name = "numbers that are not finite"
    unit = ""

    def __init__(self) -> None:
        super().__init__(0.0)

    def measure(self, look: Look) -> float:
        arrays = [look.positions, look.velocities]
        arrays += [] if look.forces is None else [look.forces]
        found = sum(int((~np.isfinite(values)).sum()) for values in arrays)
        if look.total_energy is not None and not np.isfinite(look.total_energy):
            found += 1
        return float(found)


class LargestForce(Criterion):
    """The largest force on an atom, eV/Å.

    At 500 K the largest of 5,400 atoms in liquid ethanol is about 10 eV/Å; 50 eV/Å is the slope
    well inside a repulsive core, where no thermal motion comes.

    Args:
        threshold: eV/Å.
    """

    name = "largest force"
    unit = "eV/Å"
    needs_forces = True

    def __init__(self, threshold: float = 50.0) -> None:
        super().__init__(threshold)
        self._atom = -1

    def measure(self, look: Look) -> float:
        if look.forces is None:
            return float("nan")
        lengths = np.linalg.norm(look.forces, axis=1)
        self._atom = int(np.argmax(lengths))
        return float(lengths[self._atom])

    def where(self) -> str:
        return "" if self._atom < 0 else f"atom {self._atom}"


class TemperatureRise(Criterion):
    """Temperature over the target, less what chance does to few atoms.

    The number is T / T_target - 6 sqrt(2 / f) with f degrees of freedom: the temperature of a
    canonical system of f fluctuates by sqrt(2 / f). Only heat is a sign of instability: a start
    from a minimum halves the temperature of a sound model.

    Args:
        target: K, positive.
        threshold: largest ratio.
    """

    name = "temperature over target"
    unit = ""

    def __init__(self, target: float, threshold: float = 2.0) -> None:
        super().__init__(threshold)
        self._target = float(target)

    def measure(self, look: Look) -> float:
        found = look.temperatures
        chance = STANDARD_DEVIATIONS * np.sqrt(2.0 / max(found.degrees_of_freedom, 1e-9))
        return float(max(found.total / self._target - chance, 0.0))


class EnergyChange(Criterion):
    """How far the total energy per atom is from that of the first look, eV/atom; for NVE.

    Velocity Verlet keeps it to some meV/atom at 1 fs; the thermal energy at 500 K is 65 meV/atom.

    Args:
        threshold: eV/atom.
    """

    name = "change of total energy"
    unit = "eV/atom"
    needs_forces = True

    def __init__(self, threshold: float = 0.05) -> None:
        super().__init__(threshold)
        self._start: float | None = None

    def measure(self, look: Look) -> float:
        if look.total_energy is None:
            return float("nan")
        if self._start is None:
            self._start = look.total_energy
        return abs(look.total_energy - self._start) / look.n_atoms

    def memory(self) -> dict[str, Any]:
        return {} if self._start is None else {"start": self._start}

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._start = memory.get("start")
