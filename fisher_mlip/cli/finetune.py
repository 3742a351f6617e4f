"""`fisher-mlip finetune`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fisher_mlip.cli.console import console, progress_bar, wrote
from fisher_mlip.cli.options import Device, EnergyUnit, NpzUnit, Precision

if TYPE_CHECKING:
    from fisher_mlip.data import Frames
    from fisher_mlip.fisher import Solution


def finetune(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder to start from.")],
    data: Annotated[Path, typer.Argument(help="Frames with forces (extended XYZ, .npz).")],
    held_out: Annotated[
        Path | None,
        typer.Option(help="Frames that only choose the ridge; default: a part of DATA."),
    ] = None,
    held_out_fraction: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Part of DATA held out without --held-out.")
    ] = 0.2,
    ridge: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Try this ridge and no other; 0: within the rank.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default: CHECKPOINT-fisher.")
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
    """Solve for the last layer in closed form: the readout of least Fisher divergence.

    theta = T^-1 c with T = E[G'G] and c = -E[G'F] over your frames, G the Jacobian of the
    last-layer features; float64, with a ridge toward the pretrained readout that the held-out
    frames choose. Where no ridge beats the pretrained readout, it is kept, and said so.

    Example: fisher-mlip finetune runs/base frames.xyz -o runs/finetuned
    """
    from fisher_mlip.data.split import refuse_shared_frames, split_frames
    from fisher_mlip.fisher import finetune as solve_head
    from fisher_mlip.fisher import save_solution
    from fisher_mlip.fisher.plot import PLOT_NAME, plot_ridge_path
    from fisher_mlip.fisher.solve import RIDGES
    from fisher_mlip.model.checkpoint import load_checkpoint
    from fisher_mlip.products import refuse_existing, whole_folder, write_summary

    folder = output or checkpoint.with_name(f"{checkpoint.name}-fisher")
    refuse_existing(folder, overwrite=overwrite)
    loaded = load_checkpoint(checkpoint)
    e0s = loaded.config.reference_energies
    frames = read_with_forces(data, e0s, npz_unit, trust_units=trust_units)
    if held_out is None:
        training, chosen = split_frames(frames, held_out_fraction, seed)
    else:
        training = frames
        chosen = read_with_forces(held_out, e0s, npz_unit, trust_units=trust_units)
        refuse_shared_frames(training, chosen)
    with progress_bar("Jacobians", len(training) + len(chosen)) as advance:
        solution = solve_head(
            loaded,
            training,
            chosen,
            ridges=RIDGES if ridge is None else (ridge,),
            device=device.resolve(),
            dtype=dtype.value if dtype else None,
            advance=advance,
        )
    report(solution)
    with whole_folder(folder, overwrite=overwrite) as partial:
        save_solution(partial, solution)
        plot_ridge_path(solution, partial / PLOT_NAME)
        write_summary(partial, {"checkpoint": str(checkpoint), **solution.summary()})
        names = sorted(path.name for path in partial.iterdir())
    wrote(*(folder / name for name in names))


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
    """Print the ridge path and what was chosen."""
    from rich.table import Table

    table = Table("ridge", "training", "held out", "eff. d.o.f.", title="force RMSE (meV/Å)")
    for row in solution.rows:
        table.add_row(
            f"{row.ridge:.0e}" + (" *" if row.ridge == solution.ridge else ""),
            f"{1000 * row.training_force_rmse:.2f}",
            f"{1000 * row.held_out_force_rmse:.2f}",
            f"{row.effective_degrees_of_freedom:.1f}",
        )
    console.print(table)
    n_features, rank = len(solution.equations.moment), solution.spectrum.rank
    console.print(f"rank {rank} of {n_features}, condition {solution.spectrum.condition:.2e}")
    if solution.ridge is None:
        console.print("no ridge beats the pretrained readout on the held-out frames: it is kept")
    console.print(
        f"held-out force RMSE {1000 * solution.base_held_out_rmse:.2f} -> "
        f"{1000 * solution.held_out_rmse:.2f} meV/Å"
    )
