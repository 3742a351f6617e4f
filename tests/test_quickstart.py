"""The whole way at the smallest sizes, on the real engines, and that it goes on where it was."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fisher_mlip.config import read_config, write_yaml
from fisher_mlip.errors import InputError
from fisher_mlip.products import locked_folder, write_json
from fisher_mlip.quickstart import Quickstart, QuickstartConfig, run_quickstart
from fisher_mlip.quickstart.report import MINIATURE
from fisher_mlip.quickstart.stages import SETTINGS_NAME, simulate

TINY = QuickstartConfig(
    gas_frames=30,
    liquid_frames=5,
    liquid_molecules=16,
    training_seconds=4.0,
    molecules=2,
    steps=30,
    box_molecules=16,
    box_steps=4,
    device="cpu",
)


class Recorded:
    """Keeps the stages and the fractions that were shown."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.fractions: dict[str, list[float]] = {}

    def stage(self, title: str) -> None:
        self.stages.append(title.split(":", maxsplit=1)[0])

    @contextmanager
    def bar(self, label: str) -> Iterator[Callable[[float], None]]:
        yield self.fractions.setdefault(label, []).append


@pytest.mark.slow
def test_quickstart_from_nothing_to_report_and_again(tmp_path: Path) -> None:
    folder, shown = tmp_path / "quickstart", Recorded()
    written = run_quickstart(folder, TINY, shown)
    assert shown.stages == ["data", "train", "fisher", "export", "simulate", "analyze"]
    for fractions in shown.fractions.values():
        assert fractions == sorted(fractions)
        assert 0.5 < fractions[-1] <= 1.0 + 1e-9
    assert {"report.html", "summary.json"} < {path.name for path in written}
    assert all(path.stat().st_size > 0 for path in written)
    page = (folder / "report.html").read_text()
    assert MINIATURE in page
    assert "test frames, whose reference forces have a root mean square of" in page
    assert "The certificate" in page
    assert "jacobian asymmetry" in page
    assert json.loads((folder / "fisher-torchforce" / "certificate.json").read_text())["passed"]
    summary = json.loads((folder / "summary.json").read_text())
    head = summary["fisher"]
    gas = ["gas, base"] if head["kept_pretrained"] else ["gas, base", "gas, Fisher head"]
    assert [run["label"] for run in summary["runs"]] == [*gas, "liquid, Fisher head"]
    error = "held_out_force_rmse_meV_A"
    assert head["chosen"][error] <= head["base"][error]
    assert head["chosen"]["barrier_eV"] >= head["base"]["barrier_eV"]

    weights = (folder / "base" / "weights.safetensors").stat().st_mtime_ns
    again = Recorded()
    run_quickstart(folder, TINY, again)
    assert again.fractions == {}
    assert (folder / "base" / "weights.safetensors").stat().st_mtime_ns == weights
    with pytest.raises(InputError, match="quickstart with other settings"):
        run_quickstart(folder, TINY.changed(steps=40), again)


def test_what_is_smaller_than_by_default_is_a_miniature() -> None:
    assert TINY.is_miniature
    assert not QuickstartConfig(seed=3, device="cpu").is_miniature
    assert QuickstartConfig(steps=100).is_miniature


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_is_one_that_generators_take(seed: int) -> None:
    with pytest.raises(InputError, match="'seed' in options"):
        TINY.changed(seed=seed)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="is no quickstart"):
        run_quickstart(tmp_path, TINY, Recorded())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_solution_is_told(tmp_path: Path) -> None:
    write_json(tmp_path / "fisher" / "summary.json", {})
    with pytest.raises(InputError, match=r"expected a key 'kept_pretrained' in .*summary.json'"):
        simulate(Quickstart(tmp_path, TINY, Recorded()))


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_quickstart_that_is_running_is_left_alone(overwrite: bool, tmp_path: Path) -> None:
    write_yaml(tmp_path / SETTINGS_NAME, TINY.model_dump())
    with locked_folder(tmp_path), pytest.raises(InputError, match="another process is running"):
        run_quickstart(tmp_path, TINY, Recorded(), overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == [SETTINGS_NAME]


def test_overwriting_starts_anew(tmp_path: Path) -> None:
    class StageReachedError(Exception):
        """Ends a quickstart at its first stage."""

    class Stopped(Recorded):
        def stage(self, title: str) -> None:
            raise StageReachedError

    write_yaml(tmp_path / SETTINGS_NAME, TINY.changed(steps=40).model_dump())
    write_json(tmp_path / "data" / "summary.json", {})
    with pytest.raises(StageReachedError):
        run_quickstart(tmp_path, TINY, Stopped(), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [SETTINGS_NAME]
    assert read_config(tmp_path / SETTINGS_NAME, QuickstartConfig) == TINY
