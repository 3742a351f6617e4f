"""Models of known order, compared from the same starts; killed and gone on with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fisher_mlip.cli.app import app
from fisher_mlip.cli.info import describe
from fisher_mlip.compare import (
    compare_folders,
    compare_models,
    compare_runs,
    running,
    table_rows,
)
from fisher_mlip.compare.plan import plan_runs
from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.simulate import run_simulation
from tests.analysis.conftest import RunRecipe, write_run

from .conftest import gas_config

REPLICAS = 8


@pytest.fixture(scope="module")
def compared(
    artefact: Artefact, stiffer: Artefact, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "out"
    models = [artefact.path, stiffer.path]
    compare_models(
        models, gas_config(models[0]), folder, replicas=REPLICAS, labels=["soft", "stiff"]
    )
    return folder


def test_the_stiffer_model_fluctuates_more(compared: Path) -> None:
    summary = json.loads((compared / "summary.json").read_text())
    soft, stiff = summary["models"]
    assert soft["against_first"] is None
    difference = stiff["against_first"]["fluctuation"]
    assert difference["n_pairs"] == REPLICAS
    assert difference["median"] > 0.0
    assert difference["p_value"] == pytest.approx(2 / 2**REPLICAS)
    assert stiff["nve_energy_conservation"]["energy_drift_ratio"] >= 0.0
    survival = stiff["against_first"]["survival"]
    assert sum(survival[f"n_{name}"] for name in ("first", "other", "undecided")) == REPLICAS
    assert survival["n_other"] > survival["n_first"]
    # Lengths are those of the start: those of a few frames would follow what breaks.
    assert sum(stiff["is_broken"]) == REPLICAS
    page = (compared / "report.html").read_text()
    assert page.count("data:image/png") == 2


def test_replicas_start_alike(compared: Path) -> None:
    """The first rows hold the same kinetic energy; the models differ in the potential."""
    rows = [
        (compared / "runs" / label / "ledger.csv").read_text().splitlines()[1].split(",")
        for label in ("soft", "stiff")
    ]
    # Not to the digit: the first half step is the model's.
    assert float(rows[0][3]) == pytest.approx(float(rows[1][3]), rel=0.05)
    assert rows[0][2] != rows[1][2]


def test_a_killed_comparison_goes_on(
    artefact: Artefact, stiffer: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, folder = [artefact.path, stiffer.path], tmp_path / "out"
    config = gas_config(models[0], steps=10)
    real, made = run_simulation, []

    def killed_at_the_second(*arguments: object, **options: object) -> object:
        made.append(arguments[1])
        if len(made) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "run_simulation", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        compare_models(models, config, folder, replicas=2, labels=["a", "b"])
    assert not (folder / "report.html").exists()
    _, written = compare_models(models, config, folder, replicas=2, labels=["a", "b"])
    assert [path.name for path in made] == ["a", "b", "b"]  # type: ignore[attr-defined]
    assert folder / "report.html" in written
    with pytest.raises(InputError, match="temperature"):
        other = config.changed(temperature=200.0)
        compare_models(models, other, folder, replicas=2, labels=["a", "b"])
    with pytest.raises(InputError, match="another comparison"):
        compare_models(models, config, folder, replicas=2, labels=["a", "c"])


def test_runs_are_compared_as_they_are(compared: Path, tmp_path: Path) -> None:
    runs = [compared / "runs" / label for label in ("soft", "stiff")]
    arguments = ["compare", *map(str, runs), "-o", str(tmp_path / "again")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "Fluctuation minus soft" in " ".join(done.stdout.split())
    before, after = (
        json.loads((folder / "summary.json").read_text())["models"]
        for folder in (compared, tmp_path / "again")
    )
    assert before[1]["against_first"] == after[1]["against_first"]
    assert describe(tmp_path / "again")["models"] == ["soft", "stiff"]
    refused = CliRunner().invoke(app, [*arguments, "--steps", "5"])
    assert refused.exit_code == 2
    assert "--steps is of runs to be made" in refused.output


def test_other_starts_are_refused(compared: Path, artefact: Artefact, tmp_path: Path) -> None:
    soft = compared / "runs" / "soft"
    other = shutil.copytree(compared / "runs" / "stiff", tmp_path / "other") / "config.yaml"
    other.write_text(other.read_text().replace("\nseed: 0\n", "\nseed: 1\n"))
    with pytest.raises(InputError, match="expected runs that start alike, found seed 0 in"):
        compare_runs([[soft], [tmp_path / "other"]], ["a", "b"])
    with pytest.raises(InputError, match="expected models or run folders"):
        done = CliRunner().invoke(app, ["--debug", "compare", str(soft), str(artefact.path)])
        assert done.exception is not None
        raise done.exception
    with pytest.raises(InputError, match="is no comparison"):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine.txt").write_text("")
        compare_folders([soft, compared / "runs" / "stiff"], tmp_path / "full")


def test_moved_atoms_are_refused(compared: Path, tmp_path: Path) -> None:
    """Settings alone would not tell: the file of starting frames may have changed."""
    moved = shutil.copytree(compared / "runs" / "stiff", tmp_path / "moved")
    lines = (moved / "topology.pdb").read_text().splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith(("ATOM", "HETATM")))
    x = float(lines[row][30:38]) + 0.2
    lines[row] = f"{lines[row][:30]}{x:8.3f}{lines[row][38:]}"
    (moved / "topology.pdb").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="Å apart"):
        compare_runs([[compared / "runs" / "soft"], [moved]], ["a", "b"])


def test_a_box_has_a_run_a_replica(artefact: Artefact, tmp_path: Path) -> None:
    config = gas_config(artefact.path).changed(system="box.xyz", seed=7)
    plan = plan_runs([artefact.path, artefact.path], ["a", "b"], config, 2, tmp_path)
    assert [run.seed for run in plan[0].configs] == [run.seed for run in plan[1].configs] == [7, 8]
    assert plan[1].folders[1] == tmp_path / "runs" / "b" / "replica-001"
    with pytest.raises(InputError, match="two models or more"):
        plan_runs([artefact.path], ["a"], config, 2, tmp_path)


def write_replicas(folder: Path, slope: float, breaks: dict[int, dict[int, int]]) -> Path:
    """Four runs of two waters in a box, by replica the molecules that break and when."""
    for replica in range(4):
        broken = breaks.get(replica, {})
        recipe = RunRecipe(molecules=2, slope=slope, breaks=broken, seed=replica, noise=0.05)
        run = write_run(folder / f"replica-{replica:03d}", recipe)
        (run / "molecules.csv").unlink()
    return folder


def test_known_differences_of_runs_are_found(tmp_path: Path) -> None:
    calm = write_replicas(tmp_path / "calm", 1.0, {})
    heated = write_replicas(tmp_path / "heated", 3.0, {0: {1: 4}, 2: {0: 9, 1: 3}})
    found, _ = compare_folders([calm, heated], tmp_path / "report")
    against = found.against_first[1]
    assert against is not None
    assert against.drift is not None
    assert against.survival is not None
    assert against.drift.low <= 2.0 <= against.drift.high
    assert against.drift.high - against.drift.low < 0.2
    assert found.models[1].stable is not None
    np.testing.assert_allclose(found.models[1].stable.time_ps[[0, 2, 3]], [0.5, 0.4, 2.0])
    assert (against.survival.n_first, against.survival.n_other) == (0, 2)
    assert against.survival.p_value == 0.5


@pytest.mark.parametrize("content", [b"runs: {", b"runs: \xff"])
def test_a_damaged_record_is_told(tmp_path: Path, content: bytes) -> None:
    runs = [write_run(tmp_path / name, RunRecipe(molecules=2)) for name in ("a", "b")]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "compare.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"expected YAML in '.*compare\.yaml', found"):
        compare_folders(runs, tmp_path / "out")


def test_observables_are_compared_with_a_reference(tmp_path: Path) -> None:
    calm = write_replicas(tmp_path / "calm", 1.0, {})
    longer = write_replicas(tmp_path / "longer", 1.0, {k: {0: 0, 1: 0} for k in range(4)})
    for run in longer.iterdir():
        # Stretched in the trajectory, not at the start.
        shutil.copy(calm / run.name / "topology.pdb", run / "topology.pdb")
    found, _ = compare_folders([calm, longer], tmp_path / "report", reference=calm)
    rows = dict(table_rows(found))
    assert rows["Bond H-O to reference / Å"][0].startswith("0 ±")
    assert found.observables[1] is not None
    # One of two bonds of each molecule is 0.7 Å longer.
    bonds = found.observables[1].geometry.bonds["H-O"]
    assert bonds.value == pytest.approx(0.35, abs=0.01)
    gas = write_run(tmp_path / "gas", RunRecipe(molecules=2))
    reference = json.loads((gas / "reference.json").read_text())
    reference["symbols"][0] = "S"
    (gas / "reference.json").write_text(json.dumps(reference))
    with pytest.raises(InputError, match="of the same molecules"):
        compare_folders([calm, longer], tmp_path / "report", reference=gas)


def test_options_make_the_configuration_of_every_run(
    artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}

    def remember(models: object, config: object, output: Path, **options: object) -> object:
        seen.update(config=config, models=models, **options)
        raise InputError("seen")

    monkeypatch.setattr("fisher_mlip.compare.compare_models", remember)
    model = str(artefact.path)
    arguments = ["compare", model, model, "--frames", "warm.xyz", "--temperature", "400"]
    CliRunner().invoke(app, [*arguments, "--replicas", "5", "--trajectory-interval", "7"])
    config = seen["config"]
    assert isinstance(config, SimulateConfig)
    assert (config.temperature, config.start_frames, seen["replicas"]) == (400.0, "warm.xyz", 5)
    # Frames are dense where nothing else was asked for.
    assert (config.trajectory_interval, config.checkpoint_interval) == (7, 500)
    refused = CliRunner().invoke(app, [*arguments, "--molecules", "3"])
    assert "expected --replicas" in refused.output
