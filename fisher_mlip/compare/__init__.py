"""Compare: models, the same starts and seeds -> runs -> paired statistics and a report."""

from fisher_mlip.compare.comparison import Comparison, compare_runs
from fisher_mlip.compare.run import are_runs, compare_folders, compare_models
from fisher_mlip.compare.table import table_rows

__all__ = [
    "Comparison",
    "are_runs",
    "compare_folders",
    "compare_models",
    "compare_runs",
    "table_rows",
]
