"""What a criterion of instability is: a number of a look, and a bound that it must not pass."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from openmm_plugin.watch.look import Look


class Criterion(ABC):
    """A number that is measured at every look and a bound on it.

    Args:
        threshold: the bound, in the criterion's unit.

    Attributes:
        name: in files and messages.
        unit: of the number and the bound; "" for a pure number.
        needs_forces: whether it says something only of looks with forces and energies.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    needs_forces: ClassVar[bool] = False

    def __init__(self, threshold: float) -> None:
        self.threshold = float(threshold)

    @abstractmethod
    def measure(self, look: Look) -> float:
        """Return the number; NaN where this look says nothing."""

    def is_beyond(self, value: float) -> bool:
        """Return whether a number has passed the bound; NaN has not."""
        return value > self.threshold

    def where(self) -> str:
        """Return in words where the last number was found; "" for everywhere."""
        return ""

    def memory(self) -> dict[str, Any]:
        """Return what later looks depend on, as finite numbers and text that JSON holds."""
        return {}

    def recall(self, memory: Mapping[str, Any]) -> None:  # noqa: B027 most have nothing to recall
        """Go on from what `memory` returned."""

    @property
    def column(self) -> str:
        """The name of its column, with the unit."""
        name = self.name[0].upper() + self.name[1:]
        return f"{name} ({self.unit})" if self.unit else name
