"""Simply training on: gradient descent from a trained model for a given time, as `train` does."""

import copy
import time

import numpy as np
import torch

from fisher_mlip.config import TrainConfig
from fisher_mlip.data.frames import Frames
from fisher_mlip.model.checkpoint import Checkpoint
from fisher_mlip.model.potential import Prediction, evaluate
from fisher_mlip.train.batches import Batch, join_batches, label_graphs
from fisher_mlip.train.loss import force_matching_loss
from fisher_mlip.train.metrics import errors
from fisher_mlip.train.passes import fused_training

BATCH = 5
EMA = 0.99
LEARNING_RATES = (3e-4, 1e-3, 3e-3)


def trained_on(
    base: Checkpoint, training: Frames, held_out: Frames, seconds: float, seed: int
) -> Checkpoint:
    """Return the model after `seconds` of processor time more of force matching.

    Each learning rate gets all of the time (so the closed form's rival has thrice as much), and the
    held-out frames choose among them and the base.
    """
    tried = [_trained(base, training, seconds, rate, seed) for rate in LEARNING_RATES]
    return min([base, *tried], key=lambda c: errors(c.network, held_out, c.config).force_rmse)


def _trained(
    base: Checkpoint, training: Frames, seconds: float, rate: float, seed: int
) -> Checkpoint:
    network = copy.deepcopy(base.network).train()
    averaged = copy.deepcopy(network)
    config = TrainConfig(model=base.config.model, device="cpu")
    fused, _ = fused_training(network, config)
    samples = label_graphs(training, base.config)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, amsgrad=True)

    def loss_of(batch: Batch) -> torch.Tensor:
        def of(prediction: Prediction) -> torch.Tensor:
            return force_matching_loss(prediction, batch, config)

        if fused is not None:
            return fused.loss(batch.graph, of)[0]
        return of(evaluate(network, batch.graph, training=True))

    rng = np.random.default_rng(seed)
    start = time.process_time()
    while (spent := (time.process_time() - start) / seconds) < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = rate * 0.5 * (1.0 + np.cos(np.pi * spent)) + 1e-6
        batch = join_batches([samples[i] for i in rng.choice(len(samples), BATCH, replace=False)])
        optimizer.zero_grad()
        loss_of(batch).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        with torch.no_grad():
            for mean, now in zip(averaged.parameters(), network.parameters(), strict=True):
                mean.lerp_(now, 1.0 - EMA)
    return Checkpoint(averaged.eval(), base.config)
