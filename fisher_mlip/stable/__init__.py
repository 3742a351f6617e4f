"""StABlE: a finetuned head and reference averages -> a head that is stable in dynamics."""

from fisher_mlip.stable.config import StableConfig
from fisher_mlip.stable.training import resume_stable, train_stable

__all__ = ["StableConfig", "resume_stable", "train_stable"]
