"""The model's own uncertainty as a criterion."""

from collections.abc import Callable

from fisher_mlip.units import KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM
from openmm_plugin.watch.criterion import Criterion
from openmm_plugin.watch.look import Look


class ForceUncertainty(Criterion):
    """The largest force uncertainty over atoms, eV/Å, as an `UncertaintyReporter` last wrote it.

    Args:
        last: returns the step and the largest uncertainty, kJ/mol/nm, of the last row; None before
            the first. `lambda: reporter.last`, for a reporter that is attached before the watch.
        threshold: eV/Å.
    """

    name = "force uncertainty"
    unit = "eV/Å"

    def __init__(
        self, last: Callable[[], tuple[int, float] | None], threshold: float = 1.0
    ) -> None:
        super().__init__(threshold)
        self._last = last

    def measure(self, look: Look) -> float:
        found = self._last()
        if found is None or found[0] != look.step:
            return float("nan")
        return found[1] / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM
