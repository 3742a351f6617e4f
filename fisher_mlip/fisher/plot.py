"""The picture of the ridge paths."""

from pathlib import Path

import numpy as np

from fisher_mlip.figures import COLORS, figure
from fisher_mlip.fisher.solution import Solution
from fisher_mlip.products import whole_file

PLOT_NAME = "ridge_path.png"


def plot_ridge_path(solution: Solution, target: Path) -> None:
    """Write training and held-out force errors of every head over the ridge as a PNG."""
    shipped = solution.shipped
    with whole_file(target) as partial, figure(partial) as (axes,):
        for k, candidate in enumerate(solution.candidates):
            path = [row for row in candidate.rows if row.scan_weight == 0.0]
            ridges = [row.ridge for row in path]
            color = COLORS[k]
            held_out = [1000.0 * row.held_out_force_rmse for row in path]
            training = [1000.0 * row.training_force_rmse for row in path]
            label = f"{candidate.head.config.name}, {len(candidate.system.moment)}"
            axes.plot(ridges, held_out, "o-", color=color, label=label, markersize=4)
            axes.plot(ridges, training, ":", color=color)
        axes.set_xscale("log" if min(ridges) > 0.0 else "linear")
        # Noise without forces, or a single row, is matched to nothing.
        shown = [line.get_ydata() for line in axes.get_lines()]
        axes.set_yscale("log" if all(np.all(np.asarray(y) > 0.0) for y in shown) else "linear")
        pretrained = 1000.0 * solution.base.held_out_force_rmse
        axes.axhline(pretrained, color=COLORS[-1], linestyle="--", label="pretrained")
        if solution.chosen is not None:
            point = (shipped.ridge, 1000.0 * shipped.held_out_force_rmse)
            axes.plot(*point, "*", color=COLORS[5], markersize=14, label="chosen, with scans")
        axes.set_xlabel("ridge, relative to the scaled diagonal of T")
        axes.set_ylabel("force RMSE (meV/Å), held out\n(dotted: training)")
        axes.legend(fontsize=8)
