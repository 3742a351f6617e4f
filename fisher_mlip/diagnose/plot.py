"""Segments -> a figure of their total energies."""

from collections.abc import Sequence
from pathlib import Path

from fisher_mlip.diagnose.segment import SegmentEnergies
from fisher_mlip.figures import COLORS, figure

PLOT_NAME = "diagnose.png"


def write_plot(segments: Sequence[SegmentEnergies], folder: Path) -> Path:
    """Draw the total energy of every variant, one panel each on a shared axis."""
    path = folder / PLOT_NAME
    with figure(path, panels=len(segments)) as panels:
        for axes, segment, color in zip(panels, segments, COLORS, strict=False):
            axes.plot(segment.time_ps, segment.total, color=color, linewidth=1.0)
            axes.set(title=segment.name, xlabel="time / ps")
            axes.margins(x=0.0)
        panels[0].set_ylabel("total energy − start / (meV/atom)")
    return path
