"""The clock as a callback of Lightning: NequIP's configuration names it beside its own."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from training import Clock

METRIC = "val0_epoch/forces_mae"


class EpochClock(Callback):
    """Notes each step, and each validation with its force error."""

    def __init__(self, folder: str) -> None:
        self.clock = Clock(Path(folder))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock: model, statistics and data are there."""
        self.clock.start()

    def on_train_batch_end(self, *args: Any, **options: Any) -> None:
        """Note a step."""
        self.clock.step()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a point, of the averaged weights: those are in place until the validation ends."""
        if not trainer.sanity_checking:
            mae = float(trainer.callback_metrics[METRIC])
            self.clock.validated(trainer.current_epoch + 1, mae)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what a step took."""
        self.clock.write_steps()
