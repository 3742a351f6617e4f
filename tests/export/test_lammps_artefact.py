"""The artefact for LAMMPS as Python sees it: shells, parity, uncertainty, manifest."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.config import DtypeName
from fisher_mlip.data.frames import Frame
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, load_artefact
from fisher_mlip.export.lammps_artefact import (
    LammpsArtefact,
    compare_lammps,
    lammps_force_uncertainty,
    load_lammps_artefact,
    write_lammps_artefact,
)
from fisher_mlip.export.parity import probe_frames
from fisher_mlip.export.shells import Shells, make_shells, shells_of_frame
from fisher_mlip.model import Checkpoint, build_graph, new_network
from fisher_mlip.model.uncertainty import estimate_uncertainty

LAYERS = 3


@pytest.fixture(scope="module")
def deep(checkpoint: Checkpoint) -> Checkpoint:
    """A random network of three layers."""
    import torch

    torch.manual_seed(5)
    model = checkpoint.config.model.changed(num_iterations=LAYERS)
    config = checkpoint.config.model_copy(update={"model": model})
    return Checkpoint(new_network(config).eval(), config)


@pytest.fixture
def periodic(deep: Checkpoint) -> Frame:
    """A tilted cell two cutoffs wide, or less."""
    return probe_frames(deep.config.elements)[1]


def own_energies(artefact: LammpsArtefact, shells: Shells) -> float:
    return float(artefact.energies_and_slopes(shells)[0].sum())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_it_is_the_eager_model(deep: Checkpoint, tmp_path: Path, dtype: DtypeName) -> None:
    artefact = write_lammps_artefact(tmp_path, deep, dtype)
    parity = compare_lammps(artefact, deep, probe_frames(deep.config.elements))
    assert parity.holds
    assert parity.largest_force > 0.1
    if dtype == "float64":
        assert parity.force_difference < 1e-12


def test_a_layer_that_is_trimmed_too_much_is_seen(
    deep: Checkpoint, periodic: Frame, tmp_path: Path
) -> None:
    """The sabotage twin: the last shell of edges left out of the first layer."""
    artefact = write_lammps_artefact(tmp_path, deep, "float64")
    shells = shells_of_frame(periodic, deep.config.elements, 3.0, n_layers=LAYERS)
    short = replace(shells, edges_within=[*shells.edges_within[:2], shells.edges_within[1]])
    assert abs(own_energies(artefact, short) - own_energies(artefact, shells)) > 1e-6


def test_shells_are_nested(deep: Checkpoint, periodic: Frame) -> None:
    shells = shells_of_frame(periodic, deep.config.elements, 3.0, n_layers=LAYERS)
    assert shells.atoms_within[0] == periodic.n_atoms
    assert shells.atoms_within == sorted(set(shells.atoms_within))
    assert shells.edges_within == sorted(set(shells.edges_within))
    for atoms, edges in zip(shells.atoms_within, shells.edges_within, strict=False):
        assert shells.receivers[:edges].max() < atoms
        assert shells.receivers[edges:].min(initial=atoms) >= atoms
    within = shells.edges_within
    for shell, edges in enumerate(within):
        assert shells.senders[:edges].max() < shells.atoms_within[shell + 1]


def test_a_part_of_the_atoms_adds_up_to_all(
    deep: Checkpoint, periodic: Frame, tmp_path: Path
) -> None:
    """As ranks do, each with the atoms of its own first."""
    artefact = write_lammps_artefact(tmp_path, deep, "float64")
    graph = build_graph(periodic, deep.config.elements, 3.0)
    vectors = graph.edge_vectors(graph.positions, graph.cells).numpy()
    energies = []
    for first in (np.arange(9), np.arange(9, 20), np.arange(20, 27)):
        order = np.concatenate([first, np.setdiff1d(np.arange(27), first)])
        place = np.argsort(order)
        senders, receivers = place[graph.senders.numpy()], place[graph.receivers.numpy()]
        species = graph.species.numpy()[order]
        shells = make_shells(
            species, vectors, senders, receivers, n_own=len(first), n_layers=LAYERS
        )
        energies.append(own_energies(artefact, shells))
    whole = own_energies(artefact, shells_of_frame(periodic, [1, 6, 8], 3.0, n_layers=LAYERS))
    assert sum(energies) == pytest.approx(whole, rel=1e-12)
    assert np.ptp(energies) > 1e-3


def test_its_uncertainty_is_the_models(
    headed: tuple[Checkpoint, Artefact], periodic: Frame, tmp_path: Path
) -> None:
    checkpoint, _ = headed
    artefact = write_lammps_artefact(tmp_path, checkpoint, "float64")
    graph = build_graph(periodic, checkpoint.config.elements, 3.0)
    expected = estimate_uncertainty(checkpoint.network, graph).forces
    assert expected is not None
    found = lammps_force_uncertainty(artefact, periodic)
    assert np.abs(found - expected.numpy()).max() < 1e-12
    assert found.min() > 1e-6


def test_each_engine_is_told_of_the_others_model(
    artefact: Artefact, deep: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"'export --target lammps'\), found one with model\.pt"):
        load_lammps_artefact(artefact.path.parent)
    with pytest.raises(InputError, match=r"expected format 'fisher-mlip lammps 1'"):
        load_lammps_artefact(artefact.path)
    made = write_lammps_artefact(tmp_path, deep, "float64")
    assert load_lammps_artefact(tmp_path).manifest == made.manifest
    with pytest.raises(InputError, match=r"torchforce'\), found one with model\.lmp\.pt"):
        load_artefact(tmp_path)
    made.path.write_bytes(made.path.read_bytes()[:-200])
    with pytest.raises(InputError, match="is no whole exported model"):
        load_lammps_artefact(tmp_path)


def test_its_twin_over_the_fused_operators_is_the_same(
    operators: None, deep: Checkpoint, periodic: Frame, tmp_path: Path
) -> None:
    artefact = write_lammps_artefact(tmp_path, deep, "float64")
    shells = shells_of_frame(periodic, deep.config.elements, 3.0, n_layers=LAYERS)
    expected = artefact.energies_and_slopes(shells)
    found = artefact.energies_and_slopes(shells, kernel="fused")
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() < 1e-9 * max(1.0, np.abs(other).max())
    bare = tmp_path / "bare.pt"
    with zipfile.ZipFile(artefact.path) as whole, zipfile.ZipFile(bare, "w") as part:
        for name in whole.namelist():
            if not name.endswith("/extra/fused.pt"):
                part.writestr(name, whole.read(name))
    without = LammpsArtefact(bare, artefact.manifest)
    with pytest.raises(InputError, match="over the fused operators"):
        without.energies_and_slopes(shells, kernel="fused")
