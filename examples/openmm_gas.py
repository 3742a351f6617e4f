"""Many independent ethanols in vacuum, NVE: does each one conserve its energy?

python examples/openmm_gas.py model.pt --molecules 100 --steps 20000
"""

import argparse
from pathlib import Path

import numpy as np
import openmm
from openmm import unit
from openmm.app import Simulation

from fisher_mlip.data.ethanol import ethanol_positions, ethanol_topology
from fisher_mlip.export import load_artefact
from openmm_plugin import (
    LedgerReporter,
    MoleculeEnergyReporter,
    make_force,
    molecule_index,
    topology_atomic_numbers,
)


def main() -> None:
    """Run and print the drift of each molecule."""
    options = parse_options()
    artefact = load_artefact(options.model)
    topology = ethanol_topology(options.molecules)
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    potential = make_force(artefact, topology, route=options.route, independent_molecules=True)
    system.addForce(potential.force)
    integrator = openmm.VerletIntegrator(options.timestep * unit.femtosecond)
    simulation = Simulation(topology, system, integrator)
    # Molecules that do not see each other may as well start in one place.
    simulation.context.setPositions(np.tile(ethanol_positions() * 0.1, (options.molecules, 1)))
    simulation.context.setVelocitiesToTemperature(options.temperature, options.seed)

    options.output.mkdir(parents=True, exist_ok=True)
    ledger, energies = options.output / "ledger.csv", options.output / "molecules.csv"
    molecules = molecule_index(topology)
    numbers = topology_atomic_numbers(topology)
    module = artefact.bind(numbers, periodic=False, molecules=molecules)
    simulation.reporters.append(LedgerReporter(ledger, options.interval))
    simulation.reporters.append(
        MoleculeEnergyReporter(energies, options.interval, module, molecules)
    )
    simulation.step(options.steps)

    rows = np.loadtxt(energies, delimiter=",", ndmin=2)
    time, by_molecule = rows[:, 1], rows[:, 2:]
    slopes = np.polyfit(time, by_molecule, 1)[0]
    print(f"{options.molecules} molecules, {time[-1]:.4g} ps")
    print(f"drift: median {np.median(slopes):+.3e}, largest {abs(slopes).max():.3e} kJ/mol/ps")
    print(f"{potential.name}: {potential.reason}; {potential.list_rebuilds()} neighbor lists")
    print(f"wrote {ledger}\nwrote {energies}")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="exported model: model.pt or its folder")
    parser.add_argument("--molecules", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--interval", type=int, default=20, help="steps between rows")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs")
    parser.add_argument("--temperature", type=float, default=500.0, help="K, of the start")
    routes = ["auto", "torchforce", "python"]
    parser.add_argument("--route", default="auto", choices=routes, help="how OpenMM calls it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("gas_run"))
    parser.add_argument("--smoke", action="store_true", help="4 molecules, 40 steps")
    options = parser.parse_args()
    if options.smoke:
        options.molecules, options.steps, options.interval = 4, 40, 5
    return options


if __name__ == "__main__":
    main()
