"""The folder of a training: a checkpoint as finetune's, beside ledger, picture and state."""

import math
from pathlib import Path
from typing import Any

from fisher_mlip.config import write_yaml
from fisher_mlip.model.checkpoint import WEIGHTS_NAME, save_checkpoint
from fisher_mlip.products import sha256_of_file, whole_folder, write_summary
from fisher_mlip.stable.config import StableConfig
from fisher_mlip.stable.plot import PLOT_NAME, plot_training
from fisher_mlip.stable.problem import Problem
from fisher_mlip.stable.records import TABLE_NAME, Row, State, best_of, write_table

CONFIG_NAME = "stable.yaml"


def begin_folder(folder: Path, problem: Problem, state: State, *, overwrite: bool) -> None:
    """Make the folder with the finetuned checkpoint and the state before the first iteration."""
    config = problem.config
    inputs = [Path(config.finetuned), Path(config.reference)]
    with whole_folder(folder, overwrite=overwrite, inputs=inputs) as partial:
        write_yaml(partial / CONFIG_NAME, config.model_dump())
        state.write(partial)
        save_checkpoint(partial, problem.prior.checkpoint)
        write_summary(partial, {"finetuned": config.finetuned, "ending": "", "iterations": 0})


def write_product(folder: Path, problem: Problem, state: State) -> None:
    """Write checkpoint of the best iteration, ledger, picture and summary, each whole."""
    if not state.rows:
        return
    write_yaml(folder / CONFIG_NAME, problem.config.model_dump())
    best = best_of(state.rows, 1000.0 * problem.bound)
    brief = summary(problem, state, best)
    checkpoint = problem.prior.at(state.zs[best.iteration], brief)
    save_checkpoint(folder, checkpoint)
    write_table(folder / TABLE_NAME, state.rows, problem.units)
    plot_training(state.rows, best, folder / PLOT_NAME)
    write_summary(folder, brief)


def summary(problem: Problem, state: State, best: Row) -> dict[str, Any]:
    """Return the numbers for `summary.json` and for the checkpoint's provenance."""
    config = problem.config
    return {
        "finetuned": config.finetuned,
        "reference": config.reference,
        "temperature": config.temperature,
        "replicas": config.replicas,
        "stable_ps": config.stable_ps,
        "ending": state.ending,
        "iterations": len(state.rows),
        "observables": list(problem.units),
        "estimator": "global" if problem.neighborhood is None else "localized",
        "seconds": sum(row.seconds for row in state.rows),
        "first": row_numbers(state.rows[0]),
        "best": row_numbers(best),
    }


def row_numbers(row: Row) -> dict[str, Any]:
    """Return a row's numbers by names with units; None for what is not known."""
    numbers: dict[str, Any] = {
        "iteration": row.iteration,
        "phase_ps": row.phase_ps,
        "median_stable_time_ps": row.median_ps,
        "fraction_unstable": row.fraction_lost,
        "chi2": row.chi2,
        **{f"{name} error": value for name, value in row.errors.items()},
        "held_out_force_rmse_meV_A": row.held_out_rmse,
        "held_out_force_mae_meV_A": row.held_out_mae,
    }
    return {name: None if _is_unknown(value) else value for name, value in numbers.items()}


def _is_unknown(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def input_hashes(config: StableConfig) -> dict[str, str]:
    """Return hashes of what a training was started with; of a run folder its reference.json."""
    reference = Path(config.reference)
    if reference.is_dir():
        reference = reference / "reference.json"
    weights = Path(config.finetuned) / WEIGHTS_NAME
    named = {"finetuned model": weights, "reference": reference}
    return {name: sha256_of_file(path) for name, path in named.items() if path.is_file()}


def files_in(folder: Path) -> list[Path]:
    """Return what is in the folder."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
