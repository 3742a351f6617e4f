"""The training step, its optimizer and its schedule, as Lightning runs them."""

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from fisher_mlip.config import TrainConfig
from fisher_mlip.errors import UnstableRunError
from fisher_mlip.fused.training import FusedTraining
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import Prediction, evaluate
from fisher_mlip.train.batches import Batch
from fisher_mlip.train.budget import learning_rate
from fisher_mlip.train.loss import force_matching_loss
from fisher_mlip.train.metrics import ErrorSums


class ForceMatching(LightningModule):
    """Energies and forces of a network against labels; AMSGrad-Adam.

    Attributes:
        fused: the network over the fused operators, where they serve.
        used: the part of the budget that is spent, 0 to 1; sets the learning rate.
        training_loss: (2,), sum over the steps of this epoch and their number.
        training_sums: errors of this epoch's batches, as they were met.
        validation_sums: errors of the last validation.
        validation_loss: (2,), as `training_loss`, weighted by frames.
    """

    def __init__(
        self, network: EquivariantNetwork, config: TrainConfig, fused: FusedTraining | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.fused = fused
        self.config = config
        self.used = 0.0
        self.training_loss = torch.zeros(2, dtype=torch.float64)
        self.validation_loss = torch.zeros(2, dtype=torch.float64)
        self.training_sums = ErrorSums()
        self.validation_sums = ErrorSums()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of the configuration."""
        # In one kernel: parameter by parameter it would be a third of a fused step.
        return torch.optim.Adam(
            self.network.parameters(),
            lr=self.config.learning_rate,
            amsgrad=True,
            fused=self.fused is not None,
        )

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sums."""
        self.training_loss = torch.zeros(2, dtype=torch.float64, device=self.device)
        self.training_sums = ErrorSums(self.device)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate."""
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.config, self.used)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch.

        Raises:
            UnstableRunError: it is not finite.
        """
        loss = self._loss(batch, self.training_sums, training=True)
        if not torch.isfinite(loss):
            raise UnstableRunError(
                f"training stopped: the loss is {loss.item()} in epoch {self.current_epoch + 1}, "
                f"step {batch_idx + 1}; lower learning_rate ({self.config.learning_rate:g}) or "
                f"gradient_clip ({self.config.gradient_clip:g}); the best checkpoint so far stays"
            )
        self.training_loss += torch.stack([loss.detach(), torch.ones_like(loss)])
        return loss

    def trial_step(self, batch: Batch) -> None:
        """Do the work of a step and leave no trace of it, to see how long it takes."""
        torch.autograd.backward(self._loss(batch, ErrorSums(), training=True))
        self.zero_grad()

    def on_validation_epoch_start(self) -> None:
        """Start the validation's sums."""
        self.validation_loss = torch.zeros(2, dtype=torch.float64, device=self.device)
        self.validation_sums = ErrorSums(self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the validation's sums."""
        with torch.enable_grad():
            loss = self._loss(batch, self.validation_sums, training=False)
        n_frames = batch.graph.n_frames
        self.validation_loss += torch.stack([n_frames * loss, n_frames * torch.ones_like(loss)])

    def _loss(self, batch: Batch, sums: ErrorSums, *, training: bool) -> Tensor:
        def loss_of(prediction: Prediction) -> Tensor:
            return force_matching_loss(prediction, batch, self.config)

        if self.fused is not None and training:
            loss, prediction = self.fused.loss(batch.graph, loss_of)
            sums.add(prediction, batch)
            return loss
        prediction = self._predict(batch, training=training)
        sums.add(prediction, batch)
        return loss_of(prediction)

    def _predict(self, batch: Batch, *, training: bool) -> Prediction:
        if self.fused is not None:
            return self.fused.predict(batch.graph)
        stress = self.config.stress_weight > 0.0
        return evaluate(self.network, batch.graph, stress=stress, training=training)
