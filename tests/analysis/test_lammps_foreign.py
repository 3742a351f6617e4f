"""Any LAMMPS run: what was simulated is read from its log and its dump, or refused."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.geometry import find_mic

from fisher_mlip.analysis import analyze_runs, lammps_commands, read_run
from fisher_mlip.analysis.trajectory import distances, iterate_chunks
from fisher_mlip.errors import InputError

from .lammps_runs import (
    TILTED,
    TIMESTEP,
    Recipe,
    dumped,
    edit,
    frames_of,
    own_run,
    rows_of,
    run_lmp,
    user_run,
)

MODIFY = "dump_modify w sort id element O H\n"
MASS_LINE = "ITEM: ATOMS id type element xu yu zu"


ARGON = """units metal
lattice fcc 5.4
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
mass 1 39.948
pair_style lj/cut 8.0
pair_coeff * * 0.0104 3.405
velocity all create 60 1
fix 1 all nve
thermo 5
"""


def check_lengths(folder: Path, recipe: Recipe) -> None:
    """Assert that bonds across the tilted boundary have the lengths of their minimum images."""
    run = read_run(folder)
    assert len(run.reference.bonds) == run.reference.n_molecules == 27
    frames = dumped(folder / "run.lammpstrj")
    for times, chunk in iterate_chunks(run):
        found = distances(chunk, run.reference.bonds)
        for time, row in zip(times, found, strict=True):
            frame = frames[round(1000.0 * time / TIMESTEP)]
            vectors = frame[1::2] - frame[::2]
            lengths = find_mic(vectors, recipe.cell(), True)[1]
            np.testing.assert_allclose(row, lengths, atol=1e-4)
            assert (np.linalg.norm(vectors, axis=1) > 2.0).any()


def test_bonds_cross_a_tilted_boundary(made: Path, tmp_path: Path) -> None:
    # Wrapped atom by atom, which parts the molecules at the boundary.
    lines = ["dump w all custom 20 run.lammpstrj id type element x y z\n"]
    wrapped = user_run(tmp_path / "wrapped", TILTED, extra="undump d\n" + "".join(lines) + MODIFY)
    check_lengths(wrapped, TILTED)
    edit(wrapped / "run.lammpstrj", " 2.0000000000000000e+00\n", " 5.0000000000000000e+00\n")
    with pytest.raises(AssertionError):
        check_lengths(wrapped, TILTED)
    with pytest.raises(AssertionError):
        check_lengths(wrapped, Recipe(shift=-0.5))


def check_same(metal: Path, real: Path) -> None:
    """Assert that two folders tell of the same run, in our units."""
    first, second = read_run(metal), read_run(real)
    # LAMMPS' own constants of the two sets of units differ in the seventh digit.
    for name in ("time_ps", "potential", "kinetic", "total", "temperature"):
        ours, theirs = getattr(first.ledger, name)[:40], getattr(second.ledger, name)[:40]
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-9)
    assert first.settings == second.settings
    assert first.settings["timestep"] == pytest.approx(TIMESTEP)
    assert first.settings["ensemble"] == "nve"
    assert first.settings["temperature"] == 300.0
    assert (first.settings["report_interval"], first.settings["trajectory_interval"]) == (10, 20)
    np.testing.assert_allclose(frames_of(first)[0], frames_of(second)[0])
    np.testing.assert_array_equal(first.reference.bonds, second.reference.bonds)
    reports = analyze_runs([metal, real]).runs
    slopes = [report.drift.slope.value for report in reports]
    spreads = [report.drift.kinetic_std for report in reports]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.05)
    assert slopes[0] == pytest.approx(slopes[1], abs=0.2)


def test_metal_and_real_give_the_same_numbers(made: Path) -> None:
    check_same(made / "metal", made / "real")


@pytest.mark.parametrize("table", ["_PER_EV", "_PER_FS"])
def test_a_dropped_conversion_is_found(
    made: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    units = getattr(lammps_commands, table)
    monkeypatch.setattr(lammps_commands, table, units | {"real": units["metal"]})
    with pytest.raises(AssertionError):
        check_same(made / "metal", made / "real")


def test_the_drift_is_that_of_a_line_through_the_log(made: Path) -> None:
    rows = rows_of(made / "metal" / "log.lammps")
    slope = np.polyfit(rows[:, 1], rows[:, 5], 1)[0] * 1000.0 / 54
    found = analyze_runs([made / "metal"]).runs[0]
    assert found.drift.slope.value == pytest.approx(slope, rel=1e-6)
    assert found.status == "no break seen"
    assert found.stability is not None
    assert found.stability.n_watched == 27


def test_of_several_runs_the_last_that_go_on_are_read(tmp_path: Path) -> None:
    steps = (
        "unfix move\nfix bath all nvt temp 250 250 0.1\nminimize 0 1e-3 20 20\nrun 200\n"
        "unfix bath\nfix move all nve\nrun 200\n"
        "run 300 every 100 \"print 'Step by step'\"\n"
    )
    folder = user_run(tmp_path / "several", Recipe(), steps)
    run = read_run(folder)
    assert run.settings["ensemble"] == "nve"
    (note,) = run.notes
    assert "runs 2 to 5 are analyzed" in note
    begin = int(note.rpartition(" from step ")[2].split(";")[0])
    assert run.ledger.time_ps[0] == 0.0
    assert run.duration_ps == pytest.approx(500 * TIMESTEP / 1000.0)
    steps_read, _ = frames_of(run)
    assert len(steps_read) == 25
    assert (steps_read + begin) % 20 == pytest.approx(0.0, abs=1e-6)
    # With another energy the second does not go on with the first.
    script = steps.replace("nve\nrun 200\n", "nve\nrun 200\nvelocity all scale 500\n")
    other = read_run(user_run(tmp_path / "scaled", Recipe(), script))
    assert "runs 3 to 5 are analyzed" in other.notes[0]
    bath = read_run(user_run(tmp_path / "bath", Recipe(), steps.split("unfix bath", maxsplit=1)[0]))
    assert (bath.settings["ensemble"], bath.settings["temperature"]) == ("nvt", 250.0)


def test_a_run_of_no_steps_before_the_fixes_is_left_out(user: Path) -> None:
    text = (user / "log.lammps").read_text()
    begin, header = text.index("fix move all nve"), text.index("   Step ")
    rows = text[header:].splitlines(keepends=True)[:2]
    setup = "run 0\n" + "".join(rows) + "Loop time of 0 on 1 procs for 0 steps with 54 atoms\n"
    (user / "log.lammps").write_text(text[:begin] + setup + text[begin:])
    run = read_run(user)
    assert "run 2 is analyzed" in run.notes[0]
    assert len(run.ledger.total) == 101


def test_a_run_whose_energy_is_lost_is_unstable_from_there_on(user: Path) -> None:
    lines = (user / "log.lammps").read_text().splitlines(keepends=True)
    row = next(k for k, line in enumerate(lines) if line.split()[:1] == ["500"])
    words = lines[row].split()
    for k, value in ((3, "-nan"), (4, "inf"), (5, "nan")):
        words[k] = value
    lines[row] = " ".join(words) + "\n"
    (user / "log.lammps").write_text("".join(lines))
    found = analyze_runs([user]).runs[0]
    assert found.run.ledger.first_nonfinite_ps == pytest.approx(500 * TIMESTEP / 1000.0)
    assert len(found.run.ledger.total) == 50
    assert found.status == "unstable"


def test_without_a_dump_only_energies_are_told(user: Path) -> None:
    whole = analyze_runs([user]).runs[0]
    (user / "run.lammpstrj").unlink()
    found = analyze_runs([user]).runs[0]
    assert found.status == "unchecked"
    assert found.drift.slope.value == whole.drift.slope.value
    assert found.run.reference.n_atoms == 54
    assert "without a dump" in found.notes[0]
    assert "there is no dump" in found.verdict


def test_without_a_box_there_is_no_density_and_no_image(tmp_path: Path) -> None:
    slab = read_run(user_run(tmp_path / "slab", Recipe(boundary="p p s", shift=-0.5)))
    free = read_run(user_run(tmp_path / "free", Recipe(boundary="s s s")))
    whole = read_run(user_run(tmp_path / "whole", Recipe()))
    assert whole.ledger.density is not None
    assert slab.ledger.density is free.ledger.density is None
    boxes = [next(iterate_chunks(run))[1].unitcell_lengths for run in (slab, free, whole)]
    assert boxes[1] is None
    np.testing.assert_allclose(boxes[0][0, :2], 1.5)
    assert boxes[0][0, 2] > 10.0
    np.testing.assert_allclose(boxes[2], 1.5)
    assert len(slab.reference.bonds) == len(free.reference.bonds) == 27
    own = own_run(tmp_path / "own", Recipe(boundary="s s s"), killed_at=2000)
    run = read_run(own)
    assert run.ledger.density is None
    assert next(iterate_chunks(run))[1].unitcell_lengths is None


def test_a_run_that_loses_its_atoms_is_unstable(tmp_path: Path) -> None:
    folder = user_run(tmp_path / "lost", Recipe(boundary="f f f"), "thermo 1\nrun 1000\n")
    assert "ERROR" in (folder / "log.lammps").read_text()
    found = analyze_runs([folder]).runs[0]
    assert found.status == "unstable"
    assert "LAMMPS ended after" in found.verdict
    assert "missing" in found.verdict
    log = folder / "log.lammps"
    text = log.read_text()
    for message, is_unstable in (("Lost atoms: original 54 current 53", True), ("No disk", False)):
        log.write_text(re.sub("ERROR.*", f"ERROR: {message} (src/a.cpp:1)", text))
        again = analyze_runs([folder]).runs[0]
        assert (again.status == "unstable") is is_unstable
        assert f"'{message}'" in (again.verdict if is_unstable else again.notes[-1])


def test_energies_by_atom_are_those_of_the_system(tmp_path: Path, made: Path) -> None:
    folder = user_run(tmp_path / "norm", Recipe(), extra="thermo_modify norm yes\n")
    total, expected = read_run(folder).ledger.total, read_run(made / "metal").ledger.total
    np.testing.assert_allclose(total, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("log.lammps", "units metal", "units lj", "'units metal' or 'units real'.*'units lj'"),
        ("log.lammps", "units metal", "", "found 'units lj'"),
        ("log.lammps", "PotEng", "E_pair", "thermo_style custom step time temp pe ke etotal"),
        ("log.lammps", "fix move all nve", "", "fix nve, nvt, npt, langevin .* found none"),
        ("log.lammps", "fix move", "fix dt all dt/reset 1 1 1 1\nfix move", "fixed timestep"),
        ("log.lammps", "Step ", "Stop ", "thermo columns Step, .* found Stop, Time"),
        ("log.lammps", "with 54 atoms", "with 55 atoms", "the 55 atoms of .* found 54"),
        ("run.lammpstrj", MASS_LINE, "ITEM: ATOMS id type q xu yu zu", "dump_modify ID element"),
        ("run.lammpstrj", MASS_LINE, "ITEM: ATOMS id type element xs ys zs", "x y z or xu yu zu"),
        ("run.lammpstrj", MASS_LINE, "ITEM: ATOMS mol type element xu yu zu", "columns id, type"),
        ("run.lammpstrj", "\n1 1 O", "\n1 1 Q", "chemical symbols .* 'dump_modify ID element C H"),
        ("run.lammpstrj", "\n1 1 O", "\n99 1 O", "ids 1 to 54 .* found 2 to 99"),
        ("run.lammpstrj", "ITEM: TIMESTEP", "ITEM: UNITS\nmetal\nITEM: TIMESTEP", "ITEM: UNITS"),
        ("run.lammpstrj", "TIMESTEP\n40\n", "TIMESTEP\n10\n", "rising steps"),
    ],
)
def test_what_cannot_be_inferred_is_said_in_one_sentence(
    user: Path, file: str, old: str, new: str, words: str
) -> None:
    read_run(user)
    edit(user / file, old, new)
    with pytest.raises(InputError, match=words) as caught:
        read_run(user)
    assert "\n" not in str(caught.value)


def test_elements_come_from_names_or_masses(user: Path, tmp_path: Path) -> None:
    dump = user / "run.lammpstrj"
    whole = dump.read_text()
    symbols = read_run(user).reference.symbols
    text = whole.replace(MASS_LINE, MASS_LINE.replace("element", "mass"))
    dump.write_text(text.replace(" 1 O ", " 1 15.999 ").replace(" 2 H ", " 2 1.008 "))
    assert read_run(user).reference.symbols == symbols
    dump.write_text(text.replace(" 1 O ", " 1 17.2 ").replace(" 2 H ", " 2 1.008 "))
    with pytest.raises(InputError, match=r"masses of elements .* found 17\.2"):
        read_run(user)
    # Unnamed, both types are carbon to LAMMPS.
    dump.write_text(whole.replace(" 1 O ", " 1 C ").replace(" 2 H ", " 2 C "))
    edit(user / "log.lammps", "dump_modify d sort id element O H", "dump_modify d sort id")
    with pytest.raises(InputError, match=r"calls every atom of .* C"):
        read_run(user)


def test_a_metal_has_no_bonds(tmp_path: Path) -> None:
    bath = "fix 1 all langevin 60 60 0.1 5\nfix 2 all nve\n"
    columns = "thermo_style custom step temp pe ke etotal\n"
    dump = "dump d all custom 10 argon.dump id type mass x y z\n"
    script = f"{ARGON.replace('fix 1 all nve', bath)}{columns}{dump}run 100\n"
    run_lmp(tmp_path, script, "argon.log")
    found = analyze_runs([tmp_path]).runs[0]
    assert found.run.reference.symbols == ("Ar",) * 108
    assert found.run.reference.n_molecules == 108
    assert (found.run.config.ensemble, found.run.config.temperature) == ("nvt", 60.0)
    assert "no two nonmetals" in found.verdict


def test_a_folder_with_two_logs_or_none_is_refused(user: Path, tmp_path: Path) -> None:
    log = user / "log.lammps"
    log.rename(user / "first.log")
    assert len(read_run(user).ledger.total) == 101
    shutil.copy(user / "first.log", user / "log.second")
    with pytest.raises(InputError, match=r"expected one log .* found first\.log, log\.second"):
        read_run(user)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holding config\.yaml, or a LAMMPS log"):
        read_run(tmp_path / "empty")


def test_the_default_columns_of_lammps_are_enough(tmp_path: Path) -> None:
    """They have E_pair, E_mol and TotEng."""
    ledgers = []
    for name, style in (
        ("default", ""),
        ("custom", "thermo_style custom step temp pe ke etotal\n"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        run_lmp(folder, f"{ARGON}{style}thermo_modify format float %.12g\nrun 50\n")
        ledgers.append(read_run(folder).ledger)
    assert np.abs(ledgers[0].potential - ledgers[1].potential).max() < 1e-9
    assert np.abs(ledgers[0].kinetic - ledgers[1].kinetic).max() < 1e-9
    assert ledgers[0].kinetic.min() > 0.05


def test_what_a_print_says_is_no_command(tmp_path: Path) -> None:
    script = ARGON + 'print "units real"\nprint "timestep 5"\nrun 50\n'
    run_lmp(tmp_path, script)
    found = read_run(tmp_path)
    assert found.config.timestep == pytest.approx(1.0)
    assert found.duration_ps == pytest.approx(0.05)


def test_the_error_of_a_run_that_did_not_begin_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "log.lammps").write_text("LAMMPS (22 Jul 2025)\nERROR: Unknown keyword 'volume'\n")
    with pytest.raises(InputError, match="found the error: Unknown keyword 'volume'"):
        read_run(tmp_path)
