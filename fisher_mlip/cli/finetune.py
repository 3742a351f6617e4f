"""`fisher-mlip finetune`."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fisher_mlip.cli.console import console, progress_bar, wrote
from fisher_mlip.cli.options import Device, EnergyUnit, NpzUnit, Precision

if TYPE_CHECKING:
    from fisher_mlip.data import Frames
    from fisher_mlip.data.frames import FloatArray
    from fisher_mlip.fisher import Options, Solution
    from fisher_mlip.fisher.gram_file import GramFile
    from fisher_mlip.model.checkpoint import Checkpoint


# Points that a calculator labels.
WORST = 40


class Head(StrEnum):
    """Heads by name."""

    AUTO = "auto"
    LAST_LAYER = "last-layer"
    PER_ELEMENT = "per-element"
    ALL_LAYERS = "all-layers"
    PRODUCTS = "products"


class Update(StrEnum):
    """What to do with frames and a finetune that is there."""

    ADD = "add"
    REMOVE = "remove"


def finetune(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder to start from.")],
    data: Annotated[Path, typer.Argument(help="Frames with forces (extended XYZ, .npz).")],
    held_out: Annotated[
        Path | None,
        typer.Option(help="Frames that only judge; default: a part of DATA. Not with --update."),
    ] = None,
    held_out_fraction: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Part of DATA held out without --held-out.")
    ] = 0.2,
    head: Annotated[
        Head, typer.Option(help="Linear space to solve in; auto tries all, in one pass.")
    ] = Head.AUTO,
    features: Annotated[
        int, typer.Option(min=1, help="Most features of a head; limits the products.")
    ] = 3600,
    rows_per_feature: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Force components to a feature that are enough: beyond, atoms of large frames are "
            "drawn; 0: all. Default: 24, or as before with --update.",
        ),
    ] = None,
    ridge: Annotated[
        float | None,
        typer.Option(min=0.0, help="Try this ridge and no other; 0: within the rank."),
    ] = None,
    energy_weight: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Weight of energies per atom, (eV/atom)^-2; forces: 1. Default: 0, or as before "
            "with --update.",
        ),
    ] = None,
    virial_weight: Annotated[
        float | None,
        typer.Option(min=0.0, help="Weight of virials per atom, (eV/atom)^-2; default as above."),
    ] = None,
    reweight: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="T1 T2", help="Weight frames sampled at T1 to temperature T2, K."),
    ] = None,
    scans: Annotated[
        bool, typer.Option(help="Ask for energies that rise outside the data, without labels.")
    ] = True,
    allow_holes: Annotated[
        bool, typer.Option(help="Ship a head with lower barriers out of the data than its base.")
    ] = False,
    calculator: Annotated[
        str,
        typer.Option(help="ASE calculator of the data's method: labels the worst scan points."),
    ] = "",
    calculator_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of the calculator; repeatable.")
    ] = None,
    worst: Annotated[
        int | None, typer.Option(min=2, help=f"Points that --calculator labels; default: {WORST}.")
    ] = None,
    update: Annotated[
        Update | None,
        typer.Option(help="CHECKPOINT is a finetune: add DATA to it, or remove DATA from it."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default: beside CHECKPOINT.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the held-out choice.")] = 0,
    device: Annotated[Device, typer.Option(help="Where Jacobians are computed.")] = Device.AUTO,
    dtype: Annotated[
        Precision | None,
        typer.Option(help="Of the features; default: the model's. The solve is float64."),
    ] = None,
    npz_unit: NpzUnit = EnergyUnit.KCAL_PER_MOL,
    trust_units: Annotated[
        bool, typer.Option(help="Leave out the check that units look like eV and Å.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
) -> None:
    """Solve for the head in closed form: the linear layer of least Fisher divergence.

    theta = T^-1 c with T = E[G'G] and c = -E[G'(F - F_model)] over your frames, G the Jacobian of
    the head's features: the last layer's, or invariants and products of every layer. float64,
    with a ridge toward the pretrained model. Held-out forces choose head and ridge; scans out of
    the data (bonds stretched, atoms pushed together) see to it that no hole is dug there. Where
    nothing beats the pretrained model, it is kept, and said so.

    Example: fisher-mlip finetune runs/base frames.xyz -o runs/finetuned
    """
    from fisher_mlip.fisher import LabelWeights
    from fisher_mlip.fisher.update import load_finetune
    from fisher_mlip.model.checkpoint import load_checkpoint
    from fisher_mlip.products import refuse_existing, sibling

    folder = output or sibling(checkpoint, "fisher")
    # An update may take the place of what it updates.
    inputs = [data, held_out, checkpoint if update is None else None]
    refuse_existing(folder, overwrite=overwrite, inputs=inputs)
    if update is not None:
        given = {"held-out": held_out, "reweight": reweight, "dtype": dtype}
        refuse_beside_update({**given, "rows-per-feature": rows_per_feature})
    beside = {"calculator-option": calculator_option, "worst": worst}
    refuse_useless_calculator(calculator, beside, scans=scans, reweight=reweight)
    e0s = load_checkpoint(checkpoint).config.reference_energies
    engine = named_calculator(calculator, calculator_option or [])
    frames = read_with_forces(data, e0s, npz_unit, trust_units=trust_units)
    there = None if update is None else load_finetune(checkpoint)
    before = LabelWeights() if there is None else there[1].label_weights
    options = what_to_try(head, features, ridge, scans=scans, allow_holes=allow_holes)
    options = replace(options, label_weights=before.changed(energy_weight, virial_weight))
    if rows_per_feature is not None:
        options = replace(options, rows_per_feature=rows_per_feature)
    if update is not None and there is not None:
        solution = updated(there, frames, update, options, device.resolve())
    else:
        judges = None
        if held_out is not None:
            judges = read_with_forces(held_out, e0s, npz_unit, trust_units=trust_units)
        divided = parts(frames, judges, held_out_fraction, seed)
        solution = solved(
            checkpoint, *divided, options, device=device.resolve(), dtype=dtype, reweight=reweight
        )
    report(solution)
    if engine is not None:
        solution = with_worst_labelled(solution, engine, worst or WORST, options, device.resolve())
        report(solution)
    wrote(*save(folder, solution, checkpoint, overwrite=overwrite))


def what_to_try(
    head: Head, features: int, ridge: float | None, *, scans: bool, allow_holes: bool
) -> "Options":
    """Return heads, ridges and scan weights to choose from."""
    from fisher_mlip.fisher import Options
    from fisher_mlip.fisher.nesting import KINDS
    from fisher_mlip.fisher.selection import RIDGES, SCAN_WEIGHTS

    return Options(
        kinds=tuple(kind for kind in KINDS if head in (Head.AUTO, kind)),
        budget=features,
        ridges=RIDGES if ridge is None else (ridge,),
        scan_weights=SCAN_WEIGHTS if scans else (0.0,),
        look_outside=scans,
        allow_holes=allow_holes,
    )


def refuse_useless_calculator(
    name: str,
    beside: Mapping[str, object],
    *,
    scans: bool,
    reweight: tuple[float, float] | None,
) -> None:
    """Refuse a calculator that could label nothing, before anything is computed."""
    from fisher_mlip.errors import InputError

    lonely = [f"--{option}" for option, value in beside.items() if value]
    if lonely and not name:
        raise InputError(f"expected --calculator beside {' and '.join(lonely)}, found none")
    if name and not scans:
        raise InputError("--calculator labels points of the scans: expected no --no-scans with it")
    if name and reweight is not None:
        raise InputError(
            "frames that are weighted can have none added: expected no --reweight with --calculator"
        )


def named_calculator(name: str, options: list[str]) -> Any:
    """Return the calculator, None where none is named; refused before anything is computed."""
    from fisher_mlip.data.calculators import build_calculator, parse_options

    return build_calculator(name, parse_options(options)) if name else None


def with_worst_labelled(
    solution: "Solution", calculator: Any, n_points: int, options: "Options", device: str
) -> "Solution":
    """Label the worst points outside the data, forces only, and solve again with them."""
    from fisher_mlip.data import Frames
    from fisher_mlip.data.labeling import label_frames
    from fisher_mlip.fisher.update import update
    from fisher_mlip.fisher.worst import worst_points

    points = worst_points(solution, n_points)
    if len(points) == 0:
        console.print("no holes on the scans: nothing to label")
        return solution
    with progress_bar("labels", len(points)) as advance:
        labelled = label_frames(points, calculator, skip_failed=True, advance=advance).frames
    # Its energies may count from another zero than the data's; forces do not.
    bare = Frames(tuple(frame.relabelled(energy=None, stress=None) for frame in labelled))
    with progress_bar("Jacobians", len(bare)) as advance:
        return update(
            solution.checkpoint,
            solution.gram,
            bare,
            "add",
            options=options,
            device=device,
            advance=advance,
        )


def refuse_beside_update(given: "dict[str, object]") -> None:
    """Refuse options that frames already summed were summed with or without."""
    from fisher_mlip.errors import InputError

    named = [f"--{name}" for name, value in given.items() if value is not None]
    if named:
        raise InputError(
            f"expected no {' and no '.join(named)} with --update: the finetune that is there "
            "settled that"
        )


def save(folder: Path, solution: "Solution", checkpoint: Path, *, overwrite: bool) -> list[Path]:
    """Write the folder, whole, and return what is in it."""
    from fisher_mlip.fisher import save_solution
    from fisher_mlip.fisher.plot import PLOT_NAME, plot_ridge_path
    from fisher_mlip.products import whole_folder, write_summary

    with whole_folder(folder, overwrite=overwrite) as partial:
        save_solution(partial, solution)
        plot_ridge_path(solution, partial / PLOT_NAME)
        write_summary(partial, {"checkpoint": str(checkpoint), **solution.summary()})
        names = sorted(path.name for path in partial.iterdir())
    return [folder / name for name in names]


def parts(
    frames: "Frames", judges: "Frames | None", fraction: float, seed: int
) -> "tuple[Frames, Frames]":
    """Return the frames to solve from and those that judge."""
    from fisher_mlip.data.split import refuse_shared_frames, split_frames

    if judges is None:
        return split_frames(frames, fraction, seed)
    refuse_shared_frames(frames, judges)
    return frames, judges


def solved(
    checkpoint: Path,
    training: "Frames",
    held_out: "Frames",
    options: "Options",
    *,
    device: str,
    dtype: Precision | None,
    reweight: tuple[float, float] | None,
) -> "Solution":
    """Solve from all frames, with a progress bar."""
    from fisher_mlip.fisher import finetune as solve_head
    from fisher_mlip.fisher.reweighting import effective_sample_size, temperature_weights
    from fisher_mlip.model.checkpoint import load_checkpoint
    from fisher_mlip.model.graph import species_of

    loaded = load_checkpoint(checkpoint)
    for frame in held_out:
        # Before the Jacobians of the training frames rather than after them.
        species_of(frame.atomic_numbers, loaded.config.elements)
    weights: FloatArray | None = None
    if reweight is not None:
        weights = temperature_weights(training, *reweight)
        console.print(
            f"{len(training)} frames at {reweight[0]:g} K count as "
            f"{effective_sample_size(weights):.1f} at {reweight[1]:g} K"
        )
    with progress_bar("Jacobians", len(training) + len(held_out)) as advance:
        return solve_head(
            loaded,
            training,
            held_out,
            options=options,
            weights=weights,
            device=device,
            dtype=dtype.value if dtype else None,
            advance=advance,
        )


def updated(
    there: "tuple[Checkpoint, GramFile]",
    frames: "Frames",
    how: Update,
    options: "Options",
    device: str,
) -> "Solution":
    """Add or remove frames, with a progress bar."""
    from fisher_mlip.fisher.update import update

    with progress_bar("Jacobians", len(frames)) as advance:
        return update(*there, frames, how.value, options=options, device=device, advance=advance)


def read_with_forces(
    path: Path, reference_energies: dict[int, float], npz_unit: EnergyUnit, *, trust_units: bool
) -> "Frames":
    """Read frames with forces; energies, where there are any, must fit the model's E0s."""
    from fisher_mlip.data import read_frames
    from fisher_mlip.data.checks import check_trainable

    found = read_frames(path, npz_energy_unit=npz_unit.value)
    found = replace(found, reference_energies=reference_energies)
    check_trainable(found, trust_units=trust_units, labels=["forces"])
    return found


def report(solution: "Solution") -> None:
    """Print the ridge path of the head that was chosen, the heads, and what was chosen."""
    from rich import box
    from rich.table import Table

    from fisher_mlip.fisher.report import head_rows, path_rows, sentences

    for title, columns, rows in (head_rows(solution), path_rows(solution)):
        # Eleven columns of numbers in a terminal of eighty characters.
        table = Table(*columns, title=title, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
        table.columns[0].no_wrap = True
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for sentence in sentences(solution):
        console.print(sentence)
