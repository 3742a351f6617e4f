"""How each number of a report is computed, a line each."""

from fisher_mlip.analysis.criteria import MOST_FRAMES
from fisher_mlip.analysis.report import Report
from fisher_mlip.analysis.verdict import STABLE_FRAMES, STABLE_LIFE_PS
from fisher_mlip.slopes import BLOCK_TIMES, RESOLVED_SAMPLES


def methods_of(report: Report) -> list[tuple[str, str]]:
    """Return (name, how it is computed), with the options and block lengths that were used."""
    return _of_energies(report) + _of_breaks(report) + _of_states(report)


def _of_energies(report: Report) -> list[tuple[str, str]]:
    config = report.config
    blocks = ", ".join(f"{f.run.label}: {f.drift.slope.block_rows} rows" for f in report.runs)
    return [
        (
            "Drift",
            "Least-squares slope over time of the total energy, per atom, of the float64 ledger "
            "(of a LAMMPS run: of its log, with the digits that it prints); "
            f"the second leaves out the first {100.0 * config.discard_fraction:g} % of the run.",
        ),
        (
            "Interval of the drift",
            "95 %, moving-block bootstrap of the residuals (Künsch 1989); a block is "
            f"{BLOCK_TIMES} integrated autocorrelation times long, at most a quarter of the rows "
            f"({blocks}); widened by Student's t for the number of independent rows and for the "
            f"correlation that blocks cut. With fewer than {RESOLVED_SAMPLES:g} independent rows "
            "it is marked * and is too narrow.",
        ),
        (
            "Drift over kinetic",
            "|slope| times the length of the run, divided by the standard deviation of the kinetic "
            "energy: above 1 the energy went further than it swings between its two forms.",
        ),
        (
            "Fluctuation",
            "Standard deviation of the total energy about its line, per atom; its interval is that "
            "of the same bootstrap.",
        ),
        (
            "Energy by molecule",
            "Potential plus kinetic energy of each independent molecule, minus its first row; the "
            "spread is the largest minus the smallest value over the run, so it grows with length.",
        ),
    ]


def _of_breaks(report: Report) -> list[tuple[str, str]]:
    config = report.config
    sources = {f.stability.reference_source for f in report.runs if f.stability}
    return [
        (
            "Broken bond",
            f"A bond further than {config.threshold:g} Å from its reference length"
            f"{' (' + '; '.join(sorted(sources)) + ')' if sources else ''}, by minimum image in a "
            "periodic box; a molecule breaks at the first trajectory frame that shows one.",
        ),
        (
            "Survival",
            "Kaplan-Meier estimate over molecules; 95 % band from Greenwood's variance on the "
            "log(-log) scale, before the first break the exact one-sided end 0.05^(1/n).",
        ),
    ]


def _of_states(report: Report) -> list[tuple[str, str]]:
    config = report.config
    return [
        (
            "First failure",
            "The field's criteria as the watch applies them: temperature over its target and "
            "equipartition by element (1 ps windows, chance aside), change of the total energy in "
            f"NVE; in boxes atoms of different molecules closer than "
            f"{config.intermolecular_distance:g} Å (StABlE; of long runs every few frames, "
            f"{MOST_FRAMES} or more in all) and, with a reference, the integral of "
            f"|g - g_ref| over 1 ps windows above {config.rdf_error:g} Å (Fu et al.). Only broken "
            "bonds and numbers that are not finite decide the verdict.",
        ),
        (
            "Temperature",
            "As the ledger or the log has it, from on-step velocities, of all atoms and of each "
            "element, averaged after the discarded start; ± is the 95 % interval of the mean, with "
            "the correlation of the rows counted.",
        ),
        (
            "Density",
            "Mass over the volume of the box, averaged like the temperature; only of boxes that "
            f"change. Marked * with fewer than {RESOLVED_SAMPLES:g} independent rows: the ± is "
            "then too narrow.",
        ),
        (
            "Verdict",
            "Unstable: an energy is not finite, a bond broke or LAMMPS lost atoms. Drifting: the "
            "interval of the drift excludes zero and the drift over kinetic is above 1 (NVE). "
            "Unchecked: no bonds or no frames to look at. Stable: no bond broke in at least "
            f"{STABLE_FRAMES} frames, and the 95 % upper bound of the rate of breaks leaves a "
            f"molecule a mean life of {STABLE_LIFE_PS:g} ps or more; with less than that no break "
            "was seen, and no more can be said.",
        ),
    ]
