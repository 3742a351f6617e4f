"""The picture of a bench: a bar for each part of a step."""

from pathlib import Path

from fisher_mlip.bench.result import REST, Bench
from fisher_mlip.figures import COLORS, figure
from fisher_mlip.products import whole_file

PLOT_NAME = "bench.png"
# Of a row's width, between the end of a bar and its number.
_GAP = 0.01


def plot_bench(bench: Bench, target: Path) -> None:
    """Write the parts of a step, the rest and the whole as horizontal bars to a PNG."""
    whole = [part for part in bench.parts if not part.of]
    rows = [(part.name, part.time.median, part.time.lower, part.time.upper) for part in whole]
    rows.append((REST, bench.rest, bench.rest, bench.rest))
    total = bench.total
    rows.append(("a step of the run", total.median, total.lower, total.upper))
    names, middle, lower, upper = (list(column) for column in zip(*rows, strict=True))
    places = range(len(rows))
    errors = [
        [max(0.0, float(m) - float(q)) for m, q in zip(middle, lower, strict=True)],
        [max(0.0, float(q) - float(m)) for m, q in zip(middle, upper, strict=True)],
    ]
    colors = [COLORS[0]] * len(whole) + [COLORS[-1], COLORS[1]]
    with whole_file(target) as partial, figure(partial) as (axes,):
        axes.barh(places, middle, xerr=errors, color=colors, ecolor=COLORS[-1])
        for place, ms, end in zip(places, middle, upper, strict=True):
            right = max(float(end), 0.0) + _GAP * total.median
            axes.text(right, place, f"{bench.share(float(ms)):.1f} %", va="center", fontsize=9)
        axes.set_yticks(list(places), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.12)
        axes.set_xlabel("ms per step")
        axes.set_title(f"{bench.system.atoms} atoms, {bench.system.how}")
