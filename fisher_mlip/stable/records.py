"""What a training keeps of itself: rows for people, and the state that `--resume` goes on from."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.products import write_bytes, write_text

STATE_NAME, TABLE_NAME = "state.safetensors", "stable.csv"
_KEY = "stable"


@dataclass(frozen=True)
class Row:
    """One iteration: a simulation phase with one theta, and the step that was taken after it.

    Attributes:
        iteration: from 0, the finetuned model.
        phase_ps: how long the phase was.
        median_ps: stable time, median over replicas.
        fraction_lost: of the replicas, in the phase.
        frames: that averages were taken over.
        n_independent: over their correlation time.
        chi2: mean over observables of squared deviations over variances.
        errors: mean |<g> - g_ref| by observable, in its unit.
        predicted_chi2: after the step, by reweighting; NaN without a step.
        effective_fraction: of the frames, after the step.
        strength: lambda that the step was solved with.
        length: part of the solution that was gone.
        step_norm: |delta theta| of the step.
        force_change: root mean square change of held-out forces by the step, meV/Å.
        held_out_rmse: force error of this iteration's model, meV/Å, as the finetune counts frames.
        held_out_mae: meV/Å, of frames given by `held_out`; NaN without.
        seconds: of the iteration.
    """

    iteration: int
    phase_ps: float
    median_ps: float
    fraction_lost: float
    frames: int
    n_independent: float
    chi2: float
    errors: dict[str, float]
    predicted_chi2: float
    effective_fraction: float
    strength: float
    length: float
    step_norm: float
    force_change: float
    held_out_rmse: float
    held_out_mae: float
    seconds: float

    @property
    def is_stable(self) -> bool:
        """Whether no replica was lost."""
        return self.fraction_lost == 0.0


COLUMNS = {
    "iteration": "Iteration",
    "phase_ps": "Phase (ps)",
    "median_ps": "Stable time median (ps)",
    "fraction_lost": "Fraction unstable",
    "frames": "Frames",
    "n_independent": "Independent frames",
    "chi2": "chi2",
    "predicted_chi2": "Predicted chi2",
    "effective_fraction": "ESS over frames",
    "strength": "Lambda",
    "length": "Step length",
    "step_norm": "|delta theta|",
    "force_change": "Force change (meV/Å)",
    "held_out_rmse": "Held-out force RMSE (meV/Å)",
    "held_out_mae": "Held-out force MAE (meV/Å)",
    "seconds": "Time (s)",
}


@dataclass(frozen=True, eq=False)
class State:
    """A training between two iterations.

    Attributes:
        inputs: hashes of what it was started with.
        rows: of the iterations that are done.
        zs: (n, rank), coordinates of theta of each iteration; one more than rows if a step was
            taken after the last.
        ending: why the training ended; "" while it goes on.
    """

    inputs: dict[str, str]
    rows: tuple[Row, ...]
    zs: FloatArray
    ending: str = ""

    def write(self, folder: Path) -> None:
        """Write the state, whole or not at all."""
        rows = [asdict(row) for row in self.rows]
        meta = json.dumps({"inputs": self.inputs, "rows": rows, "ending": self.ending})
        whole = save({"zs": np.ascontiguousarray(self.zs)}, metadata={_KEY: meta})
        write_bytes(folder / STATE_NAME, whole)

    @staticmethod
    def read(folder: Path) -> "State":
        """Read the state of a training.

        Raises:
            InputError: it is missing or damaged.
        """
        path = folder / STATE_NAME
        if not path.is_file():
            raise InputError(f"expected a StABlE training to resume in '{folder}', found none")
        try:
            with safe_open(path, framework="numpy") as file:
                meta = json.loads((file.metadata() or {})[_KEY])
                zs = file.get_tensor("zs")
            rows = tuple(Row(**row) for row in meta["rows"])
            return State(meta["inputs"], rows, zs, meta["ending"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"expected a training's state in '{path}', found: {reason}") from None


def write_table(path: Path, rows: tuple[Row, ...], units: dict[str, str]) -> None:
    """Write the ledger of iterations.

    Args:
        path: of the CSV.
        rows: in order.
        units: of each observable's error, by its name.
    """
    errors = {
        name: f"{name} error ({unit})" if unit else f"{name} error" for name, unit in units.items()
    }
    lines = [",".join([*COLUMNS.values(), *errors.values()])]
    for row in rows:
        values = [getattr(row, key) for key in COLUMNS] + [row.errors[name] for name in errors]
        lines.append(",".join(_written(value) for value in values))
    write_text(path, "\n".join(lines) + "\n")


def _written(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def best_of(rows: tuple[Row, ...], bound: float) -> Row:
    """Return the row of the longest stable time whose held-out force error keeps its bound.

    Args:
        rows: at least the first, which keeps it.
        bound: meV/Å.
    """
    allowed = [row for row in rows if row.held_out_rmse <= bound * (1.0 + 1e-9)] or [rows[0]]
    return max(
        allowed, key=lambda row: (row.median_ps, -row.fraction_lost, row.phase_ps, -row.chi2)
    )
