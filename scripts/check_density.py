"""Density of the embedded OPLS-AA ethanol at 298.15 K and 1 bar, with its error, as JSON.

Packs a box, equilibrates it, then averages the density of an NPT run; the error is the largest of
the block averages with at least eight blocks. An hour on one core:

    python scripts/check_density.py > density.json
"""

import argparse
import json
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import openmm
from openmm import unit

from fisher_mlip.data.dynamics import liquid_integrator
from fisher_mlip.data.ethanol import MOLAR_MASS_AMU
from fisher_mlip.data.opls import CUTOFF, reference_system
from fisher_mlip.data.packing import pack_ethanol
from fisher_mlip.units import G_PER_CM3_PER_AMU_PER_ANGSTROM3, NM_PER_ANGSTROM

EXPERIMENT_G_CM3 = 0.785
PRESSURE_BAR = 1.0
FEWEST_BLOCKS = 8


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", type=int, default=216)
    parser.add_argument("--temperature", type=float, default=298.15, help="K")
    parser.add_argument("--equilibration", type=float, default=30.0, help="ps")
    parser.add_argument("--production", type=float, default=120.0, help="ps")
    parser.add_argument("--interval", type=float, default=0.2, help="ps between samples")
    parser.add_argument("--threads", type=int, default=1, help="of OpenMM's CPU platform")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    densities = sample_densities(options)
    half = len(densities) // 2
    result = {
        **vars(options),
        "cutoff_angstrom": CUTOFF,
        "pressure_bar": PRESSURE_BAR,
        "density_g_cm3": float(densities.mean()),
        "error_g_cm3": block_error(densities),
        "first_half_g_cm3": float(densities[:half].mean()),
        "second_half_g_cm3": float(densities[half:].mean()),
        "experiment_g_cm3": EXPERIMENT_G_CM3,
    }
    print(json.dumps(result, indent=2))


def sample_densities(options: argparse.Namespace) -> npt.NDArray[np.float64]:
    """Return the densities, g/cm3, after equilibration."""
    context = npt_context(options)
    integrator = context.getIntegrator()
    steps = round(options.interval / integrator.getStepSize().value_in_unit(unit.picosecond))
    before = round(options.equilibration / options.interval)
    densities = []
    for index in range(before + round(options.production / options.interval)):
        integrator.step(steps)
        volume = context.getState().getPeriodicBoxVolume().value_in_unit(unit.angstrom**3)
        mass = options.molecules * MOLAR_MASS_AMU
        densities.append(mass / volume * G_PER_CM3_PER_AMU_PER_ANGSTROM3)
        if (index + 1) % 25 == 0:
            report = f"{(index + 1) * options.interval:.1f} ps {np.mean(densities[-25:]):.4f} g/cm3"
            print(report, file=sys.stderr, flush=True)
    return np.array(densities[before:])


def npt_context(options: argparse.Namespace) -> Any:
    """Return a packed, minimized box with a barostat."""
    positions, cell = pack_ethanol(options.molecules, 0.75, options.seed)
    system = reference_system(options.molecules, cell)
    barostat = openmm.MonteCarloBarostat(PRESSURE_BAR, options.temperature)
    barostat.setRandomNumberSeed(options.seed + 1)
    system.addForce(barostat)
    integrator = liquid_integrator(system, options.temperature, options.seed)
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(system, integrator, platform, {"Threads": str(options.threads)})
    context.setPositions(positions * NM_PER_ANGSTROM)
    openmm.LocalEnergyMinimizer.minimize(context, 100.0, 100)
    context.setVelocitiesToTemperature(options.temperature, options.seed + 1)
    return context


def block_error(samples: npt.NDArray[np.float64]) -> float:
    """Return the standard error of the mean of a correlated series, by blocking.

    Source:
        H. Flyvbjerg, H. G. Petersen, J. Chem. Phys. 91, 461 (1989).
    """
    errors = []
    size = 1
    while len(samples) // size >= FEWEST_BLOCKS:
        blocks = samples[: len(samples) // size * size].reshape(-1, size).mean(axis=1)
        errors.append(blocks.std(ddof=1) / np.sqrt(len(blocks)))
        size *= 2
    return float(max(errors))


if __name__ == "__main__":
    main()
