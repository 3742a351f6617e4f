"""`fisher-mlip train`: fit a network to energies and forces."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fisher_mlip.cli.console import console, wrote
from fisher_mlip.cli.options import Device, EnergyUnit, Precision

if TYPE_CHECKING:
    from fisher_mlip.config import TrainConfig
    from fisher_mlip.data import Frames
    from fisher_mlip.model import Checkpoint
    from fisher_mlip.train.order import TrainingOrder


def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint folder to make.")],
    config: Annotated[
        Path | None, typer.Argument(help="YAML of options; flags win over it, it over the preset.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Frames to train on (extended XYZ, .npz); --resume knows them."),
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Frames that choose the best epoch; default: part of DATA.")
    ] = None,
    validation_fraction: Annotated[
        float | None,
        typer.Option(min=0.0, max=0.9, help="Part of DATA, without --validation; default: 0.1."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Train on so many frames of DATA, chosen at random.")
    ] = None,
    e0s: Annotated[
        Path | None,
        typer.Option(help="Isolated-atom energies in eV instead of DATA's own: YAML, JSON, XYZ."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Values of all options below not given here: 'default' (half an hour at most), "
            "'fast' (a small network, 10 min), 'accurate' (a large one, 75 min), or 'report' (the "
            "source report's)."
        ),
    ] = None,
    features: Annotated[
        int | None, typer.Option(help="Network: channels per degree of harmonics.")
    ] = None,
    max_degree: Annotated[
        int | None, typer.Option(help="Network: largest degree of spherical harmonics, 0 to 4.")
    ] = None,
    num_iterations: Annotated[
        int | None, typer.Option(help="Network: message-passing layers.")
    ] = None,
    num_basis_functions: Annotated[
        int | None, typer.Option(help="Network: radial Bessel functions of each distance.")
    ] = None,
    cutoff: Annotated[
        float | None, typer.Option(help="Network: Å within which atoms exchange messages.")
    ] = None,
    radial_width: Annotated[
        int | None, typer.Option(help="Network: hidden width of the radial network.")
    ] = None,
    repulsion: Annotated[
        bool | None,
        typer.Option(
            "--repulsion/--no-repulsion",
            help="Network: a fixed repulsive core that it learns on top of.",
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Frames per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate at the start.")] = None,
    final_learning_rate: Annotated[
        float | None, typer.Option(help="Learning rate at the end of the cosine over the budget.")
    ] = None,
    energy_weight: Annotated[
        float | None, typer.Option(help="Weight of energies in the loss, (eV/atom)^-2.")
    ] = None,
    forces_weight: Annotated[
        float | None, typer.Option(help="Weight of forces in the loss, (eV/Å)^-2.")
    ] = None,
    stress_weight: Annotated[
        float | None,
        typer.Option(help="Weight of stress times volume per atom in the loss, (eV/atom)^-2."),
    ] = None,
    max_epochs: Annotated[int | None, typer.Option(help="Most passes over the frames.")] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Time limit over all resumes, annealed to; 0: none.")
    ] = None,
    ema_decay: Annotated[
        float | None,
        typer.Option(help="Decay per step of the averaged weights that are saved; 0: none."),
    ] = None,
    gradient_clip: Annotated[
        float | None, typer.Option(help="Largest norm of the gradient of a step.")
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(help="Epochs between states that --resume goes on from.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the first weights, the order and choice of frames.")
    ] = None,
    dtype: Annotated[Precision | None, typer.Option(help="Of the weights.")] = None,
    device: Annotated[Device | None, typer.Option(help="auto: every GPU, else the CPU.")] = None,
    npz_unit: Annotated[
        EnergyUnit | None,
        typer.Option(help="Unit of energy in an .npz; its lengths are Å. Default: kcal/mol."),
    ] = None,
    trust_units: Annotated[
        bool | None,
        typer.Option("--trust-units", help="Leave out the check that units look like eV and Å."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on from OUTPUT's last saved state, with its data and settings."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output.")
    ] = False,
) -> None:
    """Train a network on energies and forces; keep the epoch that validates best.

    Ctrl-C stops after the present step and keeps the best model; `train -o OUTPUT --resume` goes
    on, exactly as if nothing had happened, with more epochs or seconds if you like. In brackets:
    the presets' values.

    Example: fisher-mlip train --preset accurate --data train.xyz -o runs/base
    """
    flags = dict(locals())
    from fisher_mlip.config import ModelConfig, TrainConfig
    from fisher_mlip.train.order import DataConfig, training_order
    from fisher_mlip.train.resume import is_spent

    names = {*ModelConfig.model_fields, *TrainConfig.model_fields} - {"model"}
    order = training_order(
        output,
        preset=preset,
        file=config,
        data={name: flags[name] for name in DataConfig.model_fields},
        flags={name: flags[name] for name in names},
        resume=resume,
    )
    is_done = resume and is_spent(order.settings, output)
    try:
        trained = _train(order, output, resume=resume, overwrite=overwrite)
    except KeyboardInterrupt as interruption:
        if not str(interruption):
            raise
        again = f"go on with: fisher-mlip train -o {output} --resume"
        raise KeyboardInterrupt(f"{interruption}; {again}") from None
    # None where the frames have no such label.
    found = {
        "force MAE {:.1f} meV/Å": trained.metrics["validation_force_mae_meV_A"],
        "energy MAE {:.1f} meV": trained.metrics["validation_energy_mae_meV"],
    }
    known = [form.format(value) for form, value in found.items() if value is not None]
    console.print(f"best epoch {trained.metrics['best_epoch']}: validation {', '.join(known)}")
    if is_done:
        console.print("its budget was spent before: ask for more --max-seconds or --max-epochs")
        return
    wrote(*sorted(output.iterdir()))


def _train(order: "TrainingOrder", output: Path, *, resume: bool, overwrite: bool) -> "Checkpoint":
    from fisher_mlip.train import train_model
    from fisher_mlip.train.progress import EpochLines
    from fisher_mlip.train.settings import choose_frames

    files, settings = order.data, order.settings
    everything, held_out = read_labelled(
        files.data,
        files.validation,
        settings,
        e0s=files.e0s,
        npz_unit=EnergyUnit(files.npz_unit),
        trust_units=files.trust_units,
    )
    training, held_out = choose_frames(
        everything,
        held_out,
        validation_fraction=files.validation_fraction,
        n_training=files.frames,
        seed=settings.seed,
    )
    return train_model(
        settings,
        training,
        held_out,
        output,
        resume=resume,
        overwrite=overwrite,
        order=order,
        show=EpochLines(),
    )


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
