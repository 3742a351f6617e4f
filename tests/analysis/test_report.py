"""From run folders to the numbers and pages that people read."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fisher_mlip.analysis import (
    AnalysisConfig,
    Section,
    analyze_runs,
    fill_report,
    write_report,
)
from fisher_mlip.analysis.comparison import comparison_rows
from fisher_mlip.analysis.plots import plot_energy_drift
from fisher_mlip.analysis.style import linestyle_of
from fisher_mlip.errors import InputError

MakeRun = Callable[..., Path]
PNGS = {
    "energy_drift.png",
    "molecule_energy.png",
    "molecule_spread.png",
    "survival.png",
    "temperature.png",
}


class Page(HTMLParser):
    """Collects text, and refuses anything a page would fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "iframe"}
        source = dict(attrs).get("src")
        if source is not None:
            assert source.startswith("data:image/png;base64,")
            self.images += 1

    def handle_data(self, data: str) -> None:
        self.text += data


def read_page(folder: Path) -> Page:
    page = Page()
    page.feed((folder / "report.html").read_text())
    return page


def summary_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return content


def check_slope(run: dict[str, Any], expected: float) -> None:
    for suffix in ("", "_after_discard"):
        low, high = run[f"drift_ci95_meV_per_atom_per_ps{suffix}"]
        assert low <= expected <= high
    assert run["molecule_drift_median_meV_per_atom_per_ps"] == pytest.approx(expected, abs=0.1)


def test_slope_that_was_put_in_comes_out(make_run: MakeRun, tmp_path: Path) -> None:
    paths = [make_run("calm"), make_run("heated", slope=3.0)]
    report = analyze_runs(paths)
    write_report(report, tmp_path / "report")
    calm, heated = summary_of(tmp_path / "report")["runs"]
    check_slope(calm, 0.0)
    check_slope(heated, 3.0)
    with pytest.raises(AssertionError):
        check_slope(heated, 0.0)
    assert calm["status"] == "no break seen"
    assert heated["status"] == "drifting"
    assert heated["drift_over_std_kinetic"] == pytest.approx(6.0, rel=0.2)
    assert calm["kinetic_energy_std_meV_per_atom"] == pytest.approx(1.0, rel=0.2)
    assert calm["total_energy_std_meV_per_atom"] == pytest.approx(0.2, rel=0.2)


def heat(folder: Path, factor: float) -> None:
    """Let the temperature of a run's ledger rise to so many times its start."""
    path = folder / "ledger.csv"
    header, *lines = path.read_text().splitlines()
    place = next(k for k, name in enumerate(header.split(",")) if "Temperature (K)" in name)
    rows = [line.split(",") for line in lines]
    for row, times in zip(rows, np.linspace(1.0, factor, len(rows)), strict=True):
        row[place] = str(float(row[place]) * times)
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")


@pytest.mark.parametrize(("factor", "is_heated"), [(2.6, True), (1.4, False)])
def test_a_run_that_heats_is_told_so(make_run: MakeRun, factor: float, is_heated: bool) -> None:
    path = make_run("hot")
    heat(path, factor)
    found = analyze_runs([path]).runs[0]
    assert (found.status == "heated") == is_heated
    assert ("the temperature rose from 30" in found.verdict) == is_heated


def test_report_holds_pictures_verdicts_and_numbers(make_run: MakeRun, tmp_path: Path) -> None:
    paths = [make_run("base", breaks={0: 3, 1: 8}, spread={0: 2.0}), make_run("head")]
    report = analyze_runs(paths, labels=["base model", "<head>"])
    written = write_report(report, tmp_path / "report")
    assert {path.name for path in written} == PNGS | {"report.html", "summary.json"}
    assert all(path.is_file() for path in written)
    page = read_page(tmp_path / "report")
    assert page.images == len(PNGS)
    assert "unstable: 2 of 8 molecules broke a bond (2 × H-O), the first at 0.4 ps" in page.text
    calm = "no break seen: no bond broke in 2 ps × 8 molecules; too short to call it stable; drift"
    assert calm in page.text
    assert "<head>" in page.text
    base, head = summary_of(tmp_path / "report")["runs"]
    assert base["molecules_broken"] == 2
    assert base["first_broken_bonds"] == {"H-O": 2}
    assert base["molecules_above_threshold"] == 1
    assert base["molecules_above_threshold_fraction"] == pytest.approx(1 / 8)
    assert head["median_stable_time_ps"] is None
    assert head["survival_at_end"] == 1.0
    assert head["model_sha256"] == "0" * 64


def test_same_runs_give_the_same_bytes(make_run: MakeRun, tmp_path: Path) -> None:
    report = analyze_runs([make_run(slope=1.0)])
    first, second = (write_report(report, tmp_path / name) for name in ("one", "two"))
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name


def test_equipartition_is_judged_by_element(make_run: MakeRun, tmp_path: Path) -> None:
    report = analyze_runs([make_run(hot={"H": 1.2})])
    ratios = report.runs[0].temperatures.ratios
    assert ratios["H"].value == pytest.approx(1.2, abs=0.01)
    rows = dict(comparison_rows(report))
    assert "Temperature without first 10 % / K" in rows
    assert "Equipartition without first 10 %, T(element) / T" in rows
    assert abs(ratios["O"].value - 1.0) < 2.0 * ratios["O"].half_width < 0.02
    assert report.runs[0].temperatures.mean.value == pytest.approx(300.0, abs=2.0)


def test_nan_in_the_ledger_is_reported_as_unstable(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(breaks={0: 9})
    for name in ("ledger.csv", "molecules.csv"):
        lines = (folder / name).read_text().splitlines()
        for row in range(102, len(lines)):
            cells = lines[row].split(",")
            lines[row] = ",".join(cells[:2] + ["nan"] * (len(cells) - 2))
        (folder / name).write_text("\n".join(lines) + "\n")
    report = analyze_runs([folder])
    write_report(report, tmp_path / "report")
    text = read_page(tmp_path / "report").text
    assert "unstable: the energy ceased to be finite at 1.01 ps" in text
    run = summary_of(tmp_path / "report")["runs"][0]
    assert run["first_nonfinite_ps"] == pytest.approx(1.01)
    assert run["molecules_above_threshold"] == 8


def test_nan_from_the_first_row_on_is_still_a_report(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run()
    lines = (folder / "ledger.csv").read_text().splitlines()
    for row in range(1, len(lines)):
        cells = lines[row].split(",")
        lines[row] = ",".join(cells[:2] + ["nan"] * (len(cells) - 2))
    (folder / "ledger.csv").write_text("\n".join(lines) + "\n")
    write_report(analyze_runs([folder]), tmp_path / "report")
    assert summary_of(tmp_path / "report")["runs"][0]["status"] == "unstable"


def test_a_thermostatted_run_is_not_judged_by_its_drift(make_run: MakeRun, tmp_path: Path) -> None:
    report = analyze_runs([make_run(slope=5.0, ensemble="nvt"), make_run("calm")])
    found = report.runs[0]
    assert found.status == "no break seen"
    assert "drift is not judged" in found.verdict
    assert any("does not conserve energy" in limit for limit in found.limits)
    for name, (thermostatted, conserved) in comparison_rows(report):
        if "rift" in name and "molecule" not in name:
            assert thermostatted == "–"
            assert conserved != "–"
    plot = plot_energy_drift(report, tmp_path)
    assert plot is not None
    assert "Thermostatted runs" in plot.caption
    alone = analyze_runs([make_run("alone", ensemble="nvt")])
    assert plot_energy_drift(alone, tmp_path) is None


def check_called_stable(run: Path) -> None:
    assert analyze_runs([run]).runs[0].status == "stable"


def test_a_run_is_called_stable_when_it_is_long_enough(make_run: MakeRun) -> None:
    """40 molecules x 10 ps without a break: a mean life above 100 ps, at 95 %."""
    recipe = {"molecules": 40, "frames": 100, "rows": 101}
    check_called_stable(make_run("long", **recipe))
    for name, value in (("molecules", 20), ("frames", 90)):
        with pytest.raises(AssertionError):
            check_called_stable(make_run(name, **(recipe | {name: value})))
    broken = analyze_runs([make_run("broken", **recipe, breaks={3: 7})])
    assert broken.runs[0].status == "unstable"


def test_without_a_trajectory_stability_is_unchecked(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run()
    (folder / "trajectory.dcd").unlink()
    (folder / "molecules.csv").unlink()
    report = analyze_runs([folder])
    assert report.runs[0].status == "unchecked"
    assert "since the trajectory holds no whole frame" in report.runs[0].verdict
    written = write_report(report, tmp_path / "report")
    assert {path.name for path in written if path.suffix == ".png"} == {
        "energy_drift.png",
        "temperature.png",
    }


def test_without_bonds_it_is_said_why_stability_is_unchecked(make_run: MakeRun) -> None:
    folder = make_run()
    content = json.loads((folder / "reference.json").read_text())
    (folder / "reference.json").write_text(json.dumps(content | {"bonds": []}))
    found = analyze_runs([folder]).runs[0]
    assert found.status == "unchecked"
    assert "no bonds watched in 2 ps, since reference.json names none" in found.verdict
    assert "there is no survival curve" in found.limits[0]


def test_a_banner_stands_above_everything(make_run: MakeRun, tmp_path: Path) -> None:
    for banner in ("a miniature", ""):
        fill_report(analyze_runs([make_run(banner or "run")]), tmp_path, banner=banner)
        source = (tmp_path / "report.html").read_text()
        assert ('class="banner"' in source) is bool(banner)
        if banner:
            assert source.index("a miniature") < source.index("<h2>")


def test_curves_that_coincide_are_told_apart() -> None:
    styles = [linestyle_of(index) for index in range(4)]
    assert len(set(styles)) == 4
    assert [style[1] is None for style in styles] == [True, False, False, False]


def test_different_systems_are_allowed_and_said(make_run: MakeRun) -> None:
    report = analyze_runs([make_run("a"), make_run("b", molecules=5, temperature=500.0)])
    assert "b is another system than a (15 and 24 atoms)" in report.notes[0]
    assert "differ in temperature" in report.notes[1]


def test_labels_must_fit(make_run: MakeRun) -> None:
    paths = [make_run("x/run"), make_run("y/run")]
    assert [found.run.label for found in analyze_runs(paths).runs] == ["x/run", "y/run"]
    for labels in (["one"], ["one", "one"], ["one", ""]):
        with pytest.raises(InputError, match="expected 2 different labels"):
            analyze_runs(paths, labels=labels)
    with pytest.raises(InputError, match="given twice"):
        analyze_runs([paths[0], paths[0]])


def test_sections_come_first_and_are_escaped(make_run: MakeRun, tmp_path: Path) -> None:
    picture = tmp_path / "loss.png"
    Image.new("RGB", (4, 4), "white").save(picture)
    section = Section("Training", "a < b\n\nsecond", [["what", "MAE"], ["forces", 12.5]], [picture])
    folder = tmp_path / "report"
    write_report(
        analyze_runs([make_run()]), folder, sections=[section], extra_summary={"quickstart": 1}
    )
    source = (folder / "report.html").read_text()
    assert "<p>a &lt; b</p>" in source
    assert re.search(r"<td>forces</td><td>12.5</td>", source)
    assert source.index("<h2>Training") < source.index("<h2>Verdict")
    assert (folder / "section1_loss.png").read_bytes() == picture.read_bytes()
    assert summary_of(folder)["quickstart"] == 1


def test_only_a_report_is_overwritten(make_run: MakeRun, tmp_path: Path) -> None:
    report = analyze_runs([make_run()])
    folder = tmp_path / "report"
    write_report(report, folder)
    with pytest.raises(InputError, match="--overwrite"):
        write_report(report, folder)
    write_report(report, folder, overwrite=True)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="expected a report to overwrite"):
        write_report(report, precious, overwrite=True)
    for place in (report.runs[0].run.path, tmp_path):
        with pytest.raises(InputError, match="without runs"):
            write_report(report, place, overwrite=True)
    assert (precious / "thesis.tex").is_file()


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_options_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="discard_fraction"):
        AnalysisConfig().changed(discard_fraction=value)
