"""Both routes in the real OpenMM against the eager model: boundaries, subsets, heads, lists."""

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import openmm
import pytest
import torch
from openmm import app, unit

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.export.kernel import KernelName
from fisher_mlip.export.parity import FORCE_TOLERANCE, probe_frames
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.model.checkpoint import network_in
from fisher_mlip.units import KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM, KJ_PER_MOL_PER_EV
from openmm_plugin import PotentialForce, make_force
from openmm_plugin.force import Route, choose_route
from openmm_plugin.loading import python_torch_force

ROUTES: tuple[Route, Route] = ("torchforce", "python")
FORCE = unit.kilojoule_per_mole / unit.nanometer
SMALL_BOX = Frame(
    np.array([6, 1]),
    np.array([[0.1, 0.2, 0.3], [1.2, 1.1, 1.6]]),
    np.array([[2.6, 0.0, 0.0], [0.3, 2.4, 0.0], [0.1, -0.2, 2.9]]),
    np.ones(3, dtype=bool),
)


def topology_of(frame: Frame) -> app.Topology:
    topology = app.Topology()
    residue = topology.addResidue("ALL", topology.addChain())
    for number in frame.atomic_numbers:
        element = app.Element.getByAtomicNumber(int(number))
        topology.addAtom(element.symbol, element, residue)
    if frame.is_periodic:
        topology.setPeriodicBoxVectors(frame.cell * unit.angstrom)
    return topology


def has_gpu() -> bool:
    n_platforms = openmm.Platform.getNumPlatforms()
    names = [openmm.Platform.getPlatform(k).getName() for k in range(n_platforms)]
    return "CUDA" in names and torch.cuda.is_available()


NO_GPU = pytest.mark.skipif(not has_gpu(), reason="no GPU that OpenMM and torch both see")


def context_of(built: PotentialForce, frame: Frame, platform: str = "Reference") -> openmm.Context:
    system = openmm.System()
    for _ in frame.atomic_numbers:
        system.addParticle(12.0)
    if frame.is_periodic:
        system.setDefaultPeriodicBoxVectors(*(frame.cell * 0.1))
    system.addForce(built.force)
    platform = openmm.Platform.getPlatformByName(platform)
    # In `mixed` a GPU's positions are float32, which alone moves forces by 1e-4 eV/Å.
    chosen = {"Precision": "double"} if platform.getName() == "CUDA" else {}
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform, chosen)
    context.setPositions(frame.positions * 0.1)
    return context


def read(context: openmm.Context) -> tuple[float, FloatArray]:
    """Return eV and eV/Å."""
    state = context.getState(energy=True, forces=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    forces = np.asarray(state.getForces(asNumpy=True).value_in_unit(FORCE))
    return energy / KJ_PER_MOL_PER_EV, forces / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM


def eager(checkpoint: Checkpoint, artefact: Artefact, frame: Frame) -> tuple[float, FloatArray]:
    network = network_in(checkpoint, artefact.manifest.dtype)
    found = evaluate(network, build_graph(frame, [1, 6, 8], network.cutoff))
    return float(found.energies[0]), found.forces.numpy()


def check_same(
    found: tuple[float, FloatArray], expected: tuple[float, FloatArray], tolerance: float
) -> None:
    scale = max(1.0, np.abs(expected[1]).max())
    assert np.abs(found[1] - expected[1]).max() <= tolerance * scale
    assert abs(found[0] - expected[0]) <= tolerance * scale * len(expected[1])


@pytest.fixture(scope="module", params=ROUTES)
def route(request: pytest.FixtureRequest) -> Route:
    return request.param


def frames() -> Sequence[Frame]:
    return [*probe_frames([1, 6, 8]), SMALL_BOX]


@pytest.mark.parametrize("kernel", ["torchscript", "fused"])
@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize("kind", range(4), ids=["open", "triclinic", "unwrapped", "small-box"])
def test_forces_are_the_eager_models(
    fused: Artefact,
    checkpoint: Checkpoint,
    route: Route,
    kernel: KernelName,
    platform: str,
    kind: int,
) -> None:
    frame = frames()[kind]
    built = make_force(fused, topology_of(frame), route=route, kernel=kernel)
    assert (built.route, built.kernel) == (route, kernel)
    found = read(context_of(built, frame, platform))
    expected = eager(checkpoint, fused, frame)
    tolerance = FORCE_TOLERANCE[fused.manifest.dtype]
    check_same(found, expected, tolerance)
    with pytest.raises(AssertionError):
        check_same((found[0], 1.01 * found[1]), expected, tolerance)


@NO_GPU
@pytest.mark.parametrize("kernel", ["torchscript", "fused"])
@pytest.mark.parametrize("kind", range(4), ids=["open", "triclinic", "unwrapped", "small-box"])
def test_forces_on_a_gpu_are_the_eager_models(
    fused: Artefact, checkpoint: Checkpoint, route: Route, kernel: KernelName, kind: int
) -> None:
    """A TorchForce stays there, by either kernel; a PythonForce's model is on the CPU."""
    frame = frames()[kind]
    built = make_force(fused, topology_of(frame), route=route, kernel=kernel, platform="CUDA")
    assert (built.route, built.kernel) == (route, kernel)
    found = read(context_of(built, frame, "CUDA"))
    expected = eager(checkpoint, fused, frame)
    tolerance = FORCE_TOLERANCE[fused.manifest.dtype]
    check_same(found, expected, tolerance)
    with pytest.raises(AssertionError):
        check_same((found[0], 1.01 * found[1]), expected, tolerance)


def test_python_route_runs_the_script_where_there_are_no_operators(
    artefact: Artefact, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fisher_mlip.export.potential.why_not_fused", lambda _: "no compiler")
    frame = frames()[1]
    built = make_force(artefact, topology_of(frame), route="python")
    assert built.kernel == "torchscript"
    assert built.name == "PythonForce (torchscript)"
    assert "no compiler" in built.reason
    check_same(read(context_of(built, frame)), eager(checkpoint, artefact, frame), 1e-9)


def test_sabotage_a_dropped_shift_is_caught(
    artefact: Artefact, checkpoint: Checkpoint, route: Route
) -> None:
    """The list of the open system lacks the pairs across the boundary."""
    frame = frames()[1]
    expected = eager(checkpoint, artefact, frame)
    built = make_force(artefact, topology_of(frame), route=route, periodic=False)
    with pytest.raises(AssertionError):
        check_same(read(context_of(built, frame)), expected, FORCE_TOLERANCE["float32"])


@pytest.mark.parametrize("kind", [0, 1], ids=["open", "triclinic"])
def test_a_subset_has_all_of_the_forces(
    artefact: Artefact, checkpoint: Checkpoint, route: Route, kind: int
) -> None:
    frame = frames()[kind]
    atoms = [20, 3, 4, 11, 7]
    part = Frame(frame.atomic_numbers[atoms], frame.positions[atoms], frame.cell, frame.pbc)
    energy, forces = eager(checkpoint, artefact, part)
    whole = np.zeros((frame.n_atoms, 3))
    whole[atoms] = forces
    assert np.abs(forces).max() > 1e-3
    built = make_force(artefact, topology_of(frame), route=route, atoms=atoms)
    found = read(context_of(built, frame))
    check_same(found, (energy, whole), 1e-9)
    assert (np.delete(found[1], atoms, axis=0) == 0.0).all()


@pytest.mark.parametrize("atoms", [[0, 0], [27], [-1, 3], [], [0.7, 1], [True, False], ["a"]])
def test_atoms_that_are_not_there_are_refused(artefact: Artefact, atoms: list[Any]) -> None:
    with pytest.raises(InputError, match="expected indices of"):
        make_force(artefact, topology_of(frames()[0]), atoms=atoms)


@pytest.mark.parametrize("route", ROUTES)
def test_contexts_of_one_system_do_not_disturb_each_other(
    artefact: Artefact, checkpoint: Checkpoint, route: Route
) -> None:
    """They share a force, its list and the scale of its head, and threads may call them at once."""
    frame = frames()[1]
    moved = Frame(frame.atomic_numbers, frame.positions[::-1].copy(), frame.cell, frame.pbc)
    first = context_of(make_force(artefact, topology_of(frame), route=route), frame)
    second = openmm.Context(
        first.getSystem(),
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatformByName("Reference"),
    )
    second.setPositions(moved.positions * 0.1)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda own: [read(own) for _ in range(10)], [first, second]))
    for readings, of_frame in zip(found, (frame, moved), strict=True):
        expected = eager(checkpoint, artefact, of_frame)
        for one in readings:
            check_same(one, expected, 1e-9)
    with pytest.raises(AssertionError):
        check_same(found[0][0], eager(checkpoint, artefact, moved), 1e-9)


def histories(frame: Frame) -> Iterator[list[FloatArray]]:
    """Ways to the frame's positions that leave lists built around other positions."""
    rng = np.random.default_rng(3)
    for size in (0.0, 0.1, 2.0):
        steps = [frame.positions + size * rng.uniform(-0.5, 0.5, (frame.n_atoms, 3))]
        yield [*steps, frame.positions + 0.02, frame.positions]


def bits_after_histories(
    make: Callable[[], PotentialForce], frame: Frame
) -> list[tuple[float, bytes]]:
    found = []
    for history in histories(frame):
        built = make()
        context = context_of(built, Frame(frame.atomic_numbers, history[0], frame.cell, frame.pbc))
        for positions in history:
            context.setPositions(positions * 0.1)
            energy, forces = read(context)
        found.append((energy, forces.tobytes()))
    return found


def test_numbers_do_not_depend_on_the_lists_history(fused: Artefact, route: Route) -> None:
    frame = frames()[2]
    topology = topology_of(frame)
    found = bits_after_histories(lambda: make_force(fused, topology, route=route), frame)
    assert len(set(found)) == 1, [energy for energy, _ in found]


def bits_of_calls(artefact: Artefact, route: Route) -> list[tuple[float, bytes]]:
    frame = frames()[1]
    context = context_of(make_force(artefact, topology_of(frame), route=route), frame)
    found = []
    for _ in range(4):
        context.setPositions(frame.positions * 0.1)
        energy, forces = read(context)
        found.append((energy, forces.tobytes()))
    return found


def test_first_calls_give_the_bits_of_later_ones(exported: Artefact, route: Route) -> None:
    assert len(set(bits_of_calls(exported, route))) == 1


def test_sabotage_optimized_scripts_change_their_bits(
    exported: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the choice, torch fuses what it has watched for two calls."""
    monkeypatch.setattr("openmm_plugin.force.run_unfused", lambda: None)
    before = torch._C._jit_set_fusion_strategy([("STATIC", 2), ("DYNAMIC", 10)])
    try:
        assert len(set(bits_of_calls(exported, "torchforce"))) > 1
    finally:
        torch._C._jit_set_fusion_strategy(before)


def test_a_long_open_system_is_computed(
    artefact: Artefact, checkpoint: Checkpoint, route: Route
) -> None:
    near = frames()[0].positions[:4]
    positions = np.concatenate([near, near + np.array([4e5, 0.0, 0.0])])
    frame = Frame(np.tile(frames()[0].atomic_numbers[:4], 2), positions)
    built = make_force(artefact, topology_of(frame), route=route)
    check_same(read(context_of(built, frame)), eager(checkpoint, artefact, frame), 1e-6)


def test_sabotage_a_list_in_another_order_gives_other_bits(
    artefact: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = frames()[2]
    built = make_force(artefact, topology_of(frame), route="python")
    potential = built.list_rebuilds.__closure__[0].cell_contents  # type: ignore[index]
    module = potential._module
    positions, cell = frame.positions, frame.cell
    _, ordered = potential.energy_and_forces(positions, cell)
    order = np.random.default_rng(0).permutation(len(module.receivers))
    for name in ("receivers", "senders", "cell_shifts"):
        setattr(module, name, getattr(module, name)[order])
    _, shuffled = potential.energy_and_forces(positions, cell)
    assert np.abs(shuffled - ordered).max() < 1e-12
    assert (shuffled != ordered).any()


def test_rebuilds_are_counted_while_a_simulation_runs(artefact: Artefact, route: Route) -> None:
    frame = frames()[1]
    built = make_force(artefact, topology_of(frame), route=route, skin=0.4)
    assert built.list_rebuilds() == 0
    context = context_of(built, frame)
    counts = []
    for move in (0.0, 0.1, 0.15, 0.35, 0.36):
        positions = frame.positions.copy()
        positions[5, 2] += move
        context.setPositions(positions * 0.1)
        read(context)
        counts.append(built.list_rebuilds())
    assert counts == [1, 1, 1, 2, 2]
    another = openmm.Context(context.getSystem(), openmm.VerletIntegrator(0.001))
    another.setPositions(frame.positions[::-1] * 0.1)
    read(another)
    assert built.list_rebuilds() == 3


def test_the_heads_scale_is_a_parameter(headed: tuple[Checkpoint, Artefact], route: Route) -> None:
    checkpoint, artefact = headed
    frame = frames()[1]
    built = make_force(artefact, topology_of(frame), route=route)
    context = context_of(built, frame)
    assert context.getParameter("fisher_head_scale") == 1.0
    for scale in (1.0, 0.25, 0.0):
        context.setParameter("fisher_head_scale", scale)
        scaled = copy.deepcopy(checkpoint)
        assert scaled.network.head is not None
        scaled.network.head.theta.data *= scale
        found = read(context)
        check_same(found, eager(scaled, artefact, frame), 1e-9)
        if scale != 1.0:
            with pytest.raises(AssertionError):
                check_same(found, eager(checkpoint, artefact, frame), 1e-9)


def test_a_missing_number_gives_nan_and_not_a_crash(artefact: Artefact, route: Route) -> None:
    frame = frames()[0]
    context = context_of(make_force(artefact, topology_of(frame), route=route), frame)
    positions = frame.positions.copy()
    positions[3, 1] = np.nan
    context.setPositions(positions * 0.1)
    energy, forces = read(context)
    assert np.isnan(energy)
    assert np.isnan(forces).all()


def test_what_fails_inside_is_said_in_words(artefact: Artefact) -> None:
    frame = frames()[1]
    context = context_of(make_force(artefact, topology_of(frame), route="python"), frame)
    context.setPeriodicBoxVectors(*(np.diag([1e4, 1e4, 0.5])))
    with pytest.raises(openmm.OpenMMException, match="thin sheet"):
        read(context)


def test_a_system_with_a_python_force_is_not_serialized_in_words(artefact: Artefact) -> None:
    frame = frames()[0]
    context = context_of(make_force(artefact, topology_of(frame), route="python"), frame)
    with pytest.raises(openmm.OpenMMException, match="could not be pickled"):
        openmm.XmlSerializer.serialize(context.getSystem())


def test_auto_takes_what_is_there(fused: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_route(fused, "auto", on_gpu=False)[:2] == ("python", "fused")
    assert choose_route(fused, "python", on_gpu=True)[:2] == ("python", "fused")
    asked = choose_route(fused, "torchforce", "torchscript", on_gpu=False)
    assert asked[:2] == ("torchforce", "torchscript")
    monkeypatch.setattr("fisher_mlip.export.potential.why_not_fused", lambda _: "no compiler")
    assert choose_route(fused, "auto", on_gpu=False)[:2] == ("torchforce", "torchscript")
    monkeypatch.setattr("openmm_plugin.force.has_openmmtorch", lambda: False)
    assert choose_route(fused, "auto", on_gpu=False)[:2] == ("python", "torchscript")
    with pytest.raises(InputError, match="openmm-torch"):
        choose_route(fused, "torchforce", on_gpu=False)
    with pytest.raises(InputError, match="expected a route"):
        choose_route(fused, "fast", on_gpu=False)  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_what_a_gpu_cannot_run_is_said(fused: Artefact) -> None:
    route, kernel, why = choose_route(fused, "auto", on_gpu=True)
    assert (route, kernel) == ("torchforce", "torchscript")
    assert "do not run on this GPU" in why
    with pytest.raises(InputError, match="do not run on this GPU"):
        choose_route(fused, "torchforce", "fused", on_gpu=True)


def test_python_torch_force_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from openmm_plugin.loading import load_openmmtorch

    module = load_openmmtorch()
    assert python_torch_force() is getattr(module, "PythonTorchForce", None)
    monkeypatch.setattr(module, "PythonTorchForce", dict, raising=False)
    assert python_torch_force() is dict
