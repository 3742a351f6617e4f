"""Averages over windows of time, one after the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from openmm_plugin.kinetics import FloatArray
from openmm_plugin.watch.criterion import Criterion
from openmm_plugin.watch.look import Look

# Chance that a look's mean over an element may owe to its few atoms, in standard deviations.
STANDARD_DEVIATIONS = 4.0


class Window:
    """The mean of an array over windows [k tau, (k + 1) tau) of time.

    Args:
        length_ps: tau.
    """

    def __init__(self, length_ps: float) -> None:
        self._length = float(length_ps)
        self._number: int | None = None
        self._sum: FloatArray | None = None
        self._count = 0

    def add(self, time_ps: float, values: FloatArray) -> FloatArray | None:
        """Take the values at a time; return the mean of the window that this time closes."""
        # Times are sums of timesteps: a boundary may be missed by their rounding.
        number = int(np.floor(time_ps / self._length + 1e-9))
        mean = None
        if self._number is not None and number != self._number and self._sum is not None:
            mean = self._sum / self._count
        if number != self._number:
            self._number, self._sum, self._count = number, None, 0
        self._sum = values.copy() if self._sum is None else self._sum + values
        self._count += 1
        return mean

    def memory(self) -> dict[str, Any]:
        """Return the open window."""
        if self._sum is None:
            return {}
        sums = self._sum.ravel().tolist()
        return {"number": self._number, "sum": sums, "count": self._count}

    def recall(self, memory: Mapping[str, Any], shape: tuple[int, ...]) -> None:
        """Go on with an open window of arrays of a shape."""
        if "sum" in memory:
            self._number, self._count = int(memory["number"]), int(memory["count"])
            self._sum = np.array(memory["sum"], dtype=np.float64).reshape(shape)


class Equipartition(Criterion):
    """How far the mean temperature of an element over a window is from that of all atoms.

    The number is the largest |<T_element> / <T> - 1| - 4 sqrt(2 / f_element), not below zero: a
    window may be as short as one independent look, whose temperature of f degrees of freedom
    fluctuates by sqrt(2 / f). Velocities are taken as the integrator keeps them; half a step beside
    the positions, a leapfrog's hydrogens look up to a tenth hotter at 1 fs.

    Args:
        threshold: largest deviation of the ratio from one.
        window_ps: length of a window; the number is that of the last whole one.
    """

    name = "equipartition by element"
    unit = ""

    def __init__(self, threshold: float = 0.5, *, window_ps: float = 1.0) -> None:
        super().__init__(threshold)
        self._window = Window(window_ps)
        self._last = float("nan")
        self._element = ""

    def measure(self, look: Look) -> float:
        found = look.temperatures
        by_element = list(found.by_element.values())
        mean = self._window.add(look.time_ps, np.array([found.total, *by_element]))
        if mean is not None:
            self._last = self._deviation(mean, look)
        return self._last

    def _deviation(self, mean: FloatArray, look: Look) -> float:
        freedom = np.array(list(look.temperatures.freedom_by_element.values()))
        if mean[0] <= 0.0 or not len(freedom):
            return 0.0
        chance = STANDARD_DEVIATIONS * np.sqrt(2.0 / np.maximum(freedom, 1e-9))
        deviations = np.abs(mean[1:] / mean[0] - 1.0) - chance
        worst = int(np.argmax(deviations))
        self._element = list(look.temperatures.by_element)[worst]
        return max(float(deviations[worst]), 0.0)

    def where(self) -> str:
        return self._element

    def memory(self) -> dict[str, Any]:
        last = None if np.isnan(self._last) else self._last
        return {"window": self._window.memory(), "last": last, "element": self._element}

    def recall(self, memory: Mapping[str, Any]) -> None:
        sums = memory["window"].get("sum", [])
        self._window.recall(memory["window"], (len(sums),))
        self._last = float("nan") if memory["last"] is None else float(memory["last"])
        self._element = memory["element"]
