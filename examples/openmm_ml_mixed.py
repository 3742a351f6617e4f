"""One ethanol under the model in liquid ethanol under a classical force field, by openmm-ml.

pip install -e '.[cpu,openmm-ml]' in a checkout, then

python examples/openmm_ml_mixed.py model.pt --molecules 216 --steps 10000
"""

import argparse
from pathlib import Path

import numpy as np
import openmm
from openmm import unit
from openmm.app import PDBFile, Simulation
from openmmml import MLPotential

from fisher_mlip.data import equilibrated_liquid
from fisher_mlip.data.ethanol import ATOMS_PER_MOLECULE, ethanol_topology
from fisher_mlip.data.opls import reference_system
from openmm_plugin import LedgerReporter, UnwrappedDCDReporter


def main() -> None:
    """Run the solute and its solvent, and print the solute's O-H bond length."""
    options = parse_options()
    frame = equilibrated_liquid(options.molecules, options.temperature, seed=options.seed)
    topology = ethanol_topology(options.molecules, frame.cell)
    # Any System with one long-range force may stand here: what is within the solute is taken out.
    classical = reference_system(options.molecules, frame.cell)
    potential = MLPotential("fisher-mlip", modelPath=str(options.model))
    system = potential.createMixedSystem(topology, classical, range(ATOMS_PER_MOLECULE))
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
    bond = []
    for _ in range(options.steps // options.interval):
        simulation.step(options.interval)
        positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)
        oxygen, hydrogen = positions.value_in_unit(unit.angstrom)[[2, 8]]
        bond.append(float(np.linalg.norm(oxygen - hydrogen)))
    print(f"O-H bond of the solute {np.mean(bond):.3f} Å, of the model")
    print(f"wrote {ledger}\nwrote {trajectory}")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="exported model: model.pt or its folder")
    parser.add_argument("--molecules", type=int, default=216)
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--interval", type=int, default=50, help="steps between rows and frames")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs")
    parser.add_argument("--temperature", type=float, default=298.15, help="K")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("mixed_run"))
    parser.add_argument("--smoke", action="store_true", help="16 molecules, 50 steps")
    options = parser.parse_args()
    if options.smoke:
        options.molecules, options.steps, options.interval = 16, 50, 5
    return options


if __name__ == "__main__":
    main()
