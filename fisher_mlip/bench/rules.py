"""What to change: measured figures -> sentences, each with its gain where that was measured."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from fisher_mlip.bench.machine import PASSIVE
from fisher_mlip.bench.pieces import SMALL_ATOMS, WIDE
from fisher_mlip.bench.result import Bench, Output
from fisher_mlip.bench.timing import Timing
from fisher_mlip.simulate.systems import GAS

# % of a step: what is worth a sentence, from where on an output is dear, and what it may cost.
WORTH = 3.0
DEAR = 5.0
CHEAP = 1.0
# Ghosts for each atom of a rank from where on there are said to be many.
MANY_GHOSTS = 2.0
# Part of a call of the model that does not grow with the system, from where on it is said.
FIXED_PART = 0.2
NOTHING_TO_CHANGE = f"nothing to change: nothing is worth more than {WORTH:g} %"


@dataclass(frozen=True)
class Advice:
    """One thing to change.

    Attributes:
        sentence: in words, the gain in it.
        gain: % of a step's time, None where it was not measured.
    """

    sentence: str
    gain: float | None


Rule = Callable[[Bench], list[Advice]]


def advise(bench: Bench) -> list[Advice]:
    """Return what to change, what gains most first; what was not measured comes last."""
    rules = LAMMPS_RULES if bench.config.engine == "lammps" else OPENMM_RULES
    found = [advice for rule in rules for advice in rule(bench)]
    worth = [one for one in found if one.gain is None or one.gain > WORTH]
    return sorted(worth, key=lambda one: -math.inf if one.gain is None else one.gain, reverse=True)


def sentences(bench: Bench) -> list[str]:
    """Return the advice in words; one sentence where there is none."""
    return [advice.sentence for advice in advise(bench)] or [NOTHING_TO_CHANGE]


def slow_kernel(bench: Bench) -> list[Advice]:
    """TorchScript where the fused operators could run."""
    if bench.system.kernel != "torchscript":
        return []
    reason = bench.system.reason
    then = "the fused operators are some ten times as fast (not measured here)"
    if "export it again" in reason:
        return [
            Advice(f"export the model again: it is older than the fused operators; {then}", None)
        ]
    if "C++ compiler" in reason:
        return [Advice(f"install g++ (or clang++): no compiler was found for them; {then}", None)]
    return []


def precision(bench: Bench) -> list[Advice]:
    """float64 where float32 would do."""
    direct, other = bench.what_if.direct, bench.what_if.float32
    if bench.system.dtype != "float64" or direct is None or other is None:
        return []
    gain = _gain(bench, bench.part("model"), direct, other)
    return [
        Advice(
            "export the model again with --dtype float32, unless you need float64's digits (bit "
            f"for bit resumes, second derivatives): {gain:.0f} % less time a step",
            gain,
        )
    ]


def threads(bench: Bench) -> list[Advice]:
    """Another number of threads."""
    times, now = bench.what_if.threads, bench.machine.threads
    if now not in times:
        return []
    best = min(times, key=lambda n: times[n].median)
    gain = _gain(bench, bench.part("model"), times[now], times[best])
    words = f"{times[best].median:.3g} ms for the model's {times[now].median:.3g} on {now}"
    return [Advice(f"OMP_NUM_THREADS={best}: {words}, {gain:.0f} % less time a step", gain)]


def busy_machine(bench: Bench) -> list[Advice]:
    """More to do than cores."""
    machine = bench.machine
    if machine.load <= machine.cores:
        return []
    words = (
        f"the machine was busy (load {machine.load:.1f} on {machine.cores} cores): times are upper "
        "bounds, and a run beside others is as slow"
    )
    if machine.wait_policy != PASSIVE:
        words += "; OMP_WAIT_POLICY=passive: threads that spin while they wait cost multiples here"
    if machine.threads > 1:
        words += f"; fewer threads than {machine.threads} lose less"
    return [Advice(words, None)]


def skin(bench: Bench) -> list[Advice]:
    """A list that is built often, against a longer one that is built less often."""
    what = bench.what_if
    if not bench.system.rebuilds or None in (what.pairs, what.listing, what.wide_pairs):
        return []
    assert what.pairs and what.listing and what.wide_pairs and what.wide_listing
    # Boxes that a barostat changes are listed anew however thick the skin is.
    if bench.config.ensemble == "npt":
        return []
    now, wide = bench.config.skin, WIDE * bench.config.skin
    growth = what.wide_listing.median / max(what.listing.median, 1e-9)
    dearer = what.wide_pairs.median - what.pairs.median
    gain = bench.share(bench.part("list") * (1.0 - growth / WIDE) - dearer)
    return [
        Advice(
            f"--skin {wide:g} (now {now:g}): the list is built every "
            f"{1.0 / bench.system.rebuilds:.3g} steps, {WIDE:g} times as seldom then, for "
            f"{dearer:+.3g} ms a step over more pairs: {gain:.0f} % less time a step",
            gain,
        )
    ]


def intervals(bench: Bench) -> list[Advice]:
    """Outputs that are written too often."""
    found = []
    for option in dict.fromkeys(output.option for output in bench.outputs):
        outputs = [output for output in bench.outputs if output.option == option]
        share = bench.share(sum(output.per_step.median for output in outputs))
        if share > DEAR:
            found.append(_seldom(bench, outputs, share))
    return found


def _seldom(bench: Bench, outputs: list[Output], share: float) -> Advice:
    once = sum(output.once.median for output in outputs)
    interval, option = outputs[0].interval, outputs[0].option
    others = bench.total.median * (1.0 - share / 100.0)
    # once / n is to be CHEAP of what is left and itself.
    wanted = once * (100.0 - CHEAP) / (CHEAP * others)
    longer = round_up(wanted, _multiple(bench, option))
    gain = share - bench.share(once / longer)
    names = " and ".join(output.name for output in outputs)
    verb = "takes" if len(outputs) == 1 else "take"
    return Advice(
        f"{option} {longer} (now {interval}): {names} {verb} {share:.1f} % of the time, "
        f"{CHEAP:g} % or less then: {gain:.0f} % less time a step",
        gain,
    )


def _multiple(bench: Bench, option: str) -> int:
    """Return what an interval must be a multiple of."""
    config = bench.config
    if option == "--checkpoint-interval" and config.ensemble == "npt":
        return config.barostat_interval
    if option == "--uncertainty-interval" and config.watch.uncertainty:
        return config.watch.interval
    return 1


def round_up(interval: float, multiple: int = 1) -> int:
    """Return the next of 1, 2, 5, 10, 20, ... that is a multiple, or the next multiple."""
    decade = int(10 ** max(0, math.floor(math.log10(max(interval, 1.0)))))
    step = next(k * decade for k in (1, 2, 5, 10) if k * decade >= interval)
    return step if step % multiple == 0 else multiple * math.ceil(step / multiple)


def barostat(bench: Bench) -> list[Advice]:
    """Attempts to change the volume, each as dear as two steps."""
    share = bench.share(bench.part("barostat"))
    interval = bench.config.barostat_interval
    gain = share / 2.0
    return [
        Advice(
            f"--barostat-interval {2 * interval} (now {interval}): its evaluations take "
            f"{share:.1f} % of the time, half then, and the volume follows half as fast: "
            f"{gain:.0f} % less time a step",
            gain,
        )
    ]


def small_system(bench: Bench) -> list[Advice]:
    """A system so small that what a call costs anyway is much of it."""
    direct, doubled = bench.what_if.direct, bench.what_if.doubled
    if bench.system.atoms >= SMALL_ATOMS or direct is None or doubled is None:
        return []
    fixed = 2.0 - doubled.median / direct.median
    if fixed < FIXED_PART:
        return []
    words = (
        f"{bench.system.atoms} atoms are few: {100.0 * min(fixed, 1.0):.0f} % of a call of the "
        "model do not grow with them"
    )
    if bench.config.system == GAS:
        molecules = 2 * bench.config.molecules
        growth = doubled.median / direct.median - 1.0
        more = bench.total.median + bench.part("model") * growth
        gain = 100.0 * (1.0 - 0.5 * more / bench.total.median)
        then = f"{gain:.0f} % less time a molecule and step"
        return [Advice(f"--molecules {molecules}: {words}; {then}", gain)]
    if bench.config.inner:
        return []
    advice = "r-RESPA takes fewer of them (--inner opls --respa-steps 4 for ethanol; not measured)"
    return [Advice(f"{words}; {advice}", None)]


def ranks(bench: Bench) -> list[Advice]:
    """Another number of ranks."""
    others = bench.what_if.ranks
    if not others:
        return []
    best = min(others, key=lambda n: others[n].median)
    gain = _gain(bench, bench.total.median, bench.total, others[best])
    words = f"{others[best].median:.3g} ms a step for {bench.total.median:.3g}"
    return [Advice(f"--ranks {best}: {words}, {gain:.0f} % less time a step", gain)]


def ghosts(bench: Bench) -> list[Advice]:
    """Ranks of few atoms, whose ghosts cost more than they do."""
    own, around, count = bench.system.own, bench.system.ghosts, bench.config.ranks
    if count == 1 or not own or around is None or around / own <= MANY_GHOSTS:
        return []
    return [
        Advice(
            f"fewer ranks with more threads each, or more atoms: a rank has {around:.0f} ghosts "
            f"for its {own:.0f} atoms, and evaluates what those of its atoms depend on "
            "(docs/lammps.md says how much)",
            None,
        )
    ]


def lammps_precision(bench: Bench) -> list[Advice]:
    """float64 where float32 would do."""
    if bench.system.dtype != "float64":
        return []
    words = "export the model again with --dtype float32, unless you need float64's digits"
    return [Advice(f"{words} (not measured)", None)]


def lammps_list(bench: Bench) -> list[Advice]:
    """A list that is built often."""
    share = bench.share(bench.part("Neigh"))
    now = bench.config.skin
    every = 1.0 / bench.system.rebuilds if bench.system.rebuilds else math.inf
    wide = WIDE * now
    reach = bench.system.cutoff
    growth = ((reach + wide) / (reach + now)) ** 3
    gain = share * (1.0 - growth / WIDE)
    return [
        Advice(
            f"--skin {wide:g} (now {now:g}): the list is built every {every:.3g} steps and takes "
            f"{share:.1f} %; expected, not measured: {gain:.0f} % less time a step, less what "
            f"{growth:.2g} times the pairs cost",
            gain,
        )
    ]


def lammps_output(bench: Bench) -> list[Advice]:
    """Log, dump and restart files that are written too often."""
    share, config = bench.share(bench.part("Output")), bench.config
    if share <= DEAR:
        return []
    factor = round_up(share / CHEAP)
    gain = share * (1.0 - 1.0 / factor)
    return [
        Advice(
            f"intervals {factor} times as long (report {config.report_interval}, trajectory "
            f"{config.trajectory_interval}, checkpoint {config.checkpoint_interval} now): output "
            f"takes {share:.1f} %: {gain:.0f} % less time a step",
            gain,
        )
    ]


def lammps_uncertainty(bench: Bench) -> list[Advice]:
    """Rows of uncertainty, which are most of what LAMMPS calls Modify."""
    share, interval = bench.share(bench.part("Modify")), bench.config.uncertainty_interval
    if not interval or share <= DEAR:
        return []
    longer = round_up(interval * share / CHEAP)
    gain = share * (1.0 - interval / longer)
    return [
        Advice(
            f"--uncertainty-interval {longer} (now {interval}): Modify, which holds it, takes "
            f"{share:.1f} %: up to {gain:.0f} % less time a step",
            gain,
        )
    ]


def _gain(bench: Bench, part: float, now: Timing, other: Timing) -> float:
    """Return by what % a step is shorter when a part of it, ms, takes other / now of its time.

    Nothing where the quartiles do not tell the two apart.
    """
    if other.upper >= now.median:
        return 0.0
    return bench.share(part) * (1.0 - other.median / now.median)


OPENMM_RULES: tuple[Rule, ...] = (
    *(slow_kernel, precision, threads, busy_machine, skin, intervals, barostat, small_system),
)
LAMMPS_RULES: tuple[Rule, ...] = (
    *(busy_machine, ranks, ghosts, lammps_precision, lammps_list, lammps_output),
    lammps_uncertainty,
)
