"""Sample ethanol frames with the embedded reference: the gas and the liquid."""

from typing import Any

import numpy as np

from fisher_mlip.data.dynamics import (
    Progress,
    advance,
    context_positions,
    gas_context,
    liquid_context,
)
from fisher_mlip.data.ethanol import (
    ATOMIC_NUMBERS,
    ATOMS_PER_MOLECULE,
    DENSITY_298K_G_CM3,
    ethanol_numbers,
)
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.data.opls import OplsEthanol
from fisher_mlip.errors import InputError

# The classical reference has no electronic energy: its isolated atoms are at zero.
REFERENCE_ENERGIES = {1: 0.0, 6: 0.0, 8: 0.0}

GAS_INTERVAL_PS = 2.0
LIQUID_INTERVAL_PS = 1.0
# The torsion of O-H forgets its start in a few ps.
_GAS_EQUILIBRATION_PS = 10.0
_GAS_REPLICAS = 64
_LIQUID_EQUILIBRATION_PS = 10.0
_BOX_EQUILIBRATION_PS = 2.0
_DENSITY_EQUILIBRATION_PS = 40.0


def sample_gas(
    frames: int,
    temperature: float,
    seed: int,
    *,
    interval_ps: float = GAS_INTERVAL_PS,
    progress: Progress | None = None,
) -> Frames:
    """Sample single molecules in vacuum by Langevin dynamics.

    Up to 64 independent replicas start from random O-H torsions, equilibrate for 10 ps and give a
    frame each per interval.

    Args:
        frames: how many.
        temperature: K.
        seed: of the start, the velocities and the thermostat.
        interval_ps: between frames of a replica.
        progress: called with what is done and the fraction of the whole.

    Returns:
        Frames with energies and forces of the reference, and E0s of zero.

    Raises:
        InputError: a number is not positive.
    """
    _expect_positive(frames=frames, temperature=temperature, interval_ps=interval_ps)
    replicas = min(frames, _GAS_REPLICAS)
    context = gas_context(replicas, temperature, seed)
    rounds = -(-frames // replicas)
    total = _GAS_EQUILIBRATION_PS + rounds * interval_ps
    advance(context, _GAS_EQUILIBRATION_PS, 0.0, total, "equilibrating", progress)
    reference = OplsEthanol(1)
    sampled: list[Frame] = []
    for index in range(rounds):
        done = _GAS_EQUILIBRATION_PS + index * interval_ps
        advance(context, interval_ps, done, total, "sampling", progress)
        for positions in context_positions(context).reshape(-1, ATOMS_PER_MOLECULE, 3):
            centered = positions - positions.mean(axis=0)
            energy, forces = reference.energy_and_forces(centered)
            sampled.append(
                Frame(
                    ATOMIC_NUMBERS,
                    centered,
                    energy=energy,
                    forces=forces,
                    config_type=f"gas_{temperature:g}K",
                )
            )
    return Frames(tuple(sampled[:frames]), dict(REFERENCE_ENERGIES), "OPLS-AA ethanol gas")


def sample_liquid(
    frames: int,
    temperature: float,
    molecules: int,
    seed: int,
    *,
    density_g_cm3: float | None = DENSITY_298K_G_CM3,
    interval_ps: float = LIQUID_INTERVAL_PS,
    with_stress: bool = True,
    progress: Progress | None = None,
) -> Frames:
    """Sample a periodic box of the liquid by Langevin dynamics.

    Args:
        frames: how many.
        temperature: K.
        molecules: in the box; 16 at least.
        seed: of the packing, the velocities and the thermostat.
        density_g_cm3: of the box; None for a box that moves at 1 bar.
        interval_ps: between frames.
        with_stress: whether to label the stress, 12 more energies a frame.
        progress: called with what is done and the fraction of the whole.

    Returns:
        Frames of whole molecules with energies, forces and stress of the reference; E0s of zero.

    Raises:
        InputError: a number is not positive, or the box cannot be packed.
    """
    _expect_positive(frames=frames, temperature=temperature, interval_ps=interval_ps)
    equilibration = (
        _LIQUID_EQUILIBRATION_PS if density_g_cm3 is not None else _DENSITY_EQUILIBRATION_PS
    )
    total = equilibration + frames * interval_ps
    context = liquid_context(molecules, temperature, density_g_cm3, seed)
    advance(context, equilibration, 0.0, total, "equilibrating", progress)
    sampled = []
    for index in range(frames):
        done = equilibration + index * interval_ps
        advance(context, interval_ps, done, total, "sampling", progress)
        sampled.append(_liquid_frame(context, molecules, temperature, with_stress))
    return Frames(tuple(sampled), dict(REFERENCE_ENERGIES), "OPLS-AA ethanol liquid")


def equilibrated_liquid(
    molecules: int,
    temperature: float,
    density_g_cm3: float | None = DENSITY_298K_G_CM3,
    seed: int = 0,
    *,
    progress: Progress | None = None,
) -> Frame:
    """Return a box of liquid ethanol to start a simulation from.

    Packed, minimized, then 2 ps of Langevin dynamics: the packing's clashes and the molecules'
    orientations relax; the hydrogen-bond network goes on relaxing for tens of ps.

    Args:
        molecules: in the box; 16 at least.
        temperature: K.
        density_g_cm3: of the box; None to let it find its density at 1 bar for 40 ps.
        seed: of the packing, the velocities and the thermostat.
        progress: called with what is done and the fraction of the whole.

    Returns:
        A frame of whole molecules, with the reference's energy and forces.

    Raises:
        InputError: a number is not positive, or the box cannot be packed.
    """
    _expect_positive(temperature=temperature)
    total = _BOX_EQUILIBRATION_PS if density_g_cm3 is not None else _DENSITY_EQUILIBRATION_PS
    context = liquid_context(molecules, temperature, density_g_cm3, seed)
    advance(context, total, 0.0, total, "equilibrating", progress)
    return _liquid_frame(context, molecules, temperature, with_stress=False)


def _expect_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"expected {name} above zero, found {value}")


def _liquid_frame(context: Any, molecules: int, temperature: float, with_stress: bool) -> Frame:
    from openmm import unit

    vectors = context.getState().getPeriodicBoxVectors(asNumpy=True)
    cell = np.array(vectors.value_in_unit(unit.angstrom))
    whole = context_positions(context).reshape(-1, ATOMS_PER_MOLECULE, 3)
    lengths = np.diag(cell)
    whole -= np.floor(whole.mean(axis=1, keepdims=True) / lengths) * lengths
    positions = whole.reshape(-1, 3)
    reference = OplsEthanol(molecules, cell)
    energy, forces = reference.energy_and_forces(positions)
    return Frame(
        ethanol_numbers(molecules),
        positions,
        cell,
        np.ones(3, dtype=bool),
        energy=energy,
        forces=forces,
        stress=reference.stress(positions) if with_stress else None,
        config_type=f"liquid_{temperature:g}K",
    )
