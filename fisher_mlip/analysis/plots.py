"""`Report` -> PNG files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fisher_mlip.analysis.energy import MEV_PER_EV, quantiles_of_rows
from fisher_mlip.analysis.report import Report, RunReport
from fisher_mlip.analysis.run import MoleculeEnergies
from fisher_mlip.analysis.style import (
    ELEMENT_COLORS,
    color_of,
    is_wide,
    linestyle_of,
    shown_label,
    thinned,
    use_symlog_if_wide,
)
from fisher_mlip.analysis.survival import KaplanMeier
from fisher_mlip.analysis.verdict import is_conserved, number, signed
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.figures import COLORS, INK, MUTED, count_whole, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TIME = "time / ps"


@dataclass(frozen=True)
class Plot:
    """A figure in the report.

    Attributes:
        path: PNG.
        title: above it.
        caption: what is drawn, in a sentence or two.
    """

    path: Path
    title: str
    caption: str


def write_plots(report: Report, folder: Path) -> list[Plot]:
    """Draw every figure that the runs have data for.

    Args:
        report: at least one run.
        folder: exists.
    """
    makers: tuple[Callable[[Report, Path], Plot | None], ...] = (
        plot_survival,
        plot_energy_drift,
        plot_molecule_energy,
        plot_molecule_spread,
        plot_temperature,
        plot_density,
    )
    plots = (make(report, folder) for make in makers)
    return [plot for plot in plots if plot is not None]


def plot_energy_drift(report: Report, folder: Path) -> Plot | None:
    """Total energy minus its start, of every run that conserves it, with fitted lines."""
    conserving = [(i, found) for i, found in enumerate(report.runs) if is_conserved(found.run)]
    runs = [(i, found) for i, found in conserving if len(found.run.ledger.time_ps) > 2]
    if not runs:
        return None
    path = folder / "energy_drift.png"
    heights = [float(np.abs(_change(found)).max()) for _, found in runs]
    views = 2 if is_wide(heights) else 1
    with figure(path, panels=views, is_shared=False) as panels:
        for axes in panels:
            for index, found in runs:
                _draw_drift(axes, found, color_of(index))
            axes.set_xlabel(_TIME)
            axes.margins(x=0.01)
        panels[0].set_ylabel("total energy − start / (meV/atom)")
        panels[0].figure.legend(
            *panels[0].get_legend_handles_labels(),
            title="slope [95 %] / (meV/atom/ps)",
            loc="outside upper left",
            ncols=2,
            alignment="left",
        )
        if views == 2:
            panels[0].set_title("all")
            panels[1].set_title("the calmer runs, enlarged")
            panels[1].set_ylim(_calm_limits(runs, heights))
    caption = "Line: means of neighboring rows, their range shaded; dashed: least-squares line."
    if len(conserving) < len(report.runs):
        caption += " Thermostatted runs, which exchange energy with a bath, are left out."
    return Plot(path, "Total energy", caption)


def plot_molecule_energy(report: Report, folder: Path) -> Plot | None:
    """Quantiles over molecules of E(t) - E(0), one panel a run."""
    runs = [(i, found) for i, found in enumerate(report.runs) if found.run.molecules is not None]
    if not runs:
        return None
    path = folder / "molecule_energy.png"
    shown = [(i, one.run.label, one.run.molecules) for i, one in runs if one.run.molecules]
    is_switched = draw_fans(path, shown, "E(t) − E(0) of a molecule / eV")
    caption = (
        "Energy of each molecule relative to its start: median, half of the molecules (dark), 90 % "
        "(light), and the outermost ones (dotted). A conserved energy stays level."
    )
    if is_switched:
        caption += " Logarithmic outside the grey band."
    return Plot(path, "Energy by molecule", caption)


def draw_fans(
    path: Path, shown: Sequence[tuple[int, str, MoleculeEnergies]], quantity: str
) -> bool:
    """Write a figure of `draw_fan`, one panel each; return whether an axis is partly logarithmic.

    Args:
        path: PNG.
        shown: number of the color, label, energies.
        quantity: on the y-axis.
    """
    with figure(path, panels=len(shown)) as panels:
        heights = []
        for axes, (index, label, energies) in zip(panels, shown, strict=True):
            heights.append(draw_fan(axes, energies, color_of(index)))
            axes.set(title=shown_label(label), xlabel=_TIME)
            axes.margins(x=0.0)
        panels[0].set_ylabel(quantity)
        switched = [use_symlog_if_wide(axes, heights) for axes in panels]
        panels[0].legend(loc="upper left")
    return any(switched)


def plot_molecule_spread(report: Report, folder: Path) -> Plot | None:
    """Histograms of how far each molecule's energy went."""
    runs = [
        (i, shown_label(found.run.label), found.molecules)
        for i, found in enumerate(report.runs)
        if found.molecules is not None
    ]
    if not runs:
        return None
    spreads = [np.clip(drift.spread, 1e-9, 1e9) for _, _, drift in runs]
    low, high = min(s.min() for s in spreads), max(s.max() for s in spreads)
    # At least a decade, so that equal spreads do not make one bin of no width.
    middle, half = np.log10(low * high) / 2.0, max(np.log10(high / low) / 2.0, 0.5)
    bins = np.logspace(middle - half, middle + half, 31).tolist()
    path = folder / "molecule_spread.png"
    with figure(path) as (axes,):
        for (index, label, drift), spread in zip(runs, spreads, strict=True):
            text = f"{label}: {100.0 * drift.fraction_above:.3g} % above"
            color = color_of(index)
            axes.hist(spread, bins, histtype="stepfilled", color=color, alpha=0.25)
            axes.hist(spread, bins, histtype="step", color=color, linewidth=1.6, label=text)
        axes.axvline(report.config.energy_threshold, color=INK, linestyle=":", linewidth=1.4)
        axes.set(xscale="log", xlabel="largest − smallest E(t) − E(0) / eV", ylabel="molecules")
        count_whole(axes.yaxis)
        title = f"threshold {report.config.energy_threshold:g} eV (dotted)"
        axes.legend(title=title, alignment="left")
    caption = "How far each molecule's energy went over the run; blown-up ones are in the last bin."
    return Plot(path, "Spread of the energy by molecule", caption)


def plot_survival(report: Report, folder: Path) -> Plot | None:
    """Kaplan-Meier curves with their bands."""
    runs = [
        (i, shown_label(found.run.label), found.stability)
        for i, found in enumerate(report.runs)
        if found.stability is not None
    ]
    if not runs:
        return None
    path = folder / "survival.png"
    with figure(path) as (axes,):
        for index, label, stability in runs:
            left = f"{label}: {stability.n_watched - stability.n_broken} of {stability.n_watched}"
            draw_survival(axes, stability.curve, left, index)
        axes.set(xlabel=_TIME, ylabel="unbroken molecules (fraction)", ylim=(-0.02, 1.04))
        axes.set_xlim(left=0.0)
        axes.legend(title="unbroken at the end", loc="best", alignment="left")
    caption = (
        "Kaplan-Meier estimate of the molecules whose bonds all stayed within "
        f"{report.config.threshold:g} Å of their reference lengths, with its 95 % band."
    )
    return Plot(path, "Survival", caption)


def draw_survival(axes: "Axes", curve: KaplanMeier, label: str, index: int) -> None:
    """Draw a Kaplan-Meier curve with its band, in the look of the run with this index."""
    color = color_of(index)
    time = np.append(curve.time_ps, curve.end_ps)
    survival, low, high = (
        np.append(edge, edge[-1]) for edge in (curve.survival, curve.low, curve.high)
    )
    axes.fill_between(time, low, high, step="post", color=color, alpha=0.15, linewidth=0)
    style = linestyle_of(index)
    axes.step(time, survival, where="post", color=color, linestyle=style, label=label)
    if survival[-1] > 0.0:
        axes.plot(time[-1], survival[-1], marker="|", color=color, markersize=11)


def plot_temperature(report: Report, folder: Path) -> Plot | None:
    """Temperature of all atoms and of each element, one panel a run."""
    runs = [found for found in report.runs if len(found.run.ledger.time_ps) > 2]
    if not runs:
        return None
    path = folder / "temperature.png"
    with figure(path, panels=len(runs)) as panels:
        heights = []
        for axes, found in zip(panels, runs, strict=True):
            ledger = found.run.ledger
            for name, series in ledger.element_temperatures.items():
                time, mean, _, _ = thinned(ledger.time_ps, series, 120)
                axes.plot(time, mean, color=_element_color(name), linewidth=1.1, label=name)
            time, mean, _, _ = thinned(ledger.time_ps, ledger.temperature, 120)
            axes.plot(time, mean, color=INK, linewidth=2.0, label="all atoms")
            heights.append(float(mean.max()))
            axes.set(title=shown_label(found.run.label), xlabel=_TIME)
            axes.margins(x=0.0)
        panels[0].set_ylabel("temperature / K")
        if max(heights) > 20.0 * max(min(heights), 1e-300):
            for axes in panels:
                axes.set_yscale("log")
        panels[0].legend(ncols=2, loc="best")
    caption = (
        "Means of neighboring rows, at most 120 points; under equipartition the elements scatter "
        "about one line."
    )
    return Plot(path, "Temperature", caption)


def plot_density(report: Report, folder: Path) -> Plot | None:
    """Density of every run whose box breathes, with its mean."""
    runs = [(i, found) for i, found in enumerate(report.runs) if found.density is not None]
    if not runs:
        return None
    path = folder / "density.png"
    with figure(path) as (axes,):
        for index, found in runs:
            series, density = found.run.ledger.density, found.density
            assert series is not None and density is not None
            color, mean = color_of(index), density.mean
            time, line, low, high = thinned(found.run.ledger.time_ps, series, 250)
            label = f"{shown_label(found.run.label)}: {mean.value:.4g} ± {mean.half_width:.2g}"
            axes.fill_between(time, low, high, color=color, alpha=0.18, linewidth=0)
            axes.plot(time, line, color=color, linewidth=1.2, label=label)
            axes.axhline(mean.value, color=color, linewidth=1.4, linestyle=(0, (5, 3)))
        axes.set(xlabel=_TIME, ylabel="density / (g/mL)")
        axes.margins(x=0.0)
        axes.legend(title="mean after the discarded start", alignment="left")
    return Plot(path, "Density", "Means of neighboring rows, their range shaded; dashed: mean.")


def _change(found: RunReport) -> FloatArray:
    total = found.run.ledger.total
    return np.asarray((total - total[0]) * MEV_PER_EV / found.run.reference.n_atoms)


def _calm_limits(runs: list[tuple[int, RunReport]], heights: list[float]) -> tuple[float, float]:
    smallest = min(height for height in heights if height > 0.0)
    calm = [
        _change(found)
        for (_, found), height in zip(runs, heights, strict=True)
        if not is_wide([height, smallest])
    ]
    low, high = min(change.min() for change in calm), max(change.max() for change in calm)
    margin = 0.08 * (high - low)
    return float(low - margin), float(high + margin)


def _draw_drift(axes: "Axes", found: RunReport, color: str) -> None:
    ledger, slope, change = found.run.ledger, found.drift.slope, _change(found)
    time, mean, low, high = thinned(ledger.time_ps, change, 250)
    interval = f" [{number(slope.low)}, {number(slope.high)}]" if np.isfinite(slope.low) else ""
    label = f"{shown_label(found.run.label)}: {signed(slope.value)}{interval}"
    axes.fill_between(time, low, high, color=color, alpha=0.18, linewidth=0)
    axes.plot(time, mean, color=color, linewidth=1.2, alpha=0.9, label=label)
    line = change.mean() + slope.value * (ledger.time_ps - ledger.time_ps.mean())
    axes.plot(ledger.time_ps, line, color=color, linewidth=1.8, linestyle=(0, (5, 3)))


def draw_fan(axes: "Axes", molecules: MoleculeEnergies, color: str) -> float:
    """Draw the quantiles over molecules of E(t) - E(0), eV, and return the largest that is drawn.

    Args:
        axes: of the figure.
        molecules: (n_rows, n_molecules).
        color: of the bands.
    """
    stride = -(-len(molecules.time_ps) // 500)
    time = molecules.time_ps[::stride]
    change = (molecules.energy - molecules.energy[0])[::stride]
    # A molecule that blew up is drawn where it left: above everything, not as a gap.
    finite = np.nan_to_num(change, nan=np.inf, posinf=np.inf, neginf=-np.inf)
    edges = quantiles_of_rows(finite, (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0))
    edges[~np.isfinite(edges)] = np.nan
    lowest, p5, p25, median, p75, p95, highest = edges
    axes.fill_between(time, p5, p95, color=color, alpha=0.18, linewidth=0)
    axes.fill_between(time, p25, p75, color=color, alpha=0.35, linewidth=0)
    axes.plot(time, median, color=color, label="median")
    axes.plot(time, highest, color=MUTED, linewidth=0.9, linestyle=":", label="outermost")
    axes.plot(time, lowest, color=MUTED, linewidth=0.9, linestyle=":")
    return float(np.nanmax(np.abs(edges), initial=0.0))


def _element_color(symbol: str) -> str:
    return ELEMENT_COLORS.get(symbol, COLORS[sum(symbol.encode()) % len(COLORS)])
