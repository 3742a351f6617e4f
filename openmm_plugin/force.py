"""An exported potential as an OpenMM force, by TorchForce or by PythonForce."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import openmm
import torch
from openmm.app import Topology

from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, ArtefactPotential, load_artefact
from fisher_mlip.export.certification import PresentConditions, warn_of_differences
from fisher_mlip.export.kernel import KernelName
from fisher_mlip.export.potential import KernelChoice, choose_kernel
from fisher_mlip.export.torchscript import run_unfused, without_deprecation
from openmm_plugin.bonds import molecule_index
from openmm_plugin.callback import HEAD_SCALE, PotentialCallback
from openmm_plugin.loading import has_openmmtorch, load_openmmtorch, python_torch_force
from openmm_plugin.rebuilds import RebuildCounter

Route = Literal["auto", "torchforce", "python"]
IntArray = npt.NDArray[np.int64]
# Platforms that hold positions on a GPU, where torch can compute too.
GPU_PLATFORMS = ("CUDA", "HIP")


@dataclass(frozen=True, eq=False)
class PotentialForce:
    """A potential as a force, and what was chosen for it.

    Attributes:
        force: to be added to a System. Its global parameter `fisher_head_scale` is s of
            U = U_pretrained + s U_head, 1 by default; a model without a head does not heed it.
        route: by which OpenMM calls the potential.
        kernel: what runs the network.
        reason: why this route and kernel, in one sentence.
        list_rebuilds: returns how often the neighbor list has been built, by all contexts.
    """

    force: openmm.Force
    route: Literal["torchforce", "python"]
    kernel: KernelName
    reason: str
    list_rebuilds: Callable[[], int]

    @property
    def name(self) -> str:
        """The class of the force, with the kernel."""
        kind = type(self.force).__name__
        return f"{kind} ({self.kernel})"


@dataclass(frozen=True, eq=False)
class _Order:
    """What a force is to be made of."""

    artefact: Artefact
    atomic_numbers: IntArray
    atoms: IntArray | None
    periodic: bool
    skin: float
    molecules: IntArray | None


def make_force(
    model: str | Path | Artefact,
    topology: Topology,
    *,
    route: Route = "auto",
    kernel: KernelChoice = "auto",
    atoms: Sequence[int] | None = None,
    periodic: bool | None = None,
    skin: float = 0.5,
    independent_molecules: bool = False,
    platform: str | None = None,
) -> PotentialForce:
    """Return the potential as a force for atoms of the topology; its energy is E - sum(E0).

    Args:
        model: `model.pt`, the folder that holds it, or the loaded artefact.
        topology: whose elements the potential must know.
        route: `torchforce` (openmm-torch's TorchForce with a script), `python`
            (PythonForce), or `auto`: python where the fused operators serve the model and the
            platform is no GPU's, else torchforce where openmm-torch is installed, else python. The
            fused operators run by either route.
        kernel: `fused`, `torchscript`, or `auto`: fused where that can be.
        atoms: indices of the atoms that the potential is of; None: all. The others get no force.
        periodic: whether the box is periodic; None: as the topology has box vectors or not.
        skin: Å added to the cutoff of the neighbor list, so that it can be kept between steps.
        independent_molecules: atoms of different molecules (by the topology's bonds) do not
            interact: many runs of one molecule at the price of one call.
        platform: name of the OpenMM platform that will run it; None: a GPU's where both OpenMM
            and torch have one.

    Raises:
        InputError: no such artefact, an atom without element, an element that the potential does
            not know, atoms that are not there, independent molecules without bonds, or a route
            that is not installed.
    """
    artefact = model if isinstance(model, Artefact) else load_artefact(Path(model))
    numbers, chosen = chosen_atoms(topology, atoms)
    if periodic is None:
        periodic = topology.getPeriodicBoxVectors() is not None
    molecules = _bonded_molecules(topology) if independent_molecules else None
    if molecules is not None and chosen is not None:
        molecules = molecules[chosen]
    order = _Order(artefact, numbers, chosen, periodic, skin, molecules)
    on_gpu = _is_on_gpu(platform)
    taken, runs, reason = choose_route(artefact, route, kernel, on_gpu=on_gpu)
    device = str(torch.cuda.get_device_name()) if on_gpu else "cpu"
    warn_of_differences(artefact, PresentConditions(device, runs, str(torch.__version__), platform))
    if taken == "torchforce":
        if not on_gpu:
            run_unfused()
        return _torch_route(order, runs, reason)
    return _python_route(order, runs, reason, on_gpu=on_gpu)


def torch_force(
    model: str | Path | Artefact,
    topology: Topology,
    *,
    periodic: bool | None = None,
    skin: float = 0.5,
    independent_molecules: bool = False,
) -> Any:
    """Return `openmmtorch.TorchForce` of the potential: `make_force` by that route.

    Args and Raises: as `make_force`.
    """
    built = make_force(
        model,
        topology,
        route="torchforce",
        periodic=periodic,
        skin=skin,
        independent_molecules=independent_molecules,
    )
    return built.force


def choose_route(
    artefact: Artefact, route: Route, wanted: KernelChoice = "auto", *, on_gpu: bool
) -> tuple[Literal["torchforce", "python"], KernelName, str]:
    """Return the route, the kernel, and why.

    Raises:
        InputError: the route that was asked for is not installed, or is none; or the kernel that
            was asked for cannot be.
    """
    if route not in ("auto", "torchforce", "python"):
        raise InputError(f"expected a route of auto, torchforce or python, found '{route}'")
    has_torch, has_python = has_openmmtorch(), hasattr(openmm, "PythonForce")
    if route == "torchforce" and not has_torch:
        raise InputError("expected openmm-torch for the route torchforce, found none installed")
    if route == "python" and not has_python:
        raise InputError("expected OpenMM 8.5.2 or newer for the route python: no PythonForce")
    # PythonForce evaluates on the CPU, whatever the platform.
    on_device = on_gpu and has_torch and route != "python"
    kernel, why = choose_kernel(artefact, wanted, device="cuda" if on_device else "cpu")
    if route == "torchforce":
        return "torchforce", kernel, f"route torchforce; {why}"
    if route == "python":
        return "python", kernel, f"route python; {why}"
    if kernel == "fused" and has_python and not on_device:
        return "python", kernel, why
    if has_torch:
        script = "" if kernel == "fused" else "; TorchForce runs the script"
        return "torchforce", kernel, why + script
    return "python", kernel, f"{why}; openmm-torch is not installed"


def topology_atomic_numbers(topology: Topology) -> IntArray:
    """Return the atomic numbers of the topology's atoms, (n_atoms,).

    Raises:
        InputError: the topology has no atoms, or an atom has no element.
    """
    return _atomic_numbers(topology, None)


def _torch_route(order: _Order, kernel: KernelName, reason: str) -> PotentialForce:
    openmmtorch = load_openmmtorch()
    counter = RebuildCounter()
    module = order.artefact.bind(
        order.atomic_numbers,
        periodic=order.periodic,
        skin=order.skin,
        molecules=order.molecules,
        atoms=order.atoms,
        rebuild_file=counter.path,
        kernel=kernel,
    )
    # The constructor copies the module by a function that torch 2.12 calls deprecated; made an
    # error, that warning would abort the process inside C++.
    with without_deprecation():
        force = openmmtorch.TorchForce(module)
    force.setUsesPeriodicBoundaryConditions(order.periodic)
    force.addGlobalParameter(HEAD_SCALE, 1.0)
    return PotentialForce(force, "torchforce", kernel, reason, counter.read)


def _python_route(
    order: _Order, kernel: KernelName, reason: str, *, on_gpu: bool
) -> PotentialForce:
    potential = ArtefactPotential(
        order.artefact,
        order.atomic_numbers,
        periodic=order.periodic,
        kernel=kernel,
        skin=order.skin,
        molecules=order.molecules,
    )
    callback = PotentialCallback(potential)
    keeps_tensors = python_torch_force() if on_gpu else None
    if keeps_tensors is not None:
        force = keeps_tensors(callback.of_tensors, {HEAD_SCALE: 1.0})
    else:
        force = openmm.PythonForce(callback, {HEAD_SCALE: 1.0})
    force.setUsesPeriodicBoundaryConditions(order.periodic)
    if order.atoms is not None:
        force.setParticles([int(atom) for atom in order.atoms])
    return PotentialForce(force, "python", potential.kernel, reason, lambda: potential.n_rebuilds)


def _is_on_gpu(platform: str | None) -> bool:
    if platform is not None:
        return platform in GPU_PLATFORMS
    count = openmm.Platform.getNumPlatforms()
    names = [openmm.Platform.getPlatform(index).getName() for index in range(count)]
    return torch.cuda.is_available() and any(name in names for name in GPU_PLATFORMS)


def chosen_atoms(
    topology: Topology, atoms: Sequence[int] | None
) -> tuple[IntArray, IntArray | None]:
    """Return the atomic numbers of the chosen atoms, and their indices; None for all.

    Raises:
        InputError: an atom without element, one that is not there, or one named twice.
    """
    if atoms is None:
        return topology_atomic_numbers(topology), None
    given = np.array(list(atoms))
    n_atoms = topology.getNumAtoms()
    # A mask, or numbers with a fraction, would silently become other atoms.
    if given.ndim != 1 or given.dtype.kind not in "iu" or len(np.unique(given)) != len(given):
        raise InputError(f"expected indices of atoms, each of them once, found {atoms}")
    chosen = given.astype(np.int64)
    outside = chosen[(chosen < 0) | (chosen >= n_atoms)]
    if len(outside):
        raise InputError(f"expected indices of {n_atoms} atoms, from 0 on, found {outside[0]}")
    return _atomic_numbers(topology, chosen), chosen


def _atomic_numbers(topology: Topology, chosen: IntArray | None) -> IntArray:
    atoms = list(topology.atoms())
    if not atoms:
        raise InputError("expected a topology with atoms, found none")
    if chosen is not None:
        atoms = [atoms[index] for index in chosen]
    for atom in atoms:
        if atom.element is None:
            raise InputError(
                f"expected an element for every atom of the topology, found none for atom "
                f"{atom.index} ('{atom.name}' of residue '{atom.residue.name}')"
            )
    return np.array([atom.element.atomic_number for atom in atoms], dtype=np.int64)


def _bonded_molecules(topology: Topology) -> IntArray:
    if topology.getNumBonds() == 0 and topology.getNumAtoms() > 1:
        raise InputError(
            "expected a topology with bonds, which say what an independent molecule is, found none"
        )
    return molecule_index(topology)
