"""Binding an artefact: units, lists, skin, molecules, and what is refused."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, load_artefact, write_artefact
from fisher_mlip.export.artefact import pairs_within_molecules
from fisher_mlip.export.manifest import read_manifest
from fisher_mlip.export.parity import (
    FORCE_TOLERANCE,
    artefact_forces,
    compare,
    probe_frames,
    require_parity,
)
from fisher_mlip.export.torchscript import save_script
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.units import KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM

CELL = np.array([[7.0, 0.0, 0.0], [1.1, 6.4, 0.0], [-0.8, 0.9, 6.8]])


@pytest.fixture(scope="module")
def double(fitted_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_artefact(tmp_path_factory.mktemp("double"), fitted_checkpoint, "float64")


def energy_and_forces(
    module: torch.jit.ScriptModule, positions: FloatArray, cell: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """kJ/mol and kJ/mol/nm from positions in Å."""
    x = torch.tensor(positions * 0.1, requires_grad=True)
    energy = module(x) if cell is None else module(x, torch.tensor(cell * 0.1))
    (gradient,) = torch.autograd.grad(energy, x)
    return float(energy.detach()), -gradient.numpy()


def test_equals_the_eager_model(exported: Artefact, fitted_checkpoint: Checkpoint) -> None:
    import copy

    parity = compare(exported, copy.deepcopy(fitted_checkpoint), probe_frames([1, 6, 8]))
    require_parity(parity)
    assert parity.frames == 3


def test_sabotage_forces_a_millionth_off_are_refused(
    double: Artefact, fitted_checkpoint: Checkpoint
) -> None:
    import copy

    other = copy.deepcopy(fitted_checkpoint)
    other.network.readout.data *= 1.0 + 1e-6
    with pytest.raises(InputError, match="is not the eager one"):
        require_parity(compare(double, other, probe_frames([1, 6, 8])))


def test_the_repulsive_core_is_exported(
    exported: Artefact, fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    import copy

    one = ethanol_frames[0]
    squeezed = Frame(one.atomic_numbers, 0.7 * one.positions)
    require_parity(compare(exported, copy.deepcopy(fitted_checkpoint), [squeezed]))
    without = fitted_checkpoint.config.model.model_copy(update={"repulsion": False})
    config = fitted_checkpoint.config.model_copy(update={"model": without})
    coreless = Checkpoint(copy.deepcopy(fitted_checkpoint.network), config)
    coreless.network.repulsion = None
    with pytest.raises(InputError, match="is not the eager one"):
        require_parity(compare(exported, coreless, [squeezed]))


def test_a_cell_smaller_than_the_cutoff_is_served(
    double: Artefact, fitted_checkpoint: Checkpoint
) -> None:
    cell = np.array([[2.6, 0.0, 0.0], [0.3, 2.4, 0.0], [0.1, -0.2, 2.9]])
    positions = np.array([[0.1, 0.2, 0.3], [1.2, 1.1, 1.6]])
    frame = Frame(np.array([6, 1]), positions, cell, np.ones(3, dtype=bool))
    energy, forces = artefact_forces(double, frame)
    eager = evaluate(fitted_checkpoint.network, build_graph(frame, [1, 6, 8], 3.0))
    assert energy == pytest.approx(float(eager.energies[0]), abs=1e-10)
    np.testing.assert_allclose(forces, eager.forces.numpy(), atol=FORCE_TOLERANCE["float64"])


@pytest.mark.parametrize("periodic", [True, False])
def test_the_skin_changes_nothing_along_a_walk(
    double: Artefact, fitted_checkpoint: Checkpoint, periodic: bool
) -> None:
    """Atoms wander by more than the skin; each step equals the eager model with a fresh list."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = 2.1 * grid + rng.uniform(-0.2, 0.2, (27, 3))
    numbers = rng.choice([1, 6, 8], 27)
    kept = double.bind(numbers, periodic=periodic, skin=0.4)
    for _ in range(25):
        positions = positions + rng.normal(0, 0.04, positions.shape)
        frame = Frame(numbers, positions, CELL, np.array([periodic] * 3))
        eager = evaluate(fitted_checkpoint.network, build_graph(frame, [1, 6, 8], 3.0))
        _, forces = energy_and_forces(kept, positions, CELL if periodic else None)
        expected = eager.forces.numpy() * KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM
        np.testing.assert_allclose(forces, expected, atol=1e-6)
    assert 2 <= kept.n_rebuilds < 25


def test_sabotage_a_list_that_is_never_rebuilt_misses_pairs(double: Artefact) -> None:
    numbers = np.array([8, 1, 6])
    start = np.array([[0.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 0.0, 5.0]])
    near = start - np.array([0.0, 0.0, 2.8]) * np.array([[0], [0], [1]])
    stale = double.bind(numbers, periodic=False, skin=0.4)
    energy_and_forces(stale, start)
    stale.skin = 100.0  # claims to hold every pair
    stale_energy, _ = energy_and_forces(stale, near)
    fresh_energy, _ = energy_and_forces(double.bind(numbers, periodic=False), near)
    assert abs(stale_energy - fresh_energy) > 1e-3


def test_a_changed_box_rebuilds_the_list(double: Artefact) -> None:
    positions = np.array([[0.1, 0.2, 0.3], [1.2, 1.1, 1.6]])
    module = double.bind(np.array([6, 1]), periodic=True)
    energy_and_forces(module, positions, CELL)
    energy_and_forces(module, positions, CELL)
    assert module.n_rebuilds == 1
    energy_and_forces(module, positions, 0.9 * CELL)
    assert module.n_rebuilds == 2


def test_independent_molecules_do_not_see_each_other(
    double: Artefact, ethanol_frames: Frames
) -> None:
    one = ethanol_frames[0]
    alone, forces_alone = energy_and_forces(
        double.bind(one.atomic_numbers, periodic=False), one.positions
    )
    positions = np.concatenate([one.positions, one.positions + 0.5, one.positions + 1e5])
    molecules = np.repeat([0, 1, 2], 9)
    numbers = np.tile(one.atomic_numbers, 3)
    module = double.bind(numbers, periodic=False, molecules=molecules)
    energy, forces = energy_and_forces(module, positions)
    assert energy == pytest.approx(3 * alone, abs=1e-5)
    np.testing.assert_allclose(forces[:18], np.tile(forces_alone, (2, 1)), atol=1e-8)
    # The same atoms without the partition interact: the first two molecules overlap.
    assert abs(energy_and_forces(double.bind(numbers, periodic=False), positions)[0] - energy) > 1


def test_pairs_within_molecules_in_any_order() -> None:
    receivers, senders = pairs_within_molecules(np.array([4, 2, 4, 2, 4]))
    pairs = set(zip(receivers.tolist(), senders.tolist(), strict=True))
    assert pairs == {(0, 2), (0, 4), (2, 0), (2, 4), (4, 0), (4, 2), (1, 3), (3, 1)}


def test_atomic_energies_sum_to_the_energy(double: Artefact, ethanol_frames: Frames) -> None:
    frame = ethanol_frames[0]
    module = double.bind(frame.atomic_numbers, periodic=False)
    x = torch.tensor(frame.positions * 0.1)
    per_atom = module.atomic_energies(x)
    assert per_atom.shape == (9,)
    assert float(per_atom.sum()) == pytest.approx(float(module(x)), abs=1e-10)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e13])
def test_positions_that_would_crash_a_list_give_nan(double: Artefact, bad: float) -> None:
    positions = np.array([[0.0, 0.0, bad], [1.0, 0.0, 0.0]])
    energy, forces = energy_and_forces(double.bind(np.array([6, 1]), periodic=False), positions)
    assert np.isnan(energy)
    assert np.isnan(forces).all()


def test_unknown_element_is_named(double: Artefact) -> None:
    with pytest.raises(InputError, match="knows the elements H, C, O, found also N"):
        double.bind(np.array([6, 7]), periodic=False)


def test_skin_must_be_positive(double: Artefact) -> None:
    with pytest.raises(InputError, match="skin larger than 0"):
        double.bind(np.array([6, 1]), periodic=False, skin=0.0)


def test_manifest_says_what_the_model_is(double: Artefact, fitted_checkpoint: Checkpoint) -> None:
    manifest = read_manifest(double.path.parent)
    assert manifest.elements == [1, 6, 8]
    assert manifest.receptive_field == 6.0
    assert manifest.reference_energies == fitted_checkpoint.config.reference_energies
    assert json.loads((double.path.parent / "manifest.json").read_text()) == json.loads(
        manifest.model_dump_json()
    )
    assert double.reference_energy(np.array([1, 1, 8])) == pytest.approx(-2 * 13.6 - 2042.0)


def test_truncated_model_is_refused(double: Artefact, tmp_path: Path) -> None:
    broken = tmp_path / "model.pt"
    broken.write_bytes(double.path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="no whole exported model"):
        load_artefact(broken)


def test_flipped_byte_is_refused(double: Artefact, tmp_path: Path) -> None:
    content = bytearray(double.path.read_bytes())
    with zipfile.ZipFile(double.path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    content[largest.header_offset + 500] ^= 0xFF
    broken = tmp_path / "model.pt"
    broken.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged|no whole"):
        load_artefact(broken)


def test_foreign_script_is_refused(tmp_path: Path) -> None:
    save_script(torch.nn.Linear(2, 2), tmp_path / "model.pt", {})
    with pytest.raises(InputError, match="was not written by 'fisher-mlip export'"):
        load_artefact(tmp_path)


def test_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected an exported model"):
        load_artefact(tmp_path / "nothing")
