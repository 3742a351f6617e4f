"""`Comparison` -> report.html, PNGs and summary.json in one folder."""

from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from fisher_mlip.analysis.html import REPORT_NAME, inlined
from fisher_mlip.analysis.summary import versions
from fisher_mlip.compare.comparison import Comparison
from fisher_mlip.compare.figures import write_figures
from fisher_mlip.compare.replicas import Replicas
from fisher_mlip.compare.statistics import RESAMPLES
from fisher_mlip.compare.table import summarize, table_rows
from fisher_mlip.products import write_summary, write_text

METHODS = (
    (
        "Replicas",
        "Molecules of one run where they do not see each other, runs otherwise. Replica k has the "
        "same positions and velocities at the start in every model, which the pairs are made of; "
        "chaos makes them independent of each other later.",
    ),
    (
        "Drift and fluctuation",
        "Of each replica: slope of the least-squares line through its total energy, and standard "
        "deviation about it. The difference is of the slope's magnitude.",
    ),
    (
        "Difference",
        "Median over pairs, its 95 % interval from a bootstrap of the pairs (percentiles of "
        f"{RESAMPLES} resamples), and p of Wilcoxon's signed-rank test (two-sided).",
    ),
    (
        "Stable time",
        "First trajectory frame with a bond off its length at the common start (median over "
        "equivalent bonds) by more than the threshold; "
        "replicas that did not break are censored at the last frame. p: log-rank test stratified "
        "by pairs, exact: of the pairs whose first break is known, is either model as often first? "
        "In parentheses the log-rank test of the two curves, which leaves the pairs aside.",
    ),
    (
        "Observables",
        "h(r), the distribution of all distances in a molecule: integral of |h - h_ref| dr; bonds "
        "and angles by elements: 1-Wasserstein distance; g(r) between molecules: integral of "
        "|g - g_ref| dr. ± is a bootstrap's standard error; in parentheses what equal "
        "distributions of these lengths would show.",
    ),
    (
        "Drift over kinetic",
        "|slope| times length of the run over the standard deviation of the kinetic energy, of the "
        "whole system, averaged over runs: mlipaudit's energy_drift_ratio.",
    ),
)


def fill_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write a report's files into a folder that exists, each whole.

    Args:
        comparison: of two models or more.
        folder: exists.

    Returns:
        The files.
    """
    plots = write_figures(comparison, folder)
    page = (
        _environment()
        .get_template("compare.html.jinja")
        .render(
            title="Comparison of models",
            models=comparison.models,
            plots=[(plot, inlined(plot.path)) for plot in plots],
            table=table_rows(comparison),
            notes=comparison.notes,
            methods=METHODS,
            provenance={model.label: _provenance(model) for model in comparison.models},
            versions=versions(),
        )
    )
    write_text(folder / REPORT_NAME, page)
    summary = write_summary(folder, summarize(comparison) | {"versions": versions()})
    return [folder / REPORT_NAME, *(plot.path for plot in plots), summary]


def _environment() -> Environment:
    packages = ("fisher_mlip.compare", "fisher_mlip.analysis")
    return Environment(
        loader=ChoiceLoader([PackageLoader(package, "templates") for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _provenance(model: Replicas) -> dict[str, Any]:
    first = model.runs[0]
    folders = {f"run {number}": str(run.path) for number, run in enumerate(model.runs)}
    return folders | first.reference.provenance | first.settings
