"""Quickstart: the main job on the embedded reference, from frames to a report."""

from fisher_mlip.quickstart.settings import Quickstart, QuickstartConfig, Show
from fisher_mlip.quickstart.stages import run_quickstart

__all__ = ["Quickstart", "QuickstartConfig", "Show", "run_quickstart"]
