"""One look for every figure: size, colors, fonts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# Okabe and Ito's palette, told apart by every kind of color vision, without its yellow.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#666666")
INK = "#222222"
MUTED = "#777777"
_PANEL_INCHES = (4.4, 3.4)
_WIDE_INCHES = (8.2, 4.0)
_COLUMNS = 3
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


def count_whole(axis: "Axis") -> None:
    """Put ticks of an axis that counts at whole numbers only."""
    axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
