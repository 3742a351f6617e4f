"""Simulate: artefact + system -> run folder (trajectory, ledger, checkpoints, summary)."""

from fisher_mlip.simulate.run import run_simulation
from fisher_mlip.simulate.summary import RunSummary

__all__ = ["RunSummary", "run_simulation"]
