"""What a training writes while it goes: the best model, the state to resume from, the curve."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from fisher_mlip.config import TrainConfig
from fisher_mlip.errors import UnstableRunError
from fisher_mlip.interruption import Interruption
from fisher_mlip.model.checkpoint import Checkpoint, CheckpointConfig, save_checkpoint
from fisher_mlip.train.budget import Budget, learning_rate
from fisher_mlip.train.curve import CURVE_NAME, EpochRow, append_row, start_curve
from fisher_mlip.train.module import ForceMatching

STATE_NAME = "last.safetensors"


class TrainingRecord(Callback):
    """Saves the model of least validation loss, and every few epochs the whole state.

    It also minds the budget. It stands before the averaging callback, which puts the averaged
    weights in place for the validation and takes them away at its end.

    Attributes:
        best_loss: the least validation loss so far.
        best_epoch: where it was met.
        epochs_done: whole epochs so far.
    """

    def __init__(
        self,
        output: Path,
        config: TrainConfig,
        checkpoint: CheckpointConfig,
        interruption: Interruption,
        identity: dict[str, str],
        show: Callable[[EpochRow, float], object],
    ) -> None:
        self.output = output
        self.config = config
        self.checkpoint = checkpoint
        self.interruption = interruption
        self.identity = identity
        self.show = show
        self.budget = Budget(config.max_epochs, config.max_seconds)
        self.best_loss = math.inf
        self.best_epoch = 0
        self.epochs_done = 0

    @property
    def progress(self) -> str:
        """How far the training came, in words."""
        best = f"the best model so far is that of epoch {self.best_epoch}"
        return (
            f"interrupted: {self.epochs_done} of at most {self.config.max_epochs} epochs complete, "
            f"{best if self.best_epoch else 'with no model yet'}"
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the curve, or cut it back to the state that training goes on from."""
        self.budget.start()
        self.epochs_done = trainer.current_epoch
        if trainer.is_global_zero:
            start_curve(self.output / CURVE_NAME, trainer.current_epoch)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the epoch's order of frames."""
        trainer.datamodule.start_epoch(trainer.current_epoch)  # type: ignore[attr-defined]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Tell the module what part of the budget is used."""
        assert isinstance(pl_module, ForceMatching)
        pl_module.used = self._used(trainer, batch_idx)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after this step when the time is over or an interruption was wanted."""
        wanted = torch.tensor(float(self.interruption.wanted), device=pl_module.device)
        stop = bool(trainer.strategy.reduce(wanted, reduce_op="max"))
        trainer.should_stop = stop or self._used(trainer, batch_idx + 1) >= 1.0

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the model when it is the best so far.

        Raises:
            UnstableRunError: the validation loss is not finite.
        """
        assert isinstance(pl_module, ForceMatching)
        _add_up(trainer, pl_module.validation_loss, pl_module.validation_sums.sums)
        loss = _ratio(pl_module.validation_loss)
        epoch = trainer.current_epoch + 1
        if not math.isfinite(loss):
            raise UnstableRunError(
                f"training stopped: the validation loss is {loss} after epoch {epoch}; "
                "lower learning_rate; the best checkpoint so far stays"
            )
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch
            if trainer.is_global_zero:
                metrics = pl_module.validation_sums.errors().as_metrics("validation_")
                metrics = {"best_epoch": epoch, "validation_loss": loss, **metrics}
                save_checkpoint(
                    self.output, Checkpoint(pl_module.network, self.checkpoint, metrics)
                )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch to the curve and save the state that `--resume` goes on from."""
        assert isinstance(pl_module, ForceMatching)
        epoch = trainer.current_epoch + 1
        used = self._used(trainer, trainer.fit_loop.batch_idx + 1)
        _add_up(trainer, pl_module.training_loss, pl_module.training_sums.sums)
        whole = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        self.epochs_done = epoch if whole else epoch - 1
        if trainer.is_global_zero:
            row = _row(pl_module, epoch, self.budget.seconds, used)
            append_row(self.output / CURVE_NAME, row)
            if whole or not self.interruption.wanted:
                self.show(row, used)
        # After its row: a resumed training cuts rows beyond the state, and none may be missing.
        due = epoch % self.config.checkpoint_every == 0 or epoch == trainer.max_epochs
        if whole and (due or trainer.should_stop):
            trainer.save_checkpoint(self.output / STATE_NAME)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training must know."""
        return {
            "best_loss": self.best_loss,
            "best_epoch": self.best_epoch,
            "seconds": self.budget.seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.best_loss = state_dict["best_loss"]
        self.best_epoch = state_dict["best_epoch"]
        self.budget.go_on_from(state_dict["seconds"])

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what a resumed training must agree with."""
        checkpoint["identity"] = self.identity

    def _used(self, trainer: Trainer, n_batches: int) -> float:
        """Return the used part of the budget, the same on every process."""
        epochs = trainer.current_epoch + n_batches / trainer.num_training_batches
        seconds = torch.tensor(self.budget.seconds, device=trainer.strategy.root_device)
        slowest = float(trainer.strategy.reduce(seconds, reduce_op="max"))
        return self.budget.used(epochs, slowest)


def _add_up(trainer: Trainer, *sums: torch.Tensor) -> None:
    """Add the sums of all processes, in place."""
    for tensor in sums:
        tensor.copy_(trainer.strategy.reduce(tensor, reduce_op="sum"))


def _ratio(total_and_count: torch.Tensor) -> float:
    return float(total_and_count[0] / total_and_count[1])


def _row(module: ForceMatching, epoch: int, seconds: float, used: float) -> EpochRow:
    training = module.training_sums.errors().as_metrics()
    validation = module.validation_sums.errors().as_metrics()
    return EpochRow(
        epoch=epoch,
        seconds=round(seconds, 3),
        learning_rate=learning_rate(module.config, used),
        training_loss=_ratio(module.training_loss),
        training_force_mae_meV_A=float(training["force_mae_meV_A"]),
        training_energy_mae_meV=float(training["energy_mae_meV"]),
        validation_loss=_ratio(module.validation_loss),
        validation_force_mae_meV_A=float(validation["force_mae_meV_A"]),
        validation_energy_mae_meV=float(validation["energy_mae_meV"]),
    )
