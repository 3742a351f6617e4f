"""The repulsive core: its values, its forces, its ends, and its place in the model."""

import math
from collections.abc import Callable
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.data import covalent_radii
from torch import Tensor

from fisher_mlip.data import read_frames
from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.export.torchscript import load_script, save_script
from fisher_mlip.model import build_graph, join_graphs, repulsion
from fisher_mlip.model.repulsion import ScreenedRepulsion
from fisher_mlip.testing import assert_forces_match_energy, ethanol, low_symmetry_molecule

ELEMENTS = [1, 6, 7, 8, 14]
CUTOFF = 3.0
PAIRS = list(combinations_with_replacement(range(len(ELEMENTS)), 2))
# Å, mean lengths of single bonds.
BONDS = {(1, 6): 1.09, (1, 8): 0.96, (6, 6): 1.53, (6, 8): 1.43}


@pytest.fixture
def core() -> ScreenedRepulsion:
    return ScreenedRepulsion(ELEMENTS, CUTOFF)


def dimer(core: ScreenedRepulsion, pair: tuple[int, int], distances: Tensor) -> Tensor:
    """Energies (n,) of two atoms, species `pair`, at each of the distances (n,) in Å."""
    n = len(distances)
    along_x = torch.nn.functional.pad(distances[:, None], (0, 2))
    first = torch.arange(n)
    atoms = core(
        torch.tensor(pair).repeat_interleave(n),
        torch.cat([along_x, -along_x]),
        torch.cat([first + n, first]),
        torch.cat([first, first + n]),
    )
    energies: Tensor = atoms[:n] + atoms[n:]
    return energies


def of_frame(core: ScreenedRepulsion, frame: Frame) -> tuple[float, FloatArray]:
    """Energy (eV) and forces (eV/Å) of the core alone."""
    graph = build_graph(frame, ELEMENTS, CUTOFF)
    x = graph.positions.requires_grad_(True)
    vectors = graph.edge_vectors(x, graph.cells)
    energy = core(graph.species, vectors, graph.senders, graph.receivers).sum()
    (gradient,) = torch.autograd.grad(energy, x)
    return float(energy.detach()), -gradient.numpy()


def published(z_i: int, z_j: int, r: float) -> float:
    """The universal potential with the rounded constants most of the literature prints."""
    a = 0.8854 * 0.529177 / (z_i**0.23 + z_j**0.23)
    terms = [(0.1818, 3.2), (0.5099, 0.9423), (0.2802, 0.4029), (0.02817, 0.2016)]
    screening = sum(c * math.exp(-d * r / a) for c, d in terms)
    return 27.211386 * 0.529177 * z_i * z_j / r * screening


def assert_universal(core: ScreenedRepulsion) -> None:
    for i, j in PAIRS:
        inner = repulsion.INNER_FRACTION * float(core.outer[i, j])
        for r in (0.02, 0.5 * inner, inner):
            found = float(dimer(core, (i, j), torch.tensor([r]).double())[0])
            assert found == pytest.approx(published(ELEMENTS[i], ELEMENTS[j], r), rel=1e-3)


def test_inside_it_is_the_universal_potential(core: ScreenedRepulsion) -> None:
    assert_universal(core)
    # Two silicon atoms half an Å apart, worked out by hand: a = 0.12766 Å, x = 3.9165,
    # phi = 0.012725 + 0.057834 + 0.012789 = 0.08335, 14.399645 * 196 / 0.5 * phi.
    silicon = float(dimer(core, (4, 4), torch.tensor([0.5]).double())[0])
    assert silicon == pytest.approx(470.5, abs=0.1)


def test_sabotage_charges_one_percent_off_are_caught(core: ScreenedRepulsion) -> None:
    core.strength *= 1.01
    with pytest.raises(AssertionError):
        assert_universal(core)


def squeezed(core: ScreenedRepulsion) -> Callable[[FloatArray], tuple[float, FloatArray]]:
    numbers, _ = low_symmetry_molecule()
    return lambda positions: of_frame(core, Frame(numbers, positions))


def test_forces_are_the_gradient(core: ScreenedRepulsion) -> None:
    positions = 0.6 * low_symmetry_molecule()[1]
    assert np.abs(squeezed(core)(positions)[1]).min() > 1e-3
    assert_forces_match_energy(squeezed(core), positions, step=1e-4, tolerance=1e-6)


def test_sabotage_forces_one_percent_off_are_caught(core: ScreenedRepulsion) -> None:
    def wrong(positions: FloatArray) -> tuple[float, FloatArray]:
        energy, forces = squeezed(core)(positions)
        return energy, 1.01 * forces

    with pytest.raises(AssertionError):
        positions = 0.6 * low_symmetry_molecule()[1]
        assert_forces_match_energy(wrong, positions, step=1e-4, tolerance=1e-6)


def assert_smooth_end(core: ScreenedRepulsion, end: float) -> None:
    """Zero from `end` (Å, of two carbon atoms) on, with four derivatives that vanish before it."""
    beyond = dimer(core, (1, 1), end * torch.tensor([1.0, 1.0 + 1e-9, 1.5]).double())
    assert beyond.tolist() == [0.0, 0.0, 0.0]
    r = torch.tensor([end * (1.0 - 1e-3)], dtype=torch.float64, requires_grad=True)
    value = dimer(core, (1, 1), r)
    for _ in range(5):
        assert abs(float(value.detach())) < 1e-100
        (value,) = torch.autograd.grad(value.sum(), r, create_graph=True)


def test_it_ends_smoothly_at_the_covalent_radii(core: ScreenedRepulsion) -> None:
    assert_smooth_end(core, 0.95 * 2 * covalent_radii[6])


def test_it_ends_smoothly_at_a_cutoff_below_them() -> None:
    assert_smooth_end(ScreenedRepulsion(ELEMENTS, 1.0), 1.0)


def test_sabotage_a_core_cut_off_is_caught(core: ScreenedRepulsion) -> None:
    with pytest.raises(AssertionError):
        assert_smooth_end(core, 1.0)


def test_sabotage_a_cosine_switch_is_caught(
    core: ScreenedRepulsion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cosine(u: Tensor) -> Tensor:
        return torch.where(u < 1.0, 0.5 * (1.0 + torch.cos(math.pi * u)), torch.zeros_like(u))

    monkeypatch.setattr(repulsion, "core_switch", cosine)
    with pytest.raises(AssertionError):
        assert_smooth_end(core, 0.95 * 2 * covalent_radii[6])


def assert_repulsive(core: ScreenedRepulsion) -> None:
    """Every pair is pushed apart, the harder the nearer."""
    for i, j in PAIRS:
        r = torch.linspace(0.02, 0.97, 400, dtype=torch.float64) * core.outer[i, j]
        r.requires_grad_(True)
        (slope,) = torch.autograd.grad(dimer(core, (i, j), r).sum(), r)
        assert float(slope.max()) < 0.0
        assert float(slope.diff().min()) > 0.0


def test_it_repels_everywhere_inside(core: ScreenedRepulsion) -> None:
    assert_repulsive(core)


def test_sabotage_a_sharper_switch_is_caught(
    core: ScreenedRepulsion, monkeypatch: pytest.MonkeyPatch
) -> None:
    gentle = repulsion.core_switch
    monkeypatch.setattr(repulsion, "core_switch", lambda u: gentle(u, 0.5))
    with pytest.raises(AssertionError):
        assert_repulsive(core)


def assert_strong(core: ScreenedRepulsion) -> None:
    for (z_i, z_j), length in BONDS.items():
        pair = (ELEMENTS.index(z_i), ELEMENTS.index(z_j))
        assert float(dimer(core, pair, torch.tensor([0.6 * length]).double())[0]) > 2.0


def test_it_is_strong_where_a_bond_is_crushed(core: ScreenedRepulsion) -> None:
    assert_strong(core)


def test_sabotage_a_core_that_ends_too_soon_is_caught() -> None:
    with pytest.raises(AssertionError):
        assert_strong(ScreenedRepulsion(ELEMENTS, 0.7))


def test_equilibrium_ethanol_does_not_feel_it(core: ScreenedRepulsion) -> None:
    numbers, positions = ethanol()
    assert of_frame(core, Frame(numbers, positions))[0] == 0.0
    assert of_frame(core, Frame(numbers, 0.8 * positions))[0] > 0.1


def largest_energy(core: ScreenedRepulsion, real_data: Path) -> float:
    frames = read_frames(real_data / "train.xyz")
    return max(of_frame(core, frame)[0] for frame in list(frames)[::4])


@pytest.mark.real_data
def test_reference_frames_hardly_feel_it(core: ScreenedRepulsion, real_data: Path) -> None:
    assert 0.0 < largest_energy(core, real_data) < 1e-4


@pytest.mark.real_data
def test_sabotage_a_core_as_long_as_the_bonds_is_felt(
    core: ScreenedRepulsion, real_data: Path
) -> None:
    core.outer *= 1.1 / repulsion.OUTER_FACTOR
    assert largest_energy(core, real_data) > 0.05


def test_two_molecules_have_the_sum(core: ScreenedRepulsion) -> None:
    numbers, positions = low_symmetry_molecule()
    frames = [Frame(numbers, 0.6 * positions), Frame(numbers, 0.7 * positions)]
    both = join_graphs([build_graph(frame, ELEMENTS, CUTOFF) for frame in frames])
    vectors = both.edge_vectors(both.positions, both.cells)
    atoms = core(both.species, vectors, both.senders, both.receivers)
    apart = [of_frame(core, frame)[0] for frame in frames]
    assert [float(atoms[:7].sum()), float(atoms[7:].sum())] == pytest.approx(apart, rel=1e-12)
    # In one box, over each other, they are more than their sum.
    overlapping = np.concatenate([frames[0].positions, frames[1].positions + 0.4])
    assert of_frame(core, Frame(np.tile(numbers, 2), overlapping))[0] > sum(apart) + 1.0


def test_both_atoms_of_a_pair_have_half(core: ScreenedRepulsion) -> None:
    vectors = torch.tensor([[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]], dtype=torch.float64)
    atoms = core(torch.tensor([1, 3]), vectors, torch.tensor([1, 0]), torch.tensor([0, 1]))
    assert float(atoms[0]) == float(atoms[1]) > 0.0


def assert_finite(core: ScreenedRepulsion, distance: float) -> None:
    """Energy, force and its derivative, which training needs, in float32."""
    r = torch.tensor([distance], dtype=torch.float32, requires_grad=True)
    value = dimer(core.to(torch.float32), (4, 4), r)
    assert value.dtype == torch.float64
    for _ in range(3):
        assert bool(torch.isfinite(value).all())
        (value,) = torch.autograd.grad(value.sum(), r, create_graph=True)


@pytest.mark.parametrize("distance", [1e-3, 0.5, 0.63, 2.1089, 2.109, 2.9999999])
def test_float32_is_finite(core: ScreenedRepulsion, distance: float) -> None:
    assert_finite(core, distance)


def test_atoms_in_one_place_have_no_finite_energy(core: ScreenedRepulsion) -> None:
    with pytest.raises(AssertionError):
        assert_finite(core, 0.0)


def test_a_script_computes_the_same(core: ScreenedRepulsion, tmp_path: Path) -> None:
    save_script(core, tmp_path / "core.pt", {})
    again = load_script(tmp_path / "core.pt")
    r = torch.linspace(0.05, 2.0, 50, dtype=torch.float64)
    assert torch.equal(dimer(core, (1, 3), r), dimer(again, (1, 3), r))  # type: ignore[arg-type]
