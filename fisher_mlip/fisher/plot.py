"""The picture of a ridge path."""

from pathlib import Path

from fisher_mlip.fisher.finetune import Solution
from fisher_mlip.products import whole_file

PLOT_NAME = "ridge_path.png"


def plot_ridge_path(solution: Solution, path: Path) -> None:
    """Write training and held-out force errors over the ridge as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ridges = [row.ridge for row in solution.rows]
    training = [1000.0 * row.training_force_rmse for row in solution.rows]
    held_out = [1000.0 * row.held_out_force_rmse for row in solution.rows]
    axes.plot(ridges, training, "o-", color="#7a869a", label="training frames")
    axes.plot(ridges, held_out, "o-", color="#1f5fbf", label="held-out frames")
    if min(ridges) > 0.0:
        axes.set_xscale("log")
    axes.axhline(
        1000.0 * solution.base_held_out_rmse,
        color="#c0392b",
        linestyle="--",
        label="pretrained readout, held out",
    )
    if solution.ridge is not None:
        axes.axvline(solution.ridge, color="#1f5fbf", linestyle=":", label="chosen")
    axes.set_xlabel("ridge, relative to the scaled diagonal of T")
    axes.set_ylabel("force RMSE (meV/Å)")
    axes.legend(frameon=False)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=150)
