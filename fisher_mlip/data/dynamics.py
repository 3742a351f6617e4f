"""OpenMM contexts that sample the embedded reference, and how they advance."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fisher_mlip.data.ethanol import DENSITY_298K_G_CM3, ethanol_positions
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.data.opls import independent_system, reference_system
from fisher_mlip.data.packing import pack_ethanol
from fisher_mlip.errors import InputError
from fisher_mlip.units import NM_PER_ANGSTROM

# Called with what is being done and the fraction of the whole that is done.
Progress = Callable[[str, float], None]

_FRICTION_PER_PS = 1.0
_BONDED_STEP_PS = 0.0005
_PAIR_STEP_PS = 0.002
_PRESSURE_BAR = 1.0
_FEWEST_MOLECULES = 16
_STEPS_PER_REPORT = 500
_CUTOFF = 8.0
_EWALD_TOLERANCE = 5e-4


def gas_context(replicas: int, temperature: float, seed: int) -> Any:
    """Return a context of independent molecules at random O-H torsions, with velocities.

    Args:
        replicas: molecules that do not see each other.
        temperature: K.
        seed: of the torsions, the velocities and the thermostat.
    """
    from openmm import Context, LangevinMiddleIntegrator, Platform

    rng = np.random.default_rng(seed)
    starts = [ethanol_positions(torsion) for torsion in rng.uniform(-np.pi, np.pi, replicas)]
    integrator = LangevinMiddleIntegrator(temperature, _FRICTION_PER_PS, _BONDED_STEP_PS)
    integrator.setRandomNumberSeed(openmm_seed(seed))
    # Bonded forces only: the Reference platform is the fastest on a CPU, and deterministic.
    platform = Platform.getPlatformByName("Reference")
    context = Context(independent_system(replicas), integrator, platform)
    context.setPositions(np.concatenate(starts) * NM_PER_ANGSTROM)
    context.setVelocitiesToTemperature(temperature, openmm_seed(seed))
    return context


def liquid_context(
    molecules: int, temperature: float, density_g_cm3: float | None, seed: int
) -> Any:
    """Return a context of a packed and minimized periodic box, with velocities.

    Args:
        molecules: in the box.
        temperature: K.
        density_g_cm3: of the box; None to start at the liquid's and move at 1 bar.
        seed: of the packing, the velocities, the thermostat and the barostat.

    Raises:
        InputError: too few molecules, or the box cannot be packed.
    """
    from openmm import Context, LocalEnergyMinimizer, MonteCarloBarostat

    if molecules < _FEWEST_MOLECULES:
        raise InputError(
            f"expected at least {_FEWEST_MOLECULES} molecules in a periodic box, found {molecules}"
        )
    positions, cell = pack_ethanol(molecules, density_g_cm3 or DENSITY_298K_G_CM3, seed)
    # Dynamics may be rougher than labels, and is twice as fast so.
    system = reference_system(molecules, cell, cutoff=_CUTOFF, ewald_tolerance=_EWALD_TOLERANCE)
    if density_g_cm3 is None:
        barostat = MonteCarloBarostat(_PRESSURE_BAR, temperature)
        barostat.setRandomNumberSeed(openmm_seed(seed))
        system.addForce(barostat)
    context = Context(system, liquid_integrator(system, temperature, seed), *_cpu_platform())
    context.setPositions(positions * NM_PER_ANGSTROM)
    LocalEnergyMinimizer.minimize(context, 100.0, 50)
    context.setVelocitiesToTemperature(temperature, openmm_seed(seed))
    return context


def liquid_integrator(system: Any, temperature: float, seed: int) -> Any:
    """Return a Langevin integrator with 2 fs for pair forces and 0.5 fs for bonded ones.

    Args:
        system: its forces are sorted into the two groups.
        temperature: K.
        seed: of the thermostat.

    Source:
        Tuckerman, Berne, Martyna, J. Chem. Phys. 97, 1990 (1992).
    """
    from openmm import CustomNonbondedForce, MTSLangevinIntegrator, NonbondedForce

    for force in system.getForces():
        pair = isinstance(force, NonbondedForce | CustomNonbondedForce)
        force.setForceGroup(1 if pair else 0)
    substeps = round(_PAIR_STEP_PS / _BONDED_STEP_PS)
    integrator = MTSLangevinIntegrator(
        temperature, _FRICTION_PER_PS, _PAIR_STEP_PS, [(1, 1), (0, substeps)]
    )
    integrator.setRandomNumberSeed(openmm_seed(seed))
    return integrator


def _cpu_platform() -> tuple[Any, dict[str, str]]:
    from openmm import Platform

    # PME's sums over several threads differ in their last bits from call to call, even so asked; a
    # seed would then stand for another liquid each time.
    properties = {"DeterministicForces": "true", "Threads": "1"}
    return Platform.getPlatformByName("CPU"), properties


def advance(
    context: Any,
    duration_ps: float,
    done_ps: float,
    total_ps: float,
    what: str,
    progress: Progress | None,
) -> None:
    """Run the context's dynamics for a time and report how far it is.

    Args:
        context: an `openmm.Context`.
        duration_ps: to run now.
        done_ps: run before.
        total_ps: to run in all.
        what: is being done.
        progress: called after every 500 steps.
    """
    from openmm import unit

    integrator = context.getIntegrator()
    step_ps = integrator.getStepSize().value_in_unit(unit.picosecond)
    steps = max(1, round(duration_ps / step_ps))
    for done, size in _pieces(steps, _STEPS_PER_REPORT):
        integrator.step(size)
        if progress is not None:
            progress(what, min(1.0, (done_ps + done * step_ps) / total_ps))


def _pieces(steps: int, largest: int) -> Iterator[tuple[int, int]]:
    done = 0
    while done < steps:
        size = min(largest, steps - done)
        done += size
        yield done, size


def context_positions(context: Any) -> FloatArray:
    """Return the context's positions, (n, 3), Å, molecules whole and not wrapped."""
    from openmm import unit

    state = context.getState(getPositions=True)
    return np.array(state.getPositions(asNumpy=True).value_in_unit(unit.angstrom))


def openmm_seed(seed: int) -> int:
    """Return a seed that OpenMM takes as it is: zero would mean a different one each time."""
    return seed % (2**31 - 2) + 1
