"""The exponential moving average of the weights: what is validated and saved."""

from collections.abc import Sequence

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
            for mean, new in zip(averaged, current, strict=True):
                mean.lerp_(new, weight)

        super().__init__(use_buffers=False, multi_avg_fn=average)
