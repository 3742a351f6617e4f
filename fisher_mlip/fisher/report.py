"""A solution in words and tables."""

import math

from fisher_mlip.fisher.outside.scan import ENOUGH
from fisher_mlip.fisher.pressure import NOTEWORTHY_BAR
from fisher_mlip.fisher.selection import Row, reasons_against
from fisher_mlip.fisher.solution import Solution
from fisher_mlip.units import BAR_PER_EV_PER_ANGSTROM3

Table = tuple[str, list[str], list[list[str]]]
COLUMNS = ["F\ntrain", "F held\nout", "E\ntrain", "E held\nout", "eff.\ndof", "holes", "barrier"]


def _cells(row: Row) -> list[str]:
    def shown(value: float, form: str = ".4g") -> str:
        return "-" if math.isnan(value) else f"{value:{form}}"

    return [
        shown(1000.0 * row.training_force_rmse),
        shown(1000.0 * row.held_out_force_rmse),
        shown(1000.0 * row.training_energy_rmse),
        shown(1000.0 * row.held_out_energy_rmse),
        f"{row.effective_degrees_of_freedom:.0f}",
        str(len(row.holes)),
        shown(row.barrier, ".2f"),
    ]


def head_rows(solution: Solution) -> Table:
    """Return a table of the pretrained model and of each head at its best held-out error."""
    rows = [["pretrained", "", "", "", *_cells(solution.base)]]
    for found in solution.candidates:
        best = min(found.rows, key=lambda row: row.held_out_force_rmse)
        shipped = solution.chosen if solution.chosen in found.rows else None
        for row, mark in ((best, ""), (shipped, " *")):
            if row is not None:
                rows.append([row.head.name + mark, str(len(row.theta)), *_how(row), *_cells(row)])
    title = (
        "heads at their least held-out error, RMSE of forces (meV/Å) and energies (meV/atom)\n"
        "*: chosen; (1): products in the first layer alone; scans: their weight beside forces"
        + _outside(solution)
    )
    return title, ["head", "size", "ridge", "scans", *COLUMNS], rows


def _outside(solution: Solution) -> str:
    """Return what holes and barriers are, where scans were looked at."""
    if not solution.along.scans:
        return ""
    return (
        f"\nholes: of {len(solution.along.scans)} scans, those along which the energy comes down; "
        f"barrier (eV):\nwhat the lowest ways out climb before, at most the {ENOUGH} that are "
        "looked at"
    )


def path_rows(solution: Solution) -> Table:
    """Return the ridge path of the head and scan weight that were chosen."""
    found = next(
        (c for c in solution.candidates if solution.chosen in c.rows), solution.candidates[-1]
    )
    weight = solution.shipped.scan_weight
    rows = [
        [f"{row.ridge:.0e}" + (" *" if row is solution.chosen else ""), *_cells(row)]
        for row in found.rows
        if row.scan_weight == weight
    ]
    title = f"{found.head.config.name}, scan weight {weight:g}: ridge path"
    return title, ["ridge", *COLUMNS], rows


def _how(row: Row) -> list[str]:
    return [f"{row.ridge:.0e}", f"{row.scan_weight:g}"]


def sentences(solution: Solution) -> list[str]:
    """Return what was found and chosen, a sentence each."""
    base, shipped = solution.base, solution.shipped
    found = next((c for c in solution.candidates if solution.chosen in c.rows), None)
    lines = []
    if found is not None:
        lines.append(
            f"rank {found.spectrum.rank} of {len(found.system.moment)}, condition "
            f"{found.spectrum.condition:.2e}"
        )
    else:
        lines.append("nothing tried beats the pretrained model and is as safe: it is kept")
    lines.append(
        f"held-out force RMSE {1000 * base.held_out_force_rmse:.2f} -> "
        f"{1000 * shipped.held_out_force_rmse:.2f} meV/Å{_counted(solution)}"
    )
    if solution.held_out_errors is not None:
        before, after = solution.held_out_errors
        lines.append(
            f"held-out force MAE {1000 * before.force_mae:.2f} -> {1000 * after.force_mae:.2f} "
            "meV/Å, every frame counted alike"
        )
    lines += _pressure_sentences(solution) + _drawn(solution)
    if not math.isnan(base.barrier):
        lines.append(
            f"holes outside the data {len(base.holes)} -> {len(shipped.holes)}, barrier on the way "
            f"{base.barrier:.2f} -> {shipped.barrier:.2f} eV"
        )
    return lines + _passed_over(solution)


def _drawn(solution: Solution) -> list[str]:
    """Return how many forces were summed, where not all were."""
    gram = solution.gram
    parts = [
        f"{what}: forces of {most} atoms of each larger frame, {sums.forces.count} of "
        f"{sums.forces.components:.0f} components"
        for what, most, sums in (
            ("solved from", gram.most_atoms, gram.training),
            ("judged by", gram.most_atoms_judging, gram.held_out),
        )
        if most is not None
    ]
    return [f"{'; '.join(parts)} (--rows-per-feature 0: all)"] if parts else []


def _pressure_sentences(solution: Solution) -> list[str]:
    """Return what became of pressures, and what to do where they became worse."""
    if solution.held_out_pressures is None:
        return []
    before, after = solution.held_out_pressures
    lines = [
        f"held-out pressure error, mean {before.mean_bar:+.0f} -> {after.mean_bar:+.0f} bar, RMSE "
        f"{before.rmse_bar:.0f} -> {after.rmse_bar:.0f} bar"
    ]
    if after.rmse_bar > max(1.2 * before.rmse_bar, NOTEWORTHY_BAR):
        lines.append(
            "warning: forces alone do not fix the pressure, and this head makes it worse: a liquid "
            "at constant pressure would have another density; solve with --virial-weight "
            f"{_advised_weight(solution):.0e}"
        )
    return lines


def _advised_weight(solution: Solution) -> float:
    """Return a weight that makes a typical virial error of the base model count as its forces do.

    (eV/atom)^-2: the mean squares of both errors are equal then.
    """
    virials, forces = solution.gram.held_out.virials, solution.base.held_out_force_rmse
    if virials.weight > 0.0 and virials.square > 0.0:
        return forces**2 / (virials.square / virials.weight)
    assert solution.held_out_pressures is not None
    # A condensed phase has some 10 Å^3 an atom.
    virial = 10.0 * solution.held_out_pressures[0].rmse_bar / BAR_PER_EV_PER_ANGSTROM3
    return forces**2 / virial**2


def _passed_over(solution: Solution) -> list[str]:
    """Return why the least held-out error of all was not chosen, where it was not."""
    rows = [row for found in solution.candidates for row in found.rows]
    least = min(rows, key=lambda row: row.held_out_force_rmse)
    chosen, n_components = solution.chosen, solution.gram.training.forces.count
    if chosen is None or least is chosen:
        return []
    why = reasons_against(least, chosen, solution.base, n_components=n_components)
    return [
        f"least held-out force RMSE of all: {1000 * least.held_out_force_rmse:.2f} meV/Å with "
        f"{least.head.name}, ridge {least.ridge:.0e}, scans {least.scan_weight:g}; passed over: "
        + " and ".join(why)
    ]


def _counted(solution: Solution) -> str:
    judges = solution.gram.held_out.forces
    counted = judges.weight / judges.components
    if math.isclose(counted, 1.0, rel_tol=1e-9):
        return ""
    return (
        f" (frames that the pretrained model is far off count for less: "
        f"{counted:.1%} of their number in all)"
    )
