"""The training curve: one row per epoch in `training.csv`, and its picture."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from fisher_mlip.errors import InputError
from fisher_mlip.products import failures_named, whole_file, write_text

CURVE_NAME = "training.csv"
PICTURE_NAME = "training_curve.png"


@dataclass(frozen=True)
class EpochRow:
    """What is written of an epoch; training errors are those met while the weights moved."""

    epoch: int
    seconds: float
    learning_rate: float
    training_loss: float
    training_force_mae_meV_A: float  # noqa: N815 (units as written)
    training_energy_mae_meV: float  # noqa: N815
    validation_loss: float
    validation_force_mae_meV_A: float  # noqa: N815
    validation_energy_mae_meV: float  # noqa: N815


def start_curve(path: Path, n_epochs: int) -> None:
    """Write the header and keep the rows of the first `n_epochs` epochs, if there are any.

    An interrupted training may have written rows beyond its last saved state, or half a row;
    the resumed one writes those epochs again.
    """
    kept = [row for row in _whole_rows(path) if row.epoch <= n_epochs] if n_epochs else []
    write_text(path, "".join(_line(cells) for cells in [_names(), *map(_cells, kept)]))


def append_row(path: Path, row: EpochRow) -> None:
    """Add the row of an epoch."""
    with failures_named(path), path.open("a", encoding="utf-8") as handle:
        handle.write(_line(_cells(row)))


def read_curve(path: Path) -> list[EpochRow]:
    """Read the rows of a training curve.

    Raises:
        InputError: no such file.
    """
    if not path.is_file():
        raise InputError(f"expected a training curve '{path}', found none")
    return _whole_rows(path)


def plot_curve(rows: list[EpochRow], path: Path) -> None:
    """Draw losses and force errors over epochs."""
    from fisher_mlip.figures import COLORS, count_whole, figure

    epochs = [row.epoch for row in rows]
    drawn = {
        "loss": ("training_loss", "validation_loss"),
        "force MAE / (meV/Å)": ("training_force_mae_meV_A", "validation_force_mae_meV_A"),
    }
    with (
        whole_file(path) as partial,
        figure(partial, panels=len(drawn), is_shared=False) as panels,
    ):
        for axes, (quantity, names) in zip(panels, drawn.items(), strict=True):
            for name, color in zip(names, COLORS, strict=False):
                values = [getattr(row, name) for row in rows]
                # A lone epoch has no line.
                marker = "o" if len(rows) == 1 else ""
                axes.plot(epochs, values, color=color, marker=marker, label=name.split("_")[0])
            axes.set(xlabel="epoch", ylabel=quantity, yscale="log")
            count_whole(axes.xaxis)
        panels[0].legend()


def _names() -> list[str]:
    return [field.name for field in fields(EpochRow)]


def _cells(row: EpochRow) -> list[str]:
    return [repr(value) for value in asdict(row).values()]


def _line(cells: list[str]) -> str:
    return ",".join(cells) + "\n"


def _whole_rows(path: Path) -> list[EpochRow]:
    if not path.is_file():
        return []
    rows = []
    text = path.read_text(encoding="utf-8")
    lines = text[: text.rfind("\n") + 1].splitlines()  # half a last line is not a row
    for cells in csv.DictReader(lines):
        values = {name: float(cells[name]) for name in _names()}
        rows.append(EpochRow(epoch=int(values.pop("epoch")), **values))
    return rows
