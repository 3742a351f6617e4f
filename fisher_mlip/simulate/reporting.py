"""The reporters of a run, opened and closed together."""

from dataclasses import dataclass
from pathlib import Path

from openmm.app import Simulation

from fisher_mlip.config import SimulateConfig
from fisher_mlip.export import Artefact
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.integrators import momentum_groups
from fisher_mlip.simulate.systems import MolecularSystem
from openmm_plugin import (
    LedgerReporter,
    MoleculeEnergyReporter,
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
    """

    ledger: LedgerReporter
    molecules: MoleculeEnergyReporter | None
    trajectory: UnwrappedDCDReporter

    def sync(self) -> None:
        """Have all rows on the disk; a checkpoint must not be ahead of them."""
        for rows in (self.ledger, self.molecules):
            if rows is not None:
                rows.sync()

    def close(self) -> None:
        """Close the files."""
        for reporter in (self.ledger, self.molecules, self.trajectory):
            if reporter is not None:
                reporter.close()


def attach_reporters(
    simulation: Simulation,
    molecular: MolecularSystem,
    artefact: Artefact,
    config: SimulateConfig,
    folder: RunFolder,
    segment: Path,
    *,
    append: bool,
) -> RunReporters:
    """Open the reporters of a run and attach them; the ledger comes first and stops a NaN.

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
    ledger = LedgerReporter(folder.ledger, interval, append=append, momentum_groups=groups)
    molecules = None
    if molecular.independent_molecules:
        numbers, index = topology_atomic_numbers(molecular.topology), molecular.molecules
        module = artefact.bind(numbers, periodic=False, molecules=index)
        molecules = MoleculeEnergyReporter(folder.molecules, interval, module, index, append=append)
    trajectory = UnwrappedDCDReporter(
        segment, config.trajectory_interval, periodic=molecular.is_periodic
    )
    reporters = RunReporters(ledger, molecules, trajectory)
    attached = (ledger, molecules, trajectory)
    simulation.reporters.extend(reporter for reporter in attached if reporter is not None)
    return reporters
