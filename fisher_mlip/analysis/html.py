"""`Report` -> report.html, its PNGs and summary.json in one folder."""

import base64
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fisher_mlip.analysis.comparison import comparison_rows
from fisher_mlip.analysis.methods import methods_of
from fisher_mlip.analysis.plots import write_plots
from fisher_mlip.analysis.report import Report, RunReport
from fisher_mlip.analysis.summary import summarize, versions
from fisher_mlip.errors import InputError
from fisher_mlip.products import SUMMARY_NAME, whole_folder, write_summary, write_text

REPORT_NAME = "report.html"


@dataclass(frozen=True)
class Section:
    """Something a caller puts in front of the analysis.

    Attributes:
        title: heading.
        text: plain text, escaped; blank lines part paragraphs.
        rows: a table, its first row the header; cells become text.
        pngs: pictures, inlined and copied beside the report.
    """

    title: str
    text: str = ""
    rows: Sequence[Sequence[object]] = field(default_factory=tuple)
    pngs: Sequence[Path] = field(default_factory=tuple)


def write_report(
    report: Report,
    folder: Path,
    *,
    sections: Sequence[Section] = (),
    title: str = "Stability report",
    extra_summary: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write a report folder, whole or not at all.

    Args:
        report: of `analyze_runs`.
        folder: to be made.
        sections: shown before the analysis.
        title: heading of the page.
        extra_summary: entries added to summary.json.
        overwrite: replace a report that is there.

    Returns:
        The files: report.html, summary.json, PNGs.

    Raises:
        InputError: the folder exists, or is anything but a report, or a picture is missing.
    """
    refuse_folder(folder, report, overwrite=overwrite)
    with whole_folder(folder, overwrite=overwrite) as partial:
        names = fill_report(
            report, partial, sections=sections, title=title, extra_summary=extra_summary
        )
    return [folder / name for name in names]


def fill_report(
    report: Report,
    folder: Path,
    *,
    sections: Sequence[Section] = (),
    title: str = "Stability report",
    banner: str = "",
    extra_summary: Mapping[str, Any] | None = None,
) -> list[str]:
    """Write a report's files into a folder that exists, each whole; return their names.

    Args:
        report: of `analyze_runs`.
        folder: exists.
        sections: shown before the analysis.
        title: heading of the page.
        banner: a warning below it; "" for none.
        extra_summary: entries added to summary.json.
    """
    plots = write_plots(report, folder)
    contexts = [_section_context(i, s, folder) for i, s in enumerate(sections, start=1)]
    page = (
        _environment()
        .get_template("report.html.jinja")
        .render(
            title=title,
            banner=banner,
            report=report,
            sections=contexts,
            plots=[(plot, inlined(plot.path)) for plot in plots],
            table=comparison_rows(report),
            methods=methods_of(report),
            versions=versions(),
            provenance={found.run.label: _provenance(found) for found in report.runs},
        )
    )
    write_text(folder / REPORT_NAME, page)
    write_summary(folder, summarize(report) | dict(extra_summary or {}))
    pictures = {path.name for path in folder.iterdir() if path.suffix == ".png"}
    return [REPORT_NAME, SUMMARY_NAME, *sorted(pictures)]


def refuse_folder(folder: Path, report: Report, *, overwrite: bool) -> None:
    """Refuse to replace a folder that holds anything but a report.

    Raises:
        InputError: the folder holds a run, or is full of something else.
    """
    for found in report.runs:
        if found.run.path.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"expected an output folder without runs, found '{folder}'")
    if overwrite and folder.exists() and not (folder / REPORT_NAME).is_file():
        if folder.is_dir() and not any(folder.iterdir()):
            return
        raise InputError(f"expected a report to overwrite at '{folder}', found something else")


def inlined(png: Path) -> str:
    """Return a PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png.read_bytes()).decode("ascii")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fisher_mlip.analysis", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment


def _section_context(number: int, section: Section, folder: Path) -> dict[str, object]:
    pictures = []
    for png in section.pngs:
        if not png.is_file():
            raise InputError(f"expected a picture '{png}', found none")
        shutil.copyfile(png, folder / f"section{number}_{png.name}")
        pictures.append((png.stem.replace("_", " "), inlined(png)))
    return {
        "title": section.title,
        "paragraphs": [part for part in section.text.split("\n\n") if part.strip()],
        "rows": [[str(cell) for cell in row] for row in section.rows],
        "pictures": pictures,
    }


def _provenance(found: RunReport) -> dict[str, str]:
    run = found.run
    entries = {"run folder": str(run.path)} | run.reference.provenance
    kept = ("status", "platform", "versions", "ns_per_day", "steps_done")
    entries |= {key: run.summary[key] for key in kept if key in run.summary}
    return {key: _in_words(value) for key, value in entries.items()}


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
