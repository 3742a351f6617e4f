"""Diagnose: a run folder -> its segment with one thing changed each -> where drift comes from."""

from fisher_mlip.diagnose.run import Diagnosis, diagnose_run, diagnosis_of
from fisher_mlip.diagnose.verdict import Verdict, verdict_of

__all__ = ["Diagnosis", "Verdict", "diagnose_run", "diagnosis_of", "verdict_of"]
