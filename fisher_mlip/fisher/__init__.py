"""Fisher: a checkpoint and frames -> the head of least Fisher divergence, in closed form."""

from fisher_mlip.fisher.finetune import finetune, save_solution
from fisher_mlip.fisher.normal_equations import NormalEquations, accumulate
from fisher_mlip.fisher.solution import Options, Solution
from fisher_mlip.fisher.solve import LabelWeights

__all__ = [
    "LabelWeights",
    "NormalEquations",
    "Options",
    "Solution",
    "accumulate",
    "finetune",
    "save_solution",
]
