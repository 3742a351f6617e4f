"""A run in LAMMPS -> where its time goes, by LAMMPS's own breakdown."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from fisher_mlip.bench.breakdown import Breakdown, read_breakdown
from fisher_mlip.bench.machine import available_cores, describe_machine, present_load
from fisher_mlip.bench.result import Bench, Part, System, WhatIf
from fisher_mlip.bench.steps import FEWEST_STEPS, SECONDS
from fisher_mlip.bench.timing import MS_PER_S, Timing
from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import UnstableRunError
from fisher_mlip.export.lammps_artefact import LammpsArtefact, load_lammps_artefact
from fisher_mlip.lammps.driving import drive
from fisher_mlip.lammps.folder import LammpsFolder
from fisher_mlip.lammps.inputs import built_system
from fisher_mlip.lammps.launching import build_plugin
from fisher_mlip.lammps.run import prepared
from fisher_mlip.lammps.settings import settled_for_lammps, threads_per_rank
from fisher_mlip.simulate.systems import MolecularSystem

NOTES = {
    "Pair": "the model, pairs and ghosts' share included",
    "Neigh": "building the list",
    "Comm": "ghosts, and waiting for other ranks",
    "Output": "log, dump and restart files",
    "Modify": "integrator, thermostat, barostat, uncertainty",
    "Other": "what LAMMPS puts nowhere",
}


def bench_lammps(config: SimulateConfig, steps: int | None) -> Bench:
    """Time a run in LAMMPS, in a temporary folder that is gone afterwards.

    Args:
        config: of the run.
        steps: that are timed; None: as many as take about 20 s, at least 20.

    Raises:
        InputError: the input cannot be used, or LAMMPS is missing.
        UnstableRunError: the run explodes.
    """
    load = present_load()
    artefact = load_lammps_artefact(Path(config.model))
    config = settled_for_lammps(config, artefact).model_copy(update={"on_alarm": "warn"})
    lammps = _Lammps(artefact, built_system(config, artefact.manifest), build_plugin())
    if steps is None:
        trial = lammps.run(config, FEWEST_STEPS)
        steps = max(FEWEST_STEPS, int(SECONDS * trial.steps / trial.seconds))
    found = lammps.run(config, steps)
    others = {
        ranks: _total(lammps.run(config.model_copy(update={"ranks": ranks}), steps))
        for ranks in sorted({1, available_cores()} - {config.ranks})
    }
    system = System(
        atoms=found.atoms,
        edges=None,
        listed=None,
        cutoff=artefact.manifest.cutoff,
        dtype=artefact.manifest.dtype,
        how=f"pair_style fisher_mlip, {config.ranks} rank{'s' if config.ranks > 1 else ''}",
        reason="",
        kernel="",
        platform="LAMMPS",
        rebuilds=found.builds / found.steps,
        own=found.own,
        ghosts=found.ghosts,
    )
    return Bench(
        config=config.model_copy(update={"steps": found.steps}),
        machine=describe_machine(load, threads_per_rank(config.ranks)),
        system=system,
        total=_total(found),
        parts=_parts(found, config),
        what_if=WhatIf(ranks=others),
    )


@dataclass(frozen=True, eq=False)
class _Lammps:
    """A system that is run several times."""

    artefact: LammpsArtefact
    molecular: MolecularSystem
    plugin: Path

    def run(self, config: SimulateConfig, steps: int) -> Breakdown:
        """Return what LAMMPS says of a run on `config.ranks` ranks."""
        config = config.model_copy(update={"steps": steps})
        with tempfile.TemporaryDirectory() as name:
            ranks = f"{config.ranks} rank{'s' if config.ranks > 1 else ''}"
            folder = LammpsFolder(Path(name) / ranks)
            summary = drive(prepared(config, self.artefact, folder, self.molecular, self.plugin))
            if summary.status == "unstable":
                raise UnstableRunError(summary.message)
            if summary.status == "interrupted":
                raise KeyboardInterrupt
            return read_breakdown(folder.log(1))


def _total(found: Breakdown) -> Timing:
    """Return ms per step: the mean of the loop, which LAMMPS gives no quartiles of."""
    mean = MS_PER_S * found.seconds / found.steps
    return Timing(mean, mean, mean)


def _parts(found: Breakdown, config: SimulateConfig) -> tuple[Part, ...]:
    """Return the sections, means over the ranks with the fastest and the slowest rank's."""
    scale = MS_PER_S / found.steps
    notes = NOTES | {"Output": NOTES["Output"] + _unreached(found.steps, config)}
    return tuple(
        Part(name, Timing(one.mean, one.least, one.most).scaled(scale), notes[name])
        for name, one in found.sections.items()
    )


def _unreached(steps: int, config: SimulateConfig) -> str:
    """Return in words what no timed step was long enough for."""
    every = {
        "log": config.report_interval,
        "dump": config.trajectory_interval,
        "restart files": config.checkpoint_interval,
    }
    found = [f"{name} every {interval}" for name, interval in every.items() if interval > steps]
    return f"; not in these steps: {', '.join(found)}" if found else ""
