"""The reporters of a run, opened and closed together."""

from dataclasses import dataclass
from pathlib import Path

from fisher_mlip.config import SimulateConfig
from fisher_mlip.export import Artefact
from fisher_mlip.simulate.engine import PotentialSimulation
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.integrators import momentum_groups
from fisher_mlip.simulate.rewinding import last_rewind, write_memory
from fisher_mlip.simulate.systems import MolecularSystem
from fisher_mlip.simulate.watching import make_watch
from openmm_plugin import (
    InstabilityWatch,
    LedgerReporter,
    MoleculeEnergyReporter,
    UncertaintyReporter,
    UnwrappedDCDReporter,
    topology_atomic_numbers,
)


@dataclass(frozen=True, eq=False)
class RunReporters:
    """What writes while a run goes.

    Attributes:
        ledger: energies and temperatures.
        molecules: energies of independent molecules; None where they interact.
        trajectory: positions.
        uncertainty: the model's own, of forces; None where it was not asked for.
        watch: for instability; None where it is switched off.
    """

    ledger: LedgerReporter
    molecules: MoleculeEnergyReporter | None
    trajectory: UnwrappedDCDReporter
    uncertainty: UncertaintyReporter | None = None
    watch: InstabilityWatch | None = None

    def sync(self) -> None:
        """Have all rows on the disk; a checkpoint must not be ahead of them."""
        for rows in (self.ledger, self.molecules, self.uncertainty, self.watch):
            if rows is not None:
                rows.sync()

    def close(self) -> None:
        """Close the files."""
        rows = (self.ledger, self.molecules, self.uncertainty, self.watch)
        for reporter in (*rows, self.trajectory):
            if reporter is not None:
                reporter.close()

    def save_memory(self, folder: RunFolder, step: int) -> None:
        """Write what the watch remembers, before the checkpoint of the step."""
        if self.watch is not None:
            write_memory(folder, step, self.watch.memory())


def attach_reporters(
    simulation: PotentialSimulation,
    molecular: MolecularSystem,
    artefact: Artefact,
    config: SimulateConfig,
    folder: RunFolder,
    segment: Path,
    *,
    append: bool,
) -> RunReporters:
    """Open the reporters of a run and attach them.

    The ledger comes first and stops a NaN; the watch comes last and stops when all is written.

    Args:
        simulation: of the run.
        molecular: its atoms.
        artefact: the potential, which tells the molecules' energies.
        config: intervals and ensemble.
        folder: where the files go.
        segment: the trajectory's file.
        append: go on with the rows that are there.
    """
    interval = config.report_interval
    groups = momentum_groups(molecular, config)
    ledger = LedgerReporter(
        folder.ledger,
        interval,
        append=append,
        momentum_groups=groups,
        drift_after=last_rewind(folder),
        # Independent molecules have fixed pairs.
        list_rebuilds=None
        if molecular.independent_molecules
        else simulation.potential.list_rebuilds,
    )
    molecules = None
    numbers, index = topology_atomic_numbers(molecular.topology), molecular.molecules
    if molecular.independent_molecules:
        kernel = simulation.potential.kernel
        module = artefact.bind(numbers, periodic=False, molecules=index, kernel=kernel)
        molecules = MoleculeEnergyReporter(folder.molecules, interval, module, index, append=append)
    trajectory = UnwrappedDCDReporter(
        segment, config.trajectory_interval, periodic=molecular.is_periodic
    )
    uncertainty = None
    if config.uncertainty_interval:
        uncertainty = UncertaintyReporter(
            folder.uncertainty,
            config.uncertainty_interval,
            artefact,
            numbers,
            periodic=molecular.is_periodic,
            molecules=index if molecular.independent_molecules else None,
            append=append,
        )
    watch = make_watch(simulation, molecular, config, folder, groups, uncertainty, append=append)
    reporters = RunReporters(ledger, molecules, trajectory, uncertainty, watch)
    attached = (ledger, molecules, uncertainty, trajectory, watch)
    simulation.reporters.extend(reporter for reporter in attached if reporter is not None)
    return reporters
