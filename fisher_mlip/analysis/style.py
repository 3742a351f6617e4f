"""One look for every figure: size, colors, fonts, and how long series are thinned."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fisher_mlip.data.frames import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, told apart by every kind of color vision, without its yellow.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#666666")
ELEMENT_COLORS = {"H": "#56B4E9", "C": "#444444", "N": "#0072B2", "O": "#D55E00"}
INK = "#222222"
MUTED = "#777777"
_PANEL_INCHES = (4.4, 3.4)
_WIDE_INCHES = (8.2, 4.0)
_COLUMNS = 3
_WIDE_RATIO = 50.0
_STYLE: Any = {
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "savefig.dpi": 160,
}


@contextmanager
def figure(path: Path, *, panels: int = 1, is_shared: bool = True) -> Iterator[list["Axes"]]:
    """Yield axes, side by side if several; save them to `path` as PNG.

    Args:
        path: of the PNG.
        panels: number of axes.
        is_shared: whether they share one y-axis.
    """
    columns = min(panels, _COLUMNS)
    rows = -(-panels // columns)
    width, height = _PANEL_INCHES
    size = _WIDE_INCHES if columns == 1 else (width * columns, height * rows + 0.4)
    with rc_context(_STYLE):
        canvas = FigureCanvasAgg(Figure(figsize=size, layout="constrained"))
        grid = canvas.figure.subplots(rows, columns, sharey=is_shared, squeeze=False)
        axes: list[Axes] = list(grid.ravel())
        for unused in axes[panels:]:
            unused.remove()
        for shown in axes[:panels]:
            # Labels of narrow panels run into each other with more.
            shown.xaxis.set_major_locator(MaxNLocator(8 if columns == 1 else 4))
        yield axes[:panels]
        canvas.figure.savefig(path, metadata={"Software": None})


def shown_label(label: str) -> str:
    """Return a run's label so that matplotlib shows it as it is.

    It would read what stands between two dollars as mathematics, and leave a label that begins
    with an underscore out of the legend.
    """
    text = label.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def color_of(index: int) -> str:
    """Return the color of the run with this index."""
    return COLORS[index % len(COLORS)]


def thinned(time: FloatArray, series: FloatArray, n_bins: int) -> tuple[FloatArray, ...]:
    """Return (time, mean, lowest, highest) of at most `n_bins` bins of neighboring rows."""
    size = -(-len(time) // n_bins)
    starts = np.arange(0, len(time), size)
    counts = np.diff(np.append(starts, len(time)))
    return (
        np.add.reduceat(time, starts) / counts,
        np.add.reduceat(series, starts) / counts,
        np.minimum.reduceat(series, starts),
        np.maximum.reduceat(series, starts),
    )


def is_wide(heights: list[float]) -> bool:
    """Return whether curves differ so much in height that the small would vanish."""
    positive = [height for height in heights if height > 0.0]
    return bool(positive) and max(positive) > _WIDE_RATIO * min(positive)


def use_symlog_if_wide(axes: "Axes", heights: list[float]) -> bool:
    """Switch y to a symmetric logarithm when curves differ so much that the small would vanish.

    Args:
        axes: of the curves.
        heights: largest absolute value of each curve.

    Returns:
        Whether it was switched.
    """
    if not is_wide(heights):
        return False
    # The calmest curve stays inside the linear band, where its shape is not distorted.
    linear = 10.0 ** np.ceil(np.log10(min(height for height in heights if height > 0.0)))
    axes.set_yscale("symlog", linthresh=linear)
    axes.axhspan(-linear, linear, color="#f5f5f5", zorder=0)
    return True
