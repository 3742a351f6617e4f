"""What a training shows while it goes: a line now and then on standard error."""

from rich.console import Console

from fisher_mlip.train.curve import EpochRow

LINES = 40


class EpochLines:
    """Prints about `LINES` lines over a training, spread over its budget of epochs or seconds."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._printed = -1

    def __call__(self, row: EpochRow, used: float) -> None:
        """Print the row, unless one was printed just before.

        Args:
            row: of the epoch that ended.
            used: the part of the budget that is spent, 0 to 1.
        """
        if int(used * LINES) == self._printed:
            return
        self._printed = int(used * LINES)
        self.console.print(
            f"epoch {row.epoch:5d}  loss {row.training_loss:.3e}  "
            f"validation force MAE {row.validation_force_mae_meV_A:7.1f} meV/Å  "
            f"energy MAE {row.validation_energy_mae_meV:7.1f} meV  {row.seconds:7.1f} s",
            markup=False,
            soft_wrap=True,
        )
