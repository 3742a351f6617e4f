"""`fisher-mlip score-match`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fisher_mlip.cli.console import console, progress_bar, wrote
from fisher_mlip.cli.options import Device, EnergyUnit, NpzUnit

if TYPE_CHECKING:
    from fisher_mlip.fisher.score_matching import ScoreMatched
    from fisher_mlip.model.checkpoint import Checkpoint


class Laplacian(StrEnum):
    """How second derivatives are taken."""

    EXACT = "exact"
    HUTCHINSON = "hutchinson"


def score_match(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder to start from.")],
    data: Annotated[
        Path, typer.Argument(help="Frames in the order of time; forces are not needed.")
    ],
    temperature: Annotated[
        float, typer.Option(help="K, at which the frames are a sample of equilibrium.")
    ],
    laplacian: Annotated[
        Laplacian, typer.Option(help="exact: three passes an atom; hutchinson: random probes.")
    ] = Laplacian.HUTCHINSON,
    probes: Annotated[int, typer.Option(min=2, help="Random probes a frame.")] = 4,
    blocks: Annotated[
        int, typer.Option(min=4, help="Of frames, for errors; each outlasts the correlation time.")
    ] = 20,
    ridge: Annotated[
        float | None, typer.Option(min=0.0, help="This one; default: blocks left out choose.")
    ] = None,
    trust_temperature: Annotated[
        bool, typer.Option(help="Go on where the frames show another temperature.")
    ] = False,
    trust_units: Annotated[
        bool, typer.Option(help="Leave out the check that units look like eV and Å.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default: CHECKPOINT-score.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the probes.")] = 0,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.AUTO,
    npz_unit: NpzUnit = EnergyUnit.KCAL_PER_MOL,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
) -> None:
    """Solve for the last layer without forces, from equilibrium frames and their temperature.

    Hyvärinen's score matching: T theta = E[Laplacian of the features] / beta - E[G' grad U_model].
    One frame with forces is worth tens of frames without: use `finetune` where there are forces.

    Example: fisher-mlip score-match runs/base frames.xyz --temperature 300 -o runs/matched
    """
    from fisher_mlip.data import read_frames
    from fisher_mlip.data.checks import check_trainable
    from fisher_mlip.fisher.score_checkpoint import refuse_head, require_temperature
    from fisher_mlip.fisher.score_matching import score_matched_theta
    from fisher_mlip.model.checkpoint import load_checkpoint
    from fisher_mlip.products import refuse_existing, sibling

    folder = output or sibling(checkpoint, "score")
    refuse_existing(folder, overwrite=overwrite, inputs=[checkpoint, data])
    loaded = load_checkpoint(checkpoint)
    refuse_head(loaded)
    frames = read_frames(data, npz_energy_unit=npz_unit.value)
    check_trainable(frames, trust_units=trust_units, labels=())
    with progress_bar("Laplacians", len(frames)) as advance:
        found = score_matched_theta(
            loaded,
            frames,
            temperature,
            laplacian=laplacian.value,
            probes=probes,
            seed=seed,
            ridge=ridge,
            n_blocks=blocks,
            device=device.resolve(),
            advance=advance,
        )
    report(found)
    require_temperature(found, trust=trust_temperature)
    wrote(*save(folder, loaded, found, {"checkpoint": str(checkpoint)}, overwrite=overwrite))


def save(
    folder: Path,
    checkpoint: "Checkpoint",
    found: "ScoreMatched",
    facts: dict[str, str],
    *,
    overwrite: bool,
) -> list[Path]:
    """Write the folder, whole, and return what is in it."""
    from fisher_mlip.fisher.score_checkpoint import score_matched_checkpoint
    from fisher_mlip.model.checkpoint import save_checkpoint
    from fisher_mlip.products import whole_folder, write_summary

    with whole_folder(folder, overwrite=overwrite) as partial:
        save_checkpoint(partial, score_matched_checkpoint(checkpoint, found))
        write_summary(partial, {**facts, **found.summary()})
        names = sorted(path.name for path in partial.iterdir())
    return [folder / name for name in names]


def report(found: "ScoreMatched") -> None:
    """Print what was found."""
    console.print(
        f"temperature that frames and model show together: {found.model_temperature:.0f} +- "
        f"{found.model_temperature_error:.0f} K, stated {found.temperature:g} K"
    )
    if found.score.ridge is None:
        console.print(f"{found.why_kept}: the pretrained readout is kept")
    else:
        error = 1000.0 * found.score.force_error
        console.print(f"ridge {found.score.ridge:.0e}, statistical force error {error:.1f} meV/Å")
    if found.comparison is not None:
        with_forces = found.comparison
        console.print(
            f"force RMSE on blocks left out: base {1000 * with_forces.base_rmse:.1f}, without "
            f"forces {1000 * with_forces.score_matched_rmse:.1f}, with forces "
            f"{1000 * with_forces.force_matched_rmse:.1f} meV/Å"
        )
