"""Base models on rMD17 ethanol for benchmarks of what comes after training; kept between runs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fisher_mlip.data import Frames, read_frames
from fisher_mlip.model.checkpoint import Checkpoint, load_checkpoint
from fisher_mlip.train import train_model
from fisher_mlip.train.progress import EpochLines
from fisher_mlip.train.settings import training_config

VALIDATION_FRAMES = 100


@dataclass(frozen=True)
class Kind:
    """How a kind of base model is trained; epochs rather than seconds, so that it repeats."""

    n_frames: int
    options: dict[str, float]


KINDS = {
    # E^2 + 0.01 F^2 in kcal/mol and kcal/mol/Å, E of the whole molecule of nine atoms.
    "energy_200": Kind(200, {"max_epochs": 80, "energy_weight": 81.0, "forces_weight": 0.01}),
    "energy_900": Kind(900, {"max_epochs": 40, "energy_weight": 81.0, "forces_weight": 0.01}),
    "force_200": Kind(200, {"max_epochs": 80}),
    "force_900": Kind(900, {"max_epochs": 40}),
}


@dataclass(frozen=True, eq=False)
class Base:
    """A trained model with the frames it saw, those that chose its epoch, and the test frames."""

    checkpoint: Checkpoint
    training: Frames
    held_out: Frames
    test: Frames


def rmd17_frames(data: Path, kind: str, seed: int) -> tuple[Frames, Frames, Frames]:
    """Return training, held-out and test frames; the seed chooses the first two from train.xyz."""
    isolated_atoms = data / "isolated_atoms.xyz"
    everything = read_frames(data / "train.xyz", reference_energies=isolated_atoms)
    test = read_frames(data / "test_MD.xyz", reference_energies=isolated_atoms)
    order = np.random.default_rng(seed).permutation(len(everything))
    training = everything.subset(order[: KINDS[kind].n_frames])
    return training, everything.subset(order[-VALIDATION_FRAMES:]), test


def base_model(data: Path, kind: str, seed: int, folder: Path) -> Base:
    """Return a base model, trained now unless `folder` has it from an earlier run."""
    training, held_out, test = rmd17_frames(data, kind, seed)
    output = folder / f"{kind}-{seed}"
    if (output / "summary.json").is_file() or (output / "metrics.json").is_file():
        checkpoint = load_checkpoint(output)
    else:
        options = KINDS[kind].options | {"max_seconds": 0.0, "cutoff": 3.0, "seed": seed}
        config = training_config("default", None, options)
        checkpoint = train_model(
            config, training, held_out, output, overwrite=True, show=EpochLines()
        )
    return Base(checkpoint, training, held_out, test)
