"""The picture of a training: stable time, deviation from the reference, force error."""

from pathlib import Path

import numpy as np

from fisher_mlip.figures import COLORS, count_whole, figure
from fisher_mlip.products import whole_file
from fisher_mlip.stable.records import Row

PLOT_NAME = "stable.png"


def plot_training(rows: tuple[Row, ...], best: Row, target: Path) -> None:
    """Write the rows over the iterations as a PNG, `best` starred."""
    steps = [row.iteration for row in rows]
    with (
        whole_file(target) as partial,
        figure(partial, panels=3, is_shared=False) as (times, deviations, forces),
    ):
        times.plot(steps, [row.median_ps for row in rows], "o-", color=COLORS[0])
        times.plot(best.iteration, best.median_ps, "*", color=COLORS[5], markersize=14)
        for row in rows:
            note = f"{100.0 * row.fraction_lost:.0f} %"
            times.annotate(
                note, (row.iteration, row.median_ps), (0, 6), textcoords="offset points", fontsize=7
            )
        times.set_ylabel("median stable time (ps)\n(replicas lost in the phase)")
        deviations.plot(steps, [row.chi2 for row in rows], "o-", color=COLORS[0], label="found")
        stepped = [row for row in rows if np.isfinite(row.predicted_chi2)]
        deviations.plot(
            [row.iteration + 1 for row in stepped],
            [row.predicted_chi2 for row in stepped],
            "x",
            color=COLORS[1],
            label="predicted",
        )
        if all(row.chi2 > 0.0 for row in rows):
            deviations.set_yscale("log")
        deviations.set_ylabel("deviation from the reference, $\\chi^2$")
        deviations.legend(fontsize=8)
        forces.plot(steps, [row.held_out_rmse for row in rows], "o-", color=COLORS[0])
        forces.set_ylabel("held-out force RMSE (meV/Å)")
        for axes in (times, deviations, forces):
            axes.set_xlabel("iteration")
            count_whole(axes.xaxis)
