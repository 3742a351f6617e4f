"""Run folders, whole and not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from fisher_mlip.analysis import analyze_runs, read_run, write_report
from fisher_mlip.errors import InputError
from fisher_mlip.units import KJ_PER_MOL_PER_EV

MakeRun = Callable[..., Path]


def test_energies_are_in_electronvolt_and_names_are_read(make_run: MakeRun) -> None:
    run = read_run(make_run(molecules=4))
    assert run.label == "run"
    assert run.duration_ps == pytest.approx(2.0)
    assert run.reference.symbols[:3] == ("O", "H", "H")
    np.testing.assert_allclose(
        run.ledger.total, run.ledger.potential + run.ledger.kinetic, rtol=1e-12
    )
    assert run.molecules is not None
    np.testing.assert_allclose(run.molecules.energy.sum(axis=1), run.ledger.total, rtol=1e-12)
    assert set(run.ledger.element_temperatures) == {"H", "O"}
    raw = float((run.path / "ledger.csv").read_text().splitlines()[1].split(",")[4])
    assert run.ledger.total[0] == raw / KJ_PER_MOL_PER_EV
    assert run.notes == ()


def test_a_run_still_being_written_is_read_and_said_so(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "summary.json").unlink()
    ledger = folder / "ledger.csv"
    ledger.write_bytes(ledger.read_bytes()[:-30])
    run = read_run(folder)
    assert run.ledger.n_rows_read == 200
    text = " ".join(run.notes)
    assert "still being written or was cut off; read to step 1990" in text
    assert "ledger.csv ends in a torn line" in text
    assert "ends at step 1990 of 2000" in text


@pytest.mark.parametrize(("steps", "is_noted"), [(2000, False), (2009, False), (2010, True)])
def test_a_last_row_within_an_interval_of_the_end_is_the_last(
    make_run: MakeRun, steps: int, is_noted: bool
) -> None:
    folder = make_run()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    changed = config | {"steps": steps, "report_interval": 10}
    (folder / "config.yaml").write_text(yaml.safe_dump(changed))
    notes = [f"the ledger ends at step 2000 of {steps}"] if is_noted else []
    assert list(read_run(folder).notes) == notes


def test_rows_from_the_first_nan_on_are_set_apart(make_run: MakeRun) -> None:
    folder = make_run()
    ledger = folder / "ledger.csv"
    lines = ledger.read_text().splitlines()
    cells = lines[101].split(",")
    lines[101] = ",".join(cells[:2] + ["nan"] * 3 + cells[5:])
    ledger.write_text("\n".join(lines) + "\n")
    run = read_run(folder)
    assert run.ledger.first_nonfinite_ps == pytest.approx(1.0)
    assert len(run.ledger.total) == 100
    assert run.ledger.n_rows_read == 201


def test_a_run_that_ended_itself_is_unstable_however_short(make_run: MakeRun) -> None:
    """`simulate` writes no row of an energy that is not finite: its summary tells the step."""
    folder = make_run(frames=1)
    (folder / "trajectory.dcd").unlink()
    (folder / "ledger.csv").write_text(
        "".join((folder / "ledger.csv").read_text().splitlines(keepends=True)[:2])
    )
    with pytest.raises(InputError, match="at least 3 rows"):
        read_run(folder)
    summary = {"status": "unstable", "first_nonfinite_step": 7}
    (folder / "summary.json").write_text(json.dumps(summary))
    report = analyze_runs([folder])
    assert report.runs[0].status == "unstable"
    assert "ceased to be finite at 0.007 ps" in report.runs[0].verdict
    paths = write_report(report, folder.parent / "report")
    assert (folder.parent / "report" / "report.html") in paths


@pytest.mark.parametrize("name", ["config.yaml", "reference.json", "ledger.csv"])
def test_a_missing_file_is_named(make_run: MakeRun, name: str) -> None:
    folder = make_run()
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"holding {name}"):
        read_run(folder)


def test_not_a_folder_and_too_few_rows(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a run folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"at least 3 rows .* found 2"):
        read_run(make_run(rows=2))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("bonds", None, "a key 'bonds'"),
        ("bonds", [[0, 99]], "indices for 24 atoms"),
        ("molecule_index", [0], "indices for 24 atoms"),
        ("molecule_index", ["a"], "integer indices"),
        ("molecule_index", [-1, *[m for m in range(8) for _ in range(3)][1:]], "molecules 0 to 7"),
        ("n_molecules", "eight", "integer indices"),
        ("symbols", 5, "a list of elements as 'symbols'"),
        ("symbols", [8, 1, 1] * 8, "a list of elements as 'symbols'"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(
    make_run: MakeRun, key: str, value: object, words: str
) -> None:
    folder = make_run()
    content = json.loads((folder / "reference.json").read_text())
    content.pop(key)
    if value is not None:
        content[key] = value
    (folder / "reference.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=words):
        read_run(folder)


def test_a_step_that_is_none_is_refused(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "summary.json").write_text(json.dumps({"first_nonfinite_step": "early"}))
    with pytest.raises(InputError, match=r"a step as 'first_nonfinite_step' in .* found 'early'"):
        read_run(folder)


@pytest.mark.parametrize("part", [0.0, 0.501, 0.51, 0.52])
def test_a_torn_topology_is_refused(make_run: MakeRun, part: float) -> None:
    folder = make_run()
    text = (folder / "topology.pdb").read_text()
    (folder / "topology.pdb").write_text(text[: int(part * len(text))])
    with pytest.raises(InputError, match=r"expected (a PDB file|24 atoms in) '.*', found"):
        analyze_runs([folder])


def test_molecule_energies_of_another_count_are_refused(make_run: MakeRun) -> None:
    folder, other = make_run(molecules=4), make_run("other", molecules=5)
    (folder / "molecules.csv").write_bytes((other / "molecules.csv").read_bytes())
    with pytest.raises(InputError, match=r"expected 4 molecules .* found 5"):
        read_run(folder)
