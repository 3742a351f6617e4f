"""The watch of a run, from its configuration."""

from pathlib import Path
from typing import Any

from openmm.app import Simulation

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.progress import show_note
from fisher_mlip.simulate.rewinding import read_memory, read_rewinds
from fisher_mlip.simulate.systems import MolecularSystem
from openmm_plugin import UncertaintyReporter
from openmm_plugin.watch import (
    Criterion,
    EnergyChange,
    ForceUncertainty,
    InstabilityWatch,
    RadialError,
    RadialReference,
    standard_criteria,
)


def make_watch(
    simulation: Simulation,
    molecular: MolecularSystem,
    config: SimulateConfig,
    folder: RunFolder,
    groups: IntArray | None,
    uncertainty: UncertaintyReporter | None,
    *,
    append: bool,
) -> InstabilityWatch | None:
    """Return the watch of a run, None where it is switched off.

    Args:
        simulation: at the step to go on from.
        molecular: its atoms.
        config: bounds and intervals.
        folder: where its files go, and where its memory is when appending.
        groups: of atoms whose momentum stays zero.
        uncertainty: its reporter, attached before the watch; None for none.
        append: go on with the rows that are there.

    Raises:
        InputError: the reference of g(r) does not fit, or the memory is missing.
    """
    if not config.watch.enabled:
        return None
    return InstabilityWatch(
        folder.path,
        config.watch.interval,
        criteria_of(molecular, config, uncertainty),
        action="heal" if config.heal.calculator else config.on_alarm,
        frames=config.watch.frames,
        force_interval=config.report_interval,
        append=append,
        momentum_groups=groups,
        rewinds=len(read_rewinds(folder).rewinds),
        memory=_memory(folder, simulation.currentStep) if append else None,
        notify=show_note,
    )


def _memory(folder: RunFolder, step: int) -> dict[str, Any]:
    """Return what the watch remembers at a step.

    After a rewind the total energy is another, of new velocities and maybe of another model.
    """
    memory, rewinds = read_memory(folder, step), read_rewinds(folder).rewinds
    if rewinds and rewinds[-1].step == step:
        kept = {k: v for k, v in memory["criteria"].items() if k != EnergyChange.name}
        return memory | {"criteria": kept}
    return memory


def criteria_of(
    molecular: MolecularSystem, config: SimulateConfig, uncertainty: UncertaintyReporter | None
) -> list[Criterion]:
    """Return the criteria of a run.

    Raises:
        InputError: a reference of g(r) that does not fit the system.
    """
    watch = config.watch
    criteria = standard_criteria(
        molecular.topology,
        temperature=config.temperature,
        is_conserved=config.ensemble == "nve",
        independent_molecules=molecular.independent_molecules,
        bond_deviation=watch.bond_deviation,
        intermolecular_distance=watch.intermolecular_distance,
        largest_force=watch.largest_force,
        temperature_ratio=watch.temperature_ratio,
        energy_change=watch.energy_change,
        equipartition=watch.equipartition,
        window_ps=watch.window_ps,
    )
    if watch.rdf_reference and watch.rdf_error:
        if not molecular.is_periodic:
            raise InputError("an rdf_reference needs a periodic system, found one that is not")
        reference = RadialReference.read(Path(watch.rdf_reference))
        criteria.append(
            RadialError(
                molecular.topology,
                reference,
                watch.rdf_error,
                window_ps=watch.window_ps,
                interval=watch.rdf_interval,
            )
        )
    if watch.uncertainty and uncertainty is not None:
        criteria.append(ForceUncertainty(lambda: uncertainty.last, watch.uncertainty))
    return criteria
