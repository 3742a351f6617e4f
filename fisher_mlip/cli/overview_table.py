"""The table that `fisher-mlip data info` prints."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from fisher_mlip.cli.console import console


def print_overview(overview: dict[str, Any]) -> None:
    """Print what `describe_frames` found."""
    table = Table("", "", title=Text(overview["source"]), show_header=False)
    for name, value in _overview_rows(overview):
        # Paths and reasons may hold brackets, which are markup in a plain string.
        table.add_row(name, Text(value))
    console.print(table)


def _overview_rows(overview: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "frames", f"{overview['frames']} ({overview['periodic_frames']} periodic)"
    yield "compositions", _counts(overview["compositions"])
    yield "config types", _counts(overview["config_types"])
    yield "atoms per frame", _span(overview["atoms_per_frame"], ".0f")
    yield "energy (eV/atom)", _span(overview["energy_per_atom"], ".4f")
    beyond = overview.get("energy_per_atom_beyond_reference")
    yield "energy - E0s (eV/atom)", _span(beyond, ".4f")
    forces = overview["force_component"]
    if forces["rms"] is not None:
        yield "forces (eV/Å)", f"rms {forces['rms']:.3f}, largest {forces['largest']:.3f}"
    yield "shortest distance (Å)", _span(overview["shortest_distance"], ".3f")
    e0s = overview["reference_energies"].items()
    yield "E0s (eV)", ", ".join(f"{symbol} {energy:.4f}" for symbol, energy in e0s)
    yield "E0s from", overview["reference_energies_origin"]
    yield "near-duplicates", str(overview["near_duplicates"])
    yield "frames without", _counts(overview["missing"])
    yield "trainable", "yes" if overview["trainable"] else f"no: {overview['why_not']}"


def _counts(counts: dict[str, int], shown: int = 6) -> str:
    rows = [f"{name or '-'} {count}" for name, count in counts.items()]
    return ", ".join(rows[:shown]) + (f", ... ({len(rows)} kinds)" if len(rows) > shown else "")


def _span(values: dict[str, float] | None, form: str) -> str:
    if values is None:
        return "-"
    shown = {name: format(value, form) for name, value in values.items()}
    return f"{shown['smallest']} to {shown['largest']}, mean {shown['mean']}"
