"""How much of the allowed epochs and seconds is used, and the learning rate that follows."""

import math
import time

from fisher_mlip.config import TrainConfig


class Budget:
    """Epochs and wall time of a training, the time counted over all its resumes."""

    def __init__(self, max_epochs: int, max_seconds: float) -> None:
        self.max_epochs = max_epochs
        self.max_seconds = max_seconds
        self._seconds_before = 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall time spent so far."""
        return self._seconds_before + time.monotonic() - self._started

    def go_on_from(self, seconds: float) -> None:
        """Count on from what an interrupted training had used."""
        self._seconds_before = seconds

    def start(self) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def used(self, epochs: float, seconds: float) -> float:
        """Return the part used, 0 to 1, of whichever limit is nearer.

        Args:
            epochs: passes done, with the part of the present one.
            seconds: wall time spent.
        """
        part = epochs / self.max_epochs
        if self.max_seconds > 0.0:
            part = max(part, seconds / self.max_seconds)
        return min(part, 1.0)


def learning_rate(config: TrainConfig, used: float) -> float:
    """Return the cosine from the first to the final learning rate at the used part of the budget.

    Tied to the budget rather than to epochs, so a training that ends by its time limit has
    annealed as far as one that ends by its epochs.

    Source:
        Loshchilov, Hutter, ICLR 2017 (SGDR), eq. 5, one cycle.
    """
    first, final = config.learning_rate, config.final_learning_rate
    return final + 0.5 * (first - final) * (1.0 + math.cos(math.pi * used))
