"""The batches of a training as Lightning asks for them, each process its share."""

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningDataModule

from fisher_mlip.data.frames import Frames
from fisher_mlip.model.checkpoint import CheckpointConfig
from fisher_mlip.train.batches import (
    Batch,
    OrderedBatches,
    ShuffledBatches,
    join_batches,
    label_frames,
)
from fisher_mlip.train.metrics import ATOMS_PER_BATCH


class TrainingData(LightningDataModule):
    """Training and validation frames with their neighbor lists, which are made once."""

    def __init__(
        self,
        training: Sequence[Batch],
        validation: Frames,
        checkpoint: CheckpointConfig,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.training = training
        self.validation = [
            label_frames(part, checkpoint) for part in validation.batches(ATOMS_PER_BATCH)
        ]
        self.batch_size = batch_size
        self.seed = seed
        self.shuffled: ShuffledBatches | None = None

    def first_batch(self) -> Batch:
        """Return a batch of the usual size, in no particular order."""
        return join_batches(self.training[: self.batch_size])

    def train_dataloader(self) -> ShuffledBatches:
        """Return the training batches of this process."""
        rank, world_size = self._place()
        self.shuffled = ShuffledBatches(
            self.training, self.batch_size, self.seed, rank=rank, world_size=world_size
        )
        return self.shuffled

    def val_dataloader(self) -> OrderedBatches:
        """Return the validation batches of this process."""
        rank, world_size = self._place()
        # Where there are fewer batches than processes all take all: a mean does not change.
        few = len(self.validation) < world_size
        return OrderedBatches(self.validation if few else self.validation[rank::world_size])

    def start_epoch(self, epoch: int) -> None:
        """Take the order of that epoch; batches are made when they are asked for."""
        assert self.shuffled is not None
        self.shuffled.epoch = epoch

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Return the batch on `device`."""
        return batch.to(device)

    def _place(self) -> tuple[int, int]:
        assert self.trainer is not None
        return self.trainer.global_rank, self.trainer.world_size
