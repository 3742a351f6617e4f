"""StABlE training of a base model's last layer, on averages of its own training frames."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rmd17_bases import Base

from fisher_mlip.data import write_frames
from fisher_mlip.fisher import Options, finetune, save_solution
from fisher_mlip.model.checkpoint import Checkpoint, load_checkpoint
from fisher_mlip.stable import StableConfig, train_stable

# K, at which rMD17 was sampled.
REFERENCE_TEMPERATURE = 500.0


def stable_trained(
    base: Base, options: Options, seed: int, **settings: Any
) -> tuple[Checkpoint, dict[str, Any]]:
    """Return the head of the longest stable times, and what it took.

    Args:
        base: with training frames, which are the reference too.
        options: of the head to start from.
        seed: of the dynamics.
        settings: of `StableConfig`, in place of its defaults.
    """
    start = time.process_time()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "solved").mkdir()
        solved = finetune(base.checkpoint, base.training, base.held_out, options=options)
        save_solution(folder / "solved", solved)
        write_frames(folder / "reference.xyz", base.training)
        config = StableConfig(
            finetuned=str(folder / "solved"),
            reference=str(folder / "reference.xyz"),
            temperature=REFERENCE_TEMPERATURE,
            seed=seed,
            **settings,
        )
        state = train_stable(config, folder / "stable")
        checkpoint = load_checkpoint(folder / "stable")
    return checkpoint, {
        "seconds": round(time.process_time() - start, 1),
        "iterations": len(state.rows),
        "simulated_ps": round(sum(row.phase_ps for row in state.rows) * config.replicas, 2),
        "median_stable_ps_by_iteration": [round(row.median_ps, 3) for row in state.rows],
        "ending": state.ending,
    }
