"""Bench: a run's configuration -> where its time goes, and what to change."""

from fisher_mlip.bench.run import bench_config, bench_run, write_bench
from fisher_mlip.bench.table import lines_of

__all__ = ["bench_config", "bench_run", "lines_of", "write_bench"]
