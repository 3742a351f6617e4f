"""E0s: given, from a file, or fitted, and which of them was taken."""

from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.data import Frame, Frames, read_frames, write_frames
from fisher_mlip.data.reference_energies import (
    fit_reference_energies,
    parse_reference_energies,
    resolve_reference_energies,
)
from fisher_mlip.errors import InputError

TRUE_ENERGIES = {1: -13.5, 6: -1025.25, 8: -2035.5}


def frames_of(*compositions: list[int], noise: float = 0.0) -> Frames:
    generator = np.random.default_rng(0)
    frames = []
    for numbers in compositions:
        energy = sum(TRUE_ENERGIES[z] for z in numbers) + noise * generator.normal()
        positions = np.arange(3.0 * len(numbers)).reshape(-1, 3)
        frames.append(Frame(np.array(numbers), positions, energy=energy))
    return Frames(tuple(frames), source="made up")


def test_a_fit_over_compositions_that_determine_the_energies_finds_them() -> None:
    frames = frames_of([6, 1, 1, 1, 1], [8, 1, 1], [6, 8], [6, 8, 8], noise=0.01)
    fit = resolve_reference_energies(frames)
    assert fit.fitted
    assert fit.origin == "composition fit over 4 frames"
    for number, energy in TRUE_ENERGIES.items():
        assert fit.energies[number] == pytest.approx(energy, abs=0.05)


def test_a_fit_over_one_kind_of_molecule_says_that_only_the_sum_is_determined() -> None:
    fit = fit_reference_energies(frames_of([6, 8, 1], [6, 8, 1]))
    assert "rank 1 of 3: only sums of them are determined" in fit.origin
    assert sum(fit.energies.values()) == pytest.approx(sum(TRUE_ENERGIES.values()))


def test_given_energies_are_taken_before_a_fit() -> None:
    given = Frames(frames_of([8, 1, 1]).frames, {1: -1.0, 8: -2.0})
    taken = resolve_reference_energies(given)
    assert (taken.energies, taken.fitted) == ({1: -1.0, 8: -2.0}, False)
    assert "given" in taken.origin


def test_energies_for_some_elements_only_are_refused() -> None:
    with pytest.raises(InputError, match="every element in 'made up', found none for O"):
        resolve_reference_energies(Frames(frames_of([8, 1, 1]).frames, {1: -1.0}, "made up"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e0.yaml", "{C: -1025.2, H: -13, N: -1479.5}"),
        ("e0.json", '{"C": -1025.2, "1": -13.0, "N": -1479.5}'),
    ],
)
def test_a_file_of_energies(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    write_frames(tmp_path / "frames.xyz", frames_of([6, 1]))
    frames = read_frames(tmp_path / "frames.xyz", reference_energies=tmp_path / name)
    assert frames.reference_energies == {6: -1025.2, 1: -13.0, 7: -1479.5}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[1, 2]", "expected reference energies such as"),
        ("{Qq: 1.0}", "expected a chemical element in .*, found 'Qq'"),
        ("{H: low}", "expected an energy in eV for 'H' in .*, found 'low'"),
        ("{H: .nan}", "expected an energy in eV for 'H' in .*, found nan"),
        ("{H: [", "expected YAML in"),
    ],
)
def test_bad_files_of_energies_are_refused(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "e0.yaml").write_text(content)
    with pytest.raises(InputError, match=sentence):
        parse_reference_energies(tmp_path / "e0.yaml")


def test_frames_without_isolated_atoms_are_no_file_of_energies(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames.xyz", frames_of([6, 1]))
    with pytest.raises(InputError, match="frames of one atom with config_type=IsolatedAtom"):
        read_frames(tmp_path / "frames.xyz", reference_energies=tmp_path / "frames.xyz")
