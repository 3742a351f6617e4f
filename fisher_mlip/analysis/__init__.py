"""Analysis: run folders -> `Report` -> report.html, PNGs and summary.json."""

from fisher_mlip.analysis.config import AnalysisConfig
from fisher_mlip.analysis.html import Section, fill_report, write_report
from fisher_mlip.analysis.reading import read_run
from fisher_mlip.analysis.report import Report, RunReport, analyze_runs
from fisher_mlip.analysis.run import Run

__all__ = [
    "AnalysisConfig",
    "Report",
    "Run",
    "RunReport",
    "Section",
    "analyze_runs",
    "fill_report",
    "read_run",
    "write_report",
]
