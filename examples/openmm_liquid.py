"""A periodic box of liquid ethanol, NVT then NPT, with a trajectory that mdtraj reads.

python examples/openmm_liquid.py model.pt --molecules 600 --steps 10000
"""

import argparse
from pathlib import Path

import numpy as np
import openmm
from openmm import unit
from openmm.app import PDBFile, Simulation

from fisher_mlip.data import equilibrated_liquid
from fisher_mlip.data.ethanol import ethanol_topology
from openmm_plugin import LedgerReporter, UnwrappedDCDReporter, make_force, molecule_bonds


def main() -> None:
    """Equilibrate at fixed volume, then let the box breathe."""
    options = parse_options()
    frame = equilibrated_liquid(options.molecules, options.temperature, seed=options.seed)
    topology = ethanol_topology(options.molecules, frame.cell)
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    system.setDefaultPeriodicBoxVectors(*topology.getPeriodicBoxVectors())
    potential = make_force(options.model, topology, route=options.route)
    system.addForce(potential.force)
    # The barostat moves molecules, which OpenMM finds by bonds; the potential has none.
    system.addForce(molecule_bonds(topology))
    barostat = openmm.MonteCarloBarostat(options.pressure_bar, options.temperature, 25)
    barostat.setFrequency(0)
    system.addForce(barostat)
    timestep = options.timestep * unit.femtosecond
    integrator = openmm.LangevinMiddleIntegrator(options.temperature, 1.0, timestep)
    simulation = Simulation(topology, system, integrator)
    simulation.context.setPositions(frame.positions * 0.1)
    simulation.context.setVelocitiesToTemperature(options.temperature, options.seed)

    options.output.mkdir(parents=True, exist_ok=True)
    ledger, trajectory = options.output / "ledger.csv", options.output / "trajectory.dcd"
    with (options.output / "topology.pdb").open("w") as handle:
        PDBFile.writeFile(topology, frame.positions, handle)
    simulation.reporters.append(LedgerReporter(ledger, options.interval))
    simulation.reporters.append(UnwrappedDCDReporter(trajectory, options.interval, periodic=True))
    simulation.step(options.steps)
    barostat.setFrequency(25)
    simulation.context.reinitialize(preserveState=True)
    simulation.step(options.steps)

    rows = np.loadtxt(ledger, delimiter=",", ndmin=2)
    columns = ledger.read_text().splitlines()[0].strip("#").replace('"', "").split(",")
    temperature, density = (
        rows[:, columns.index(name)] for name in ("Temperature (K)", "Density (g/mL)")
    )
    print(f"temperature {temperature[len(rows) // 4 :].mean():.1f} K")
    print(f"density {density[0]:.3f} g/mL -> {density[-1]:.3f} g/mL")
    print(f"{potential.name}: {potential.reason}; {potential.list_rebuilds()} neighbor lists")
    print(f"wrote {ledger}\nwrote {trajectory}")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="exported model: model.pt or its folder")
    parser.add_argument("--molecules", type=int, default=600)
    parser.add_argument("--steps", type=int, default=10000, help="of each of NVT and NPT")
    parser.add_argument("--interval", type=int, default=50, help="steps between rows and frames")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs")
    parser.add_argument("--temperature", type=float, default=298.15, help="K")
    parser.add_argument("--pressure-bar", type=float, default=1.0)
    routes = ["auto", "torchforce", "python"]
    parser.add_argument("--route", default="auto", choices=routes, help="how OpenMM calls it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("liquid_run"))
    parser.add_argument("--smoke", action="store_true", help="16 molecules, 30 + 30 steps")
    options = parser.parse_args()
    if options.smoke:
        options.molecules, options.steps, options.interval = 16, 30, 5
    return options


if __name__ == "__main__":
    main()
