"""`Comparison` -> the two figures of its report."""

from pathlib import Path

from fisher_mlip.analysis.plots import Plot, draw_fans, draw_survival
from fisher_mlip.analysis.style import shown_label
from fisher_mlip.compare.comparison import Comparison
from fisher_mlip.figures import figure

_TIME = "time / ps"


def write_figures(comparison: Comparison, folder: Path) -> list[Plot]:
    """Draw energy bands and survival of all models into a folder that exists."""
    plots = [plot_energies(comparison, folder), plot_survival(comparison, folder)]
    return [plot for plot in plots if plot is not None]


def plot_energies(comparison: Comparison, folder: Path) -> Plot:
    """Quantiles over replicas of the total energy by molecule, one panel a model."""
    path = folder / "energy.png"
    shown = [(i, model.label, model.energies) for i, model in enumerate(comparison.models)]
    is_switched = draw_fans(path, shown, "E(t) − E(0) by molecule / eV")
    caption = (
        "Total energy of each replica minus its start, by molecule: median, half of the replicas "
        "(dark), 90 % (light), the outermost (dotted)."
    )
    if is_switched:
        caption += " Logarithmic outside the grey band."
    return Plot(path, "Total energy", caption)


def plot_survival(comparison: Comparison, folder: Path) -> Plot | None:
    """Kaplan-Meier curves of the replicas of each model; None where no bonds were watched."""
    found = [(i, m.label, m.stable) for i, m in enumerate(comparison.models) if m.stable]
    if not found:
        return None
    path = folder / "survival.png"
    with figure(path) as (axes,):
        for index, label, stable in found:
            left = int((~stable.is_broken).sum())
            text = f"{shown_label(label)}: {left} of {len(stable.is_broken)}"
            draw_survival(axes, stable.curve, text, index)
        axes.set(xlabel=_TIME, ylabel="unbroken replicas (fraction)", ylim=(-0.02, 1.04))
        axes.set_xlim(left=0.0)
        axes.legend(title="unbroken at the end", loc="best", alignment="left")
    caption = (
        f"Kaplan-Meier estimate of the replicas whose bonds all stayed within "
        f"{comparison.config.threshold:g} Å of their reference lengths, with its 95 % band."
    )
    return Plot(path, "Survival", caption)
