"""`fisher-mlip train`: fit a network to energies and forces."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fisher_mlip.cli.console import console, wrote
from fisher_mlip.cli.options import Device, EnergyUnit, NpzUnit, Precision

if TYPE_CHECKING:
    from fisher_mlip.config import TrainConfig
    from fisher_mlip.data import Frames


def train(
    data: Annotated[Path, typer.Option(help="Frames to train on (extended XYZ, .npz).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint folder to make.")],
    config: Annotated[
        Path | None, typer.Argument(help="YAML of options; flags win over it, it over the preset.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Frames that choose the best epoch; default: part of DATA.")
    ] = None,
    validation_fraction: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Part of DATA, without --validation.")
    ] = 0.1,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Train on so many frames of DATA, chosen at random.")
    ] = None,
    e0s: Annotated[
        Path | None,
        typer.Option(help="Isolated-atom energies in eV instead of DATA's own: YAML, JSON, XYZ."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="'report' (the source report's) or 'accurate' (10 min on 2 cores).")
    ] = "report",
    features: Annotated[int | None, typer.Option(help="Channels per degree.")] = None,
    max_degree: Annotated[int | None, typer.Option(help="Largest degree of harmonics.")] = None,
    num_iterations: Annotated[int | None, typer.Option(help="Message-passing layers.")] = None,
    num_basis_functions: Annotated[int | None, typer.Option(help="Radial functions.")] = None,
    cutoff: Annotated[float | None, typer.Option(help="Å.")] = None,
    radial_width: Annotated[int | None, typer.Option(help="Width of the radial network.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Frames per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the start.")] = None,
    final_learning_rate: Annotated[
        float | None, typer.Option(help="At the end of the cosine over the budget.")
    ] = None,
    energy_weight: Annotated[float | None, typer.Option(help="(eV/atom)^-2.")] = None,
    forces_weight: Annotated[float | None, typer.Option(help="(eV/Å)^-2.")] = None,
    stress_weight: Annotated[
        float | None, typer.Option(help="Of stress times volume per atom, (eV/atom)^-2.")
    ] = None,
    max_epochs: Annotated[int | None, typer.Option(help="Passes over the frames.")] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Time limit over all resumes, annealed to; 0: none.")
    ] = None,
    ema_decay: Annotated[
        float | None, typer.Option(help="Of the averaged weights that are saved; 0: none.")
    ] = None,
    gradient_clip: Annotated[float | None, typer.Option(help="Largest gradient norm.")] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(help="Epochs between states that --resume goes on from.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and choices.")] = None,
    dtype: Annotated[Precision | None, typer.Option(help="Of the weights.")] = None,
    device: Annotated[Device | None, typer.Option(help="auto: every GPU, else the CPU.")] = None,
    npz_unit: NpzUnit = EnergyUnit.KCAL_PER_MOL,
    trust_units: Annotated[
        bool, typer.Option(help="Leave out the check that units look like eV and Å.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Go on from OUTPUT's last saved state.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
) -> None:
    """Train a network on energies and forces; keep the epoch that validates best.

    Ctrl-C stops after the present step and keeps the best model; `--resume` goes on, exactly as
    if nothing had happened, with more epochs or seconds if you like. Defaults are the preset's.

    Example: fisher-mlip train --preset accurate --data train.xyz -o runs/base
    """
    flags = dict(locals())
    from fisher_mlip.config import ModelConfig, TrainConfig
    from fisher_mlip.train import train_model
    from fisher_mlip.train.progress import EpochLines
    from fisher_mlip.train.settings import choose_frames, training_config

    names = {*ModelConfig.model_fields, *TrainConfig.model_fields} - {"model"}
    settings = training_config(preset, config, {name: flags[name] for name in names})
    everything, held_out = read_labelled(
        data, validation, settings, e0s=e0s, npz_unit=npz_unit, trust_units=trust_units
    )
    training, held_out = choose_frames(
        everything,
        held_out,
        validation_fraction=validation_fraction,
        n_training=frames,
        seed=settings.seed,
    )
    trained = train_model(
        settings,
        training,
        held_out,
        output,
        resume=resume,
        overwrite=overwrite,
        show=EpochLines(),
    )
    # None where the frames have no such label.
    found = {
        "force MAE {:.1f} meV/Å": trained.metrics["validation_force_mae_meV_A"],
        "energy MAE {:.1f} meV": trained.metrics["validation_energy_mae_meV"],
    }
    known = [form.format(value) for form, value in found.items() if value is not None]
    console.print(f"best epoch {trained.metrics['best_epoch']}: validation {', '.join(known)}")
    wrote(*sorted(output.iterdir()))


def read_labelled(
    data: Path,
    validation: Path | None,
    settings: "TrainConfig",
    *,
    e0s: Path | None,
    npz_unit: EnergyUnit,
    trust_units: bool,
) -> tuple["Frames", "Frames | None"]:
    """Read the frames and check that they have the labels that the settings give weight to."""
    from fisher_mlip.data import read_frames
    from fisher_mlip.data.checks import Label, check_trainable
    from fisher_mlip.data.split import refuse_shared_frames

    weights: dict[Label, float] = {
        "energy": settings.energy_weight,
        "forces": settings.forces_weight,
    }
    labels = [label for label, weight in weights.items() if weight > 0.0]
    frames = read_frames(data, reference_energies=e0s, npz_energy_unit=npz_unit.value)
    check_trainable(frames, trust_units=trust_units, labels=labels)
    if validation is None:
        return frames, None
    held_out = read_frames(validation, npz_energy_unit=npz_unit.value)
    # Validation energies count from the E0s of training, so they must fit those.
    held_out = replace(held_out, reference_energies=frames.reference_energies)
    check_trainable(held_out, trust_units=trust_units, labels=labels)
    refuse_shared_frames(frames, held_out)
    return frames, held_out
