"""Reading and writing: exactness, labels under their names, E0s, MD17 archives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.data import Frame, Frames, read_frames, write_frames
from fisher_mlip.errors import InputError
from fisher_mlip.units import EV_PER_HARTREE

KCAL_PER_MOL_IN_EV = 4184.0 / 96485.33212331  # of the SI, apart from units.py


def awkward_frames() -> Frames:
    """Frames whose numbers have no short decimals, in every kind of box, with every label."""
    generator = np.random.default_rng(3)
    cell = 10 * np.eye(3) + generator.normal(size=(3, 3)) / 3
    stress = generator.normal(size=(3, 3)) / 7
    numbers = np.array([6, 1, 8], dtype=np.int64)

    def positions() -> np.ndarray:
        return generator.normal(size=(3, 3)) / 3

    frames = (
        Frame(numbers, positions(), energy=-1 / 3, forces=positions() * 1e-9, config_type="a b"),
        Frame(numbers, positions(), cell, np.array([True, True, False]), energy=1e5 / 7),
        Frame(
            numbers,
            positions(),
            cell,
            np.ones(3, dtype=bool),
            energy=-2 / 7,
            forces=positions() * 1e3,
            stress=(stress + stress.T) / 2,
            config_type="liquid_300K",
        ),
    )
    return Frames(frames, {1: -13.6 / 3, 6: -1025 / 3, 8: -2035 / 3})


def require_same(first: Frames, second: Frames) -> None:
    assert len(first) == len(second)
    assert first.reference_energies == second.reference_energies
    assert first.content_hash() == second.content_hash()
    for one, other in zip(first, second, strict=True):
        assert one.config_type == other.config_type
        assert (one.forces is None) == (other.forces is None)
        assert (one.stress is None) == (other.stress is None)


def test_written_frames_read_back_bit_for_bit(tmp_path: Path) -> None:
    frames = awkward_frames()
    write_frames(tmp_path / "frames.xyz", frames)
    require_same(frames, read_frames(tmp_path / "frames.xyz"))


def test_sabotage_one_last_bit_is_seen(tmp_path: Path) -> None:
    frames = awkward_frames()
    write_frames(tmp_path / "frames.xyz", frames)
    moved = frames[0].positions.copy()
    moved[0, 0] = np.nextafter(moved[0, 0], np.inf)
    altered = replace(frames[0], positions=moved)
    sabotaged = Frames((altered, *frames.frames[1:]), frames.reference_energies)
    with pytest.raises(AssertionError):
        require_same(sabotaged, read_frames(tmp_path / "frames.xyz"))


@pytest.mark.real_data
def test_real_frames_survive_a_round_trip(real_data: Path, tmp_path: Path) -> None:
    frames = read_frames(
        real_data / "train.xyz", reference_energies=real_data / "isolated_atoms.xyz"
    )
    assert len(frames) == 1000
    assert frames.reference_energies[6] == -1025.2770951782686
    write_frames(tmp_path / "copy.xyz", frames)
    require_same(frames, read_frames(tmp_path / "copy.xyz"))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "frames.xyz"
    write_frames(path, awkward_frames())
    before = path.read_text()
    numbers = np.array([6, 999], dtype=np.int64)  # there is no element 999
    with pytest.raises(IndexError):
        write_frames(path, Frames((Frame(numbers, np.zeros((2, 3))),)))
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["frames.xyz"]


def write_xyz(path: Path, comment: str, columns: str = "", row: str = "") -> Path:
    path.write_text(f"1\nProperties=species:S:1:pos:R:3{columns} {comment}\nH 0 0 0 {row}\n")
    return path


def test_prefixed_labels_win_and_virial_becomes_stress(tmp_path: Path) -> None:
    path = write_xyz(
        tmp_path / "a.xyz",
        'Lattice="2 0 0 0 3 0 0 0 4" pbc="T T T" REF_energy=-1.5 energy=7 '
        'REF_virial="24 0 12 0 48 0 12 0 72"',
        ":REF_forces:R:3:forces:R:3",
        "1 2 3 9 9 9",
    )
    frame = read_frames(path)[0]
    assert frame.energy == -1.5
    np.testing.assert_array_equal(frame.forces, [[1, 2, 3]])
    np.testing.assert_allclose(frame.stress, -np.array([[1, 0, 0.5], [0, 2, 0], [0.5, 0, 3]]))


def test_mixed_prefixes_are_refused(tmp_path: Path) -> None:
    path = write_xyz(tmp_path / "a.xyz", "REF_energy=-1.5", ":forces:R:3", "1 2 3")
    with pytest.raises(InputError, match=r"frame 0 .* no REF_forces: rename them"):
        read_frames(path)


def test_isolated_atoms_become_reference_energies(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(
        "1\nProperties=species:S:1:pos:R:3 energy=-13.5 config_type=IsolatedAtom\nH 0 0 0\n"
        "1\nProperties=species:S:1:pos:R:3 energy=-2035.5 config_type=isolated_atom\nO 0 0 0\n"
        "1\nProperties=species:S:1:pos:R:3 energy=-13.4\nH 0 0 0\n"
    )
    frames = read_frames(path)
    assert frames.reference_energies == {1: -13.5, 8: -2035.5}
    assert [frame.energy for frame in frames] == [-13.4]


def test_isolated_atoms_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    atom = "1\nProperties=species:S:1:pos:R:3 energy={} config_type=IsolatedAtom\nH 0 0 0\n"
    (tmp_path / "a.xyz").write_text(atom.format(-13.5) + atom.format(-13.6))
    with pytest.raises(InputError, match=r"one energy of the isolated atom Z=1"):
        read_frames(tmp_path / "a.xyz")


@pytest.mark.parametrize("names", [("nuclear_charges", "coords", "energies", "forces"), "zREF"])
def test_md17_archives_are_converted(tmp_path: Path, names: tuple[str, ...] | str) -> None:
    numbers, positions = np.array([8, 1, 1]), np.arange(18.0).reshape(2, 3, 3)
    values = (numbers, positions, np.array([[-100.0], [-200.0]]), positions + 1)
    np.savez(tmp_path / "a.npz", **dict(zip(names, values, strict=True)))
    frames = read_frames(tmp_path / "a.npz")
    assert len(frames) == 2
    assert frames[1].energy == pytest.approx(-200 * KCAL_PER_MOL_IN_EV, rel=1e-8)
    np.testing.assert_allclose(frames[1].forces, (positions[1] + 1) * KCAL_PER_MOL_IN_EV, rtol=1e-8)
    np.testing.assert_array_equal(frames[1].positions, positions[1])
    atomic = read_frames(tmp_path / "a.npz", npz_energy_unit="Hartree")
    assert atomic[0].energy == -100 * EV_PER_HARTREE


def test_an_archive_with_objects_is_refused_and_not_unpickled(tmp_path: Path) -> None:
    odd = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "a.npz", z=odd, R=odd, E=odd, F=odd)
    with pytest.raises(InputError, match=r"expected an MD17 \.npz"):
        read_frames(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"z": [1], "R": [[[0, 0, 0]]], "E": [1.0]}, "expected forces as 'forces' or 'F'"),
        ({"z": [1, 1], "R": [[[0, 0, 0]]], "E": [1.0], "F": [[[0, 0, 0]]]}, "positions of shape"),
        ({"z": [1], "R": [[[0, 0, 0]]], "E": [1.0, 2.0], "F": [[[0, 0, 0]]]}, "energies of shape"),
    ],
)
def test_archives_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, list[float]], sentence: str
) -> None:
    np.savez(tmp_path / "a.npz", **{key: np.array(value) for key, value in arrays.items()})
    with pytest.raises(InputError, match=sentence):
        read_frames(tmp_path / "a.npz")


@pytest.mark.parametrize("content", ["", "what is this\n", "3\n\nH 0 0 0\n", "1\n\nQq 0 0 0\n"])
def test_files_that_are_no_frames_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.xyz").write_text(content)
    with pytest.raises(InputError, match=r"expected (extended XYZ|at least one frame)"):
        read_frames(tmp_path / "a.xyz")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a file of frames '.*nowhere\.xyz', found none"):
        read_frames(tmp_path / "nowhere.xyz")
