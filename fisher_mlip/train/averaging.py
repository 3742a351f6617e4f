"""The exponential moving average of the weights: what is validated and saved."""

from collections.abc import Sequence

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """Keeps w <- w + (1 - d) (w_now - w) after every step, d rising to `decay`.

    After n steps d is at most (1 + n)/(10 + n), so the average forgets the random start.
    """

    def __init__(self, decay: float) -> None:
        def average(
            averaged: Sequence[Tensor], current: Sequence[Tensor], n_averaged: Tensor
        ) -> None:
            n = float(n_averaged)
            weight = 1.0 - min(decay, (1.0 + n) / (10.0 + n))
            # In one call: parameter by parameter it would be a tenth of a fused step.
            torch._foreach_lerp_(list(averaged), list(current), weight)

        super().__init__(use_buffers=False, multi_avg_fn=average)
