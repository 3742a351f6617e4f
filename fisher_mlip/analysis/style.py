"""How runs are told apart in figures, and how long series are thinned."""

from typing import TYPE_CHECKING

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.figures import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ELEMENT_COLORS = {"H": "#56B4E9", "C": "#444444", "N": "#0072B2", "O": "#D55E00"}
_WIDE_RATIO = 50.0

Dashes = tuple[float, tuple[float, float] | None]
# Where curves coincide, the shorter dashes on top let the longer ones below be seen.
_LINESTYLES: tuple[Dashes, ...] = ((0, None), (0, (6, 4)), (0, (3, 5)), (0, (1.2, 3)))


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


def linestyle_of(index: int) -> Dashes:
    """Return the line of the run with this index."""
    return _LINESTYLES[index % len(_LINESTYLES)]


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
