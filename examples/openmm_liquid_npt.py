"""Liquid ethanol at constant pressure in plain OpenMM, Nosé-Hoover or Langevin, and its density.

python examples/openmm_liquid_npt.py model.pt --molecules 216 --steps 100000
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
    """Let the box breathe at a pressure, then print its mean density."""
    options = parse_options()
    frame = equilibrated_liquid(options.molecules, options.temperature, seed=options.seed)
    topology = ethanol_topology(options.molecules, frame.cell)
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    # The barostat takes its first step from this box: that of the first positions.
    system.setDefaultPeriodicBoxVectors(*topology.getPeriodicBoxVectors())
    system.addForce(make_force(options.model, topology).force)
    # The barostat moves molecules, which OpenMM finds by bonds; the potential has none.
    system.addForce(molecule_bonds(topology))
    barostat = openmm.MonteCarloBarostat(options.pressure_bar, options.temperature, 25)
    barostat.setRandomNumberSeed(options.seed)
    system.addForce(barostat)
    simulation = Simulation(topology, system, make_integrator(options, system))
    simulation.context.setPositions(frame.positions * 0.1)
    simulation.context.setVelocitiesToTemperature(options.temperature, options.seed)

    options.output.mkdir(parents=True, exist_ok=True)
    ledger, trajectory = options.output / "ledger.csv", options.output / "trajectory.dcd"
    with (options.output / "topology.pdb").open("w") as handle:
        PDBFile.writeFile(topology, frame.positions, handle)
    simulation.reporters.append(LedgerReporter(ledger, options.interval))
    simulation.reporters.append(UnwrappedDCDReporter(trajectory, options.interval, periodic=True))
    simulation.step(options.steps)

    columns = ledger.read_text().splitlines()[0].strip("#").replace('"', "").split(",")
    density = np.loadtxt(ledger, delimiter=",", ndmin=2)[:, columns.index("Density (g/mL)")]
    half = density[len(density) // 2 :]
    print(f"density {density[0]:.3f} g/mL at first, {half.mean():.3f} g/mL over the second half")
    print(f"wrote {ledger}\nwrote {trajectory}")


def make_integrator(options: argparse.Namespace, system: openmm.System) -> openmm.Integrator:
    """Return the thermostat; a Nosé-Hoover chain must know that the box as a whole stands still."""
    timestep = options.timestep * unit.femtosecond
    if options.thermostat == "nose-hoover":
        system.addForce(openmm.CMMotionRemover(1))
        return openmm.NoseHooverIntegrator(options.temperature, 10.0, timestep)
    integrator = openmm.LangevinMiddleIntegrator(options.temperature, 1.0, timestep)
    integrator.setRandomNumberSeed(options.seed)
    return integrator


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="exported model: model.pt or its folder")
    parser.add_argument("--molecules", type=int, default=216)
    parser.add_argument("--steps", type=int, default=100000)
    parser.add_argument("--interval", type=int, default=50, help="steps between rows and frames")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs")
    parser.add_argument("--temperature", type=float, default=298.15, help="K")
    parser.add_argument("--pressure-bar", type=float, default=1.0)
    parser.add_argument("--thermostat", choices=["langevin", "nose-hoover"], default="nose-hoover")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("liquid_npt_run"))
    parser.add_argument("--smoke", action="store_true", help="16 molecules, 50 steps")
    options = parser.parse_args()
    if options.smoke:
        options.molecules, options.steps, options.interval = 16, 50, 5
    return options


if __name__ == "__main__":
    main()
