"""The stability study's JSON -> its tables in Markdown, and two figures.

    python scripts/stability_report.py docs/stability/stability_study.json > tables.md

Writes `broken.png` and `drift.png` beside the JSON: each variant's broken replicas, and the median
of their drifts, by kind of base model and temperature.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fisher_mlip.figures import COLORS, figure
from fisher_mlip.products import whole_file

Line = dict[str, Any]
VARIANTS = ("default", "plain", "best", "trained_on")


def main() -> None:
    """Print the tables and draw the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study", type=Path, help="stability_study.json")
    study = parser.parse_args().study
    rows = json.loads(study.read_text(encoding="utf-8"))["base_models"]
    print("\n".join([*made_table(rows), "", *dynamics_table(rows)]))
    draw(rows, study.with_name("broken.png"), broken_part, "broken replicas / %")
    draw(rows, study.with_name("drift.png"), median_drift, "median |drift| / (meV/atom/ps)")


def settings(rows: Sequence[Line]) -> list[tuple[str, float]]:
    """Return kinds and temperatures (K) in the order in which they come."""
    return list(dict.fromkeys((row["kind"], row["temperature_K"]) for row in rows))


def of_setting(rows: Sequence[Line], kind: str, kelvin: float, variant: str) -> list[Line]:
    """Return a variant's numbers, one for each seed."""
    chosen = [row for row in rows if (row["kind"], row["temperature_K"]) == (kind, kelvin)]
    return [row["variants"][variant] for row in chosen]


def made_table(rows: Sequence[Line]) -> list[str]:
    """Return the table of how variants were made and of their errors; means over seeds."""
    lines = ["| base | variant | seconds | features | test force MAE | energy MAE | holes |"]
    lines.append("|---|---|---|---|---|---|---|")
    first = rows[0]["temperature_K"]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for variant in VARIANTS:
            made = of_setting(rows, kind, first, variant)
            cells = [
                ends(made, "seconds", "{:.0f}"),
                ends(made, "features", "{:.0f}"),
                ends(made, "test_force_mae_meV_A", "{:.1f}"),
                ends(made, "test_energy_mae_meV", "{:.1f}"),
                ends(made, "holes", "{:.0f}"),
            ]
            lines.append(f"| {kind} | {variant} | {' | '.join(cells)} |")
    return lines


def dynamics_table(rows: Sequence[Line]) -> list[str]:
    """Return the table of what runs did: replicas of all seeds together, medians by seed."""
    lines = [
        "| base | K | variant | broken | median stable, ps | drift, meV/atom/ps | fluctuation |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for kind, kelvin in settings(rows):
        for variant in VARIANTS:
            ran = of_setting(rows, kind, kelvin, variant)
            broken, replicas = (sum(each[key] for each in ran) for key in ("broken", "replicas"))
            cells = [
                f"{broken} of {replicas}",
                ", ".join(stable_text(each) for each in ran),
                ends(ran, "median_drift_meV_atom_ps", "{:.3f}"),
                ends(ran, "median_fluctuation_meV_atom", "{:.2f}"),
            ]
            lines.append(f"| {kind} | {kelvin:g} | {variant} | {' | '.join(cells)} |")
    return lines


def stable_text(variant: Line) -> str:
    """Return the median stable time in ps, or that it is beyond the end."""
    median = variant["median_stable_ps"]
    return f"> {variant['watched_ps']:g}" if median is None else f"{median:.2f}"


def ends(variants: Sequence[Line], key: str, shape: str) -> str:
    """Return the least and the largest of a number over seeds."""
    found = [each[key] for each in variants if each.get(key) is not None]
    if not found:
        return ""
    low, high = (shape.format(end) for end in (min(found), max(found)))
    return low if low == high else f"{low} to {high}"


def broken_part(variants: Sequence[Line]) -> float:
    """Return the broken replicas of all seeds, in per cent."""
    broken, replicas = (sum(each[key] for each in variants) for key in ("broken", "replicas"))
    return 100.0 * float(broken) / float(replicas)


def median_drift(variants: Sequence[Line]) -> float:
    """Return the median over seeds of the median drift; NaN of none."""
    found = [each["median_drift_meV_atom_ps"] for each in variants]
    return float(np.median([drift for drift in found if drift is not None] or [np.nan]))


def draw(
    rows: Sequence[Line], path: Path, number: Callable[[Sequence[Line]], float], label: str
) -> None:
    """Write bars: a panel for each temperature, a group for each kind, a color for each variant."""
    temperatures = sorted({row["temperature_K"] for row in rows})
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    width = 0.8 / len(VARIANTS)
    with whole_file(path) as partial, figure(partial, panels=len(temperatures)) as panels:
        for axes, kelvin in zip(panels, temperatures, strict=True):
            for k, variant in enumerate(VARIANTS):
                heights = [number(of_setting(rows, kind, kelvin, variant)) for kind in kinds]
                places = np.arange(len(kinds)) + (k - 0.5 * (len(VARIANTS) - 1)) * width
                axes.bar(places, heights, width, color=COLORS[k], label=variant)
            axes.set_xticks(np.arange(len(kinds)), kinds, rotation=20)
            axes.set_title(f"{kelvin:g} K")
            axes.grid(visible=False, axis="x")
        panels[0].set_ylabel(label)
        panels[0].legend()


if __name__ == "__main__":
    main()
