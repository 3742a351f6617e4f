"""Fisher: a checkpoint and frames -> the readout of least Fisher divergence, in closed form."""

from fisher_mlip.fisher.finetune import Solution, finetune, save_solution
from fisher_mlip.fisher.normal_equations import NormalEquations, accumulate

__all__ = ["NormalEquations", "Solution", "accumulate", "finetune", "save_solution"]
