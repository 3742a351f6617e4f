"""The thing under test: energies and forces of an artefact out of a real OpenMM Context."""

from typing import Protocol, cast

import numpy as np
import openmm
import torch
from openmm import app, unit

from fisher_mlip.certificate.lattice import to_openmm
from fisher_mlip.data.frames import FloatArray, Frame, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, ArtefactPotential
from fisher_mlip.export.certification import without_certification_warnings
from fisher_mlip.export.potential import KernelChoice
from fisher_mlip.units import (
    KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM,
    KJ_PER_MOL_PER_EV,
    NM_PER_ANGSTROM,
)
from openmm_plugin import PotentialForce, make_force
from openmm_plugin.force import Route

PS_PER_FS = 1e-3
SKIN = 0.5  # Å, what a run takes by default
NO_SKIN = 1e-6  # Å: the list is made anew for every move


class Potential(Protocol):
    """What the checks take: a frame -> energy (eV, relative to isolated atoms), forces (eV/Å)."""

    def __call__(self, frame: Frame, /) -> tuple[float, FloatArray]:
        """Return the energy and the forces (n_atoms, 3) of a frame."""


def build_force(
    artefact: Artefact,
    topology: app.Topology,
    *,
    periodic: bool,
    skin: float,
    route: str,
    kernel: KernelChoice,
    platform: str,
) -> PotentialForce:
    """Return the artefact's force; the one place that knows how a force is made.

    Raises:
        InputError: no such route, or it is not installed.
    """
    if route not in ("auto", "torchforce", "python"):
        raise InputError(f"expected a route of auto, torchforce or python, found '{route}'")
    wanted = cast(Route, route)
    # Being certified is the remedy for not being certified here.
    with without_certification_warnings():
        return make_force(
            artefact,
            topology,
            route=wanted,
            kernel=kernel,
            periodic=periodic,
            skin=skin,
            platform=platform,
        )


def platform_named(name: str, dtype: str) -> tuple[openmm.Platform, dict[str, str]]:
    """Return a platform and its properties; `auto` is CUDA where OpenMM and torch have it.

    Raises:
        InputError: there is no such platform.
    """
    count = openmm.Platform.getNumPlatforms()
    names = [str(openmm.Platform.getPlatform(index).getName()) for index in range(count)]
    if name == "auto":
        name = "CUDA" if "CUDA" in names and torch.cuda.is_available() else "CPU"
    if name not in names:
        raise InputError(f"expected a platform of {', '.join(names)} or auto, found '{name}'")
    precision = "double" if dtype == "float64" else "mixed"
    properties = {"Precision": precision} if name in ("CUDA", "OpenCL") else {}
    return openmm.Platform.getPlatformByName(name), properties


class Engine:
    """An artefact in OpenMM. One Context serves every frame of the same atoms.

    Contexts are dear (seconds: the script is frozen in each), so the checks share atoms; and a
    list that must be renewed between frames is renewed as in a run.
    """

    def __init__(
        self,
        artefact: Artefact,
        *,
        platform: str = "auto",
        route: str = "auto",
        kernel: KernelChoice = "auto",
        skin: float = SKIN,
    ) -> None:
        self.artefact = artefact
        self.skin = skin
        self._asked_route, self._asked_kernel = route, kernel
        self.platform, self.properties = platform_named(platform, artefact.manifest.dtype)
        self.built: PotentialForce | None = None
        self._contexts: dict[tuple[bytes, bool], openmm.Context] = {}

    @property
    def reason(self) -> str:
        """Why this route and kernel; empty before anything was computed."""
        return self.built.reason if self.built else ""

    def __call__(self, frame: Frame) -> tuple[float, FloatArray]:
        """Return energy (eV) and forces (n_atoms, 3) in eV/Å, in the frame's own axes."""
        context, turn = self._placed(frame)
        state = context.getState(energy=True, forces=True)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        forces = state.getForces(asNumpy=True).value_in_unit(
            unit.kilojoule_per_mole / unit.nanometer
        )
        turned = np.asarray(forces) / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM @ turn
        return energy / KJ_PER_MOL_PER_EV, turned

    def relaxed(self, frame: Frame, iterations: int) -> Frame:
        """Return an open frame after some iterations of OpenMM's minimizer."""
        context, _ = self._placed(frame)
        openmm.LocalEnergyMinimizer.minimize(context, 5.0, iterations)
        return frame.relabelled(positions=_positions(context))

    def trajectory(
        self, frame: Frame, velocities: FloatArray, timestep: float, steps: int, every: int = 1
    ) -> FloatArray:
        """Integrate with OpenMM's leapfrog Verlet and return total energies at the steps.

        Args:
            frame: the start.
            velocities: (n_atoms, 3), Å/fs, at the time of the start.
            timestep: fs.
            steps: to integrate.
            every: rows' distance in steps.

        Returns:
            (steps // every + 1,), eV: potential energy relative to isolated atoms and kinetic
            energy at the same time (OpenMM adds the half step to a leapfrog's velocities).
        """
        context, turn = self._placed(frame)
        _, forces = self(frame)
        masses = atomic_masses(frame.atomic_numbers)
        dt = timestep * PS_PER_FS
        acceleration = forces @ turn.T * KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM / masses[:, None]
        started = velocities @ turn.T * NM_PER_ANGSTROM / PS_PER_FS
        context.setVelocities(started - 0.5 * dt * acceleration)
        integrator = context.getIntegrator()
        integrator.setStepSize(dt)
        energies = [_total(context)]
        for _ in range(steps // every):
            integrator.step(every)
            energies.append(_total(context))
        return np.array(energies)

    def _placed(self, frame: Frame) -> tuple[openmm.Context, FloatArray]:
        """Return the context with the frame in it, and the rotation of its axes.

        OpenMM knows cells of one orientation only: x_openmm = x_frame @ turn.T.
        """
        key = (frame.atomic_numbers.tobytes(), frame.is_periodic)
        turn, cell = np.eye(3), frame.cell
        if frame.is_periodic:
            if not frame.pbc.all():
                raise InputError("expected frames periodic in all directions or none: OpenMM's are")
            turn, cell = to_openmm(frame.cell)
        if key not in self._contexts:
            self._contexts[key] = self._context(frame, cell)
        context = self._contexts[key]
        if frame.is_periodic:
            context.setPeriodicBoxVectors(*(openmm.Vec3(*row) for row in cell * NM_PER_ANGSTROM))
        context.setPositions(frame.positions @ turn.T * NM_PER_ANGSTROM)
        return context, turn

    def _context(self, frame: Frame, cell: FloatArray) -> openmm.Context:
        topology, system = app.Topology(), openmm.System()
        residue = topology.addResidue("ALL", topology.addChain())
        for number in frame.atomic_numbers:
            element = app.Element.getByAtomicNumber(int(number))
            topology.addAtom(element.symbol, element, residue)
            system.addParticle(element.mass)
        if frame.is_periodic:
            topology.setPeriodicBoxVectors(cell * unit.angstrom)
            system.setDefaultPeriodicBoxVectors(*(cell * NM_PER_ANGSTROM))
        self.built = build_force(
            self.artefact,
            topology,
            periodic=frame.is_periodic,
            skin=self.skin,
            route=self._asked_route,
            kernel=self._asked_kernel,
            platform=str(self.platform.getName()),
        )
        system.addForce(self.built.force)
        integrator = openmm.VerletIntegrator(PS_PER_FS)
        return openmm.Context(system, integrator, self.platform, self.properties)


def atomic_masses(atomic_numbers: IntArray) -> FloatArray:
    """Return the masses that OpenMM gives to elements, (n_atoms,), amu."""
    elements = [app.Element.getByAtomicNumber(int(number)) for number in atomic_numbers]
    return np.array([element.mass.value_in_unit(unit.dalton) for element in elements])


def strain_derivative(artefact: Artefact, frame: Frame) -> FloatArray:
    """Return dE/dε (3, 3) in eV as the artefact tells it: its stress, or the script's derivative.

    OpenMM asks forces for no virial; the engine's is what finite strains of its energy give.
    """
    if frame.is_periodic:
        potential = ArtefactPotential(artefact, frame.atomic_numbers, periodic=True)
        _, _, stress = potential.energy_forces_stress(frame.positions, frame.cell)
        return stress * abs(float(np.linalg.det(frame.cell)))
    module = artefact.bind(frame.atomic_numbers, periodic=False)
    strain = torch.zeros((3, 3), dtype=torch.float64, requires_grad=True)
    deformation = torch.eye(3, dtype=torch.float64) + 0.5 * (strain + strain.T)
    positions = torch.tensor(frame.positions * NM_PER_ANGSTROM) @ deformation
    (gradient,) = torch.autograd.grad(module(positions), strain)
    found: FloatArray = gradient.numpy() / KJ_PER_MOL_PER_EV
    return found


def atomic_energies(artefact: Artefact, frame: Frame) -> FloatArray:
    """Return the energy of each atom of an open frame, (n_atoms,), eV, without its E0."""
    potential = ArtefactPotential(artefact, frame.atomic_numbers, periodic=False)
    return potential.atomic_energies(frame.positions)


def _positions(context: openmm.Context) -> FloatArray:
    positions = context.getState(positions=True).getPositions(asNumpy=True)
    return np.asarray(positions.value_in_unit(unit.angstrom))


def _total(context: openmm.Context) -> float:
    state = context.getState(energy=True)
    total = state.getPotentialEnergy() + state.getKineticEnergy()
    return float(total.value_in_unit(unit.kilojoule_per_mole)) / KJ_PER_MOL_PER_EV
