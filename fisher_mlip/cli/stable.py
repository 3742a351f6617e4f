"""`fisher-mlip stable`."""

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fisher_mlip.cli.console import console, fraction_bar, wrote
from fisher_mlip.cli.options import refuse_given

if TYPE_CHECKING:
    from fisher_mlip.stable.records import Row, State

_SETTLED = (
    *("finetuned", "reference", "temperature", "observable", "start_frames", "held_out"),
    *("replicas", "stable_ps", "timestep", "friction", "look_interval"),
    *("frame_interval", "bond_deviation", "intermolecular_distance", "temperature_ratio"),
    *("margin_ps", "estimator", "neighborhood", "strength", "ess", "force_tolerance"),
    *("platform", "seed", "overwrite"),
)


class ObservableKind(StrEnum):
    """Averages to train on."""

    DISTANCES = "distances"
    BONDS = "bonds"
    RDF = "rdf"


class Estimator(StrEnum):
    """What a molecule's part of an observable is correlated with."""

    AUTO = "auto"
    GLOBAL = "global"
    LOCALIZED = "localized"


def stable(
    context: typer.Context,
    finetuned: Annotated[
        Path | None, typer.Argument(help="Folder that `finetune` made. Not with --resume.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Frames sampled at the temperature, or a run folder (nvt, npt)."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="K, of the simulations and of the reference.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default: FINETUNED-stable.")
    ] = None,
    observable: Annotated[
        list[ObservableKind] | None,
        typer.Option(help="To train on, repeatable. Default: all that the system has."),
    ] = None,
    start_frames: Annotated[
        Path | None, typer.Option(help="Replicas start from these; default: the reference's.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Labelled frames whose force MAE is told too.")
    ] = None,
    replicas: Annotated[
        int, typer.Option(min=1, help="Molecules that do not see each other, or boxes.")
    ] = 16,
    stable_ps: Annotated[
        float, typer.Option(help="ps of a phase; done when all replicas last so long.")
    ] = 10.0,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Most simulation phases. Default: 10.")
    ] = None,
    timestep: Annotated[float, typer.Option(help="fs.")] = 0.5,
    friction: Annotated[float, typer.Option(help="Of the Langevin thermostat, 1/ps.")] = 1.0,
    look_interval: Annotated[int, typer.Option(min=1, help="Steps between looks.")] = 10,
    frame_interval: Annotated[
        int, typer.Option(min=1, help="Looks between frames that are averaged.")
    ] = 2,
    bond_deviation: Annotated[
        float, typer.Option(help="Å: a replica with a bond further off its mean length is lost.")
    ] = 0.25,
    intermolecular_distance: Annotated[
        float, typer.Option(help="Å: a box with molecules closer than this is lost; 0: none.")
    ] = 1.2,
    temperature_ratio: Annotated[
        float, typer.Option(help="A replica hotter than this times the target is lost.")
    ] = 2.0,
    margin_ps: Annotated[
        float, typer.Option(help="ps before its loss that a replica goes on from.")
    ] = 0.05,
    estimator: Annotated[
        Estimator, typer.Option(help="auto: localized for boxes, else global.")
    ] = Estimator.AUTO,
    neighborhood: Annotated[
        float, typer.Option(help="Å around a molecule, of the localized estimator.")
    ] = 3.0,
    strength: Annotated[
        float, typer.Option("--lambda", help="Of the Fisher quadratic; 1: finetune's posterior.")
    ] = 1.0,
    ess: Annotated[
        float, typer.Option(help="Least effective part of the frames, reweighted to a step.")
    ] = 0.5,
    force_tolerance: Annotated[
        float, typer.Option(min=0.0, help="Largest relative increase of the held-out force error.")
    ] = 0.05,
    platform: Annotated[str, typer.Option(help="OpenMM platform, or auto.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of starts, velocities and noise.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in --output.")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
) -> None:
    """Train the head on averages of stable dynamics, where forces alone leave it unstable.

    StABlE training (Raja et al. 2024) on a linear head: replicas run, rewound when they are
    lost; the slopes of averages by theta are covariances with the head's features, -Cov(g, D) /
    kT; a Gauss-Newton step goes toward the reference, held by the finetune's own normal
    equations. A step keeps an effective part of the frames and the held-out force error; the
    iteration of the longest stable time is kept. Experimental: on the models of ours that were
    tried (200 frames, 500 K) its steps did not lengthen stable times: where chi2 is near 1
    there is nothing to learn.

    Example: fisher-mlip stable runs/fisher --reference frames.xyz --temperature 500 -o runs/stable
    """
    from fisher_mlip.config import parse_config
    from fisher_mlip.errors import InputError
    from fisher_mlip.products import sibling
    from fisher_mlip.stable import StableConfig, resume_stable, train_stable

    if resume:
        refuse_given(context, _SETTLED, "is settled by the training that --resume goes on with")
        if output is None:
            raise InputError("expected the folder of a training by -o with --resume, found none")
        ended(output, resume_stable(output, iterations=iterations, bar=fraction_bar, tell=tell))
        return
    needed = {"FINETUNED": finetuned, "--reference": reference, "--temperature": temperature}
    missing = [name for name, value in needed.items() if value is None]
    if missing or finetuned is None:
        raise InputError(f"expected {' and '.join(missing)}, found none")
    given: dict[str, Any] = {
        name: value for name, value in context.params.items() if name in StableConfig.model_fields
    }
    given |= {
        "observables": [kind.value for kind in observable or []],
        "effective_fraction": ess,
        "estimator": estimator.value,
        "iterations": iterations or 10,
    }
    for name in ("finetuned", "reference", "start_frames", "held_out"):
        path = given[name]
        given[name] = str(path.resolve()) if path is not None else ""
    config = parse_config(given, StableConfig, "the options")
    folder = output or sibling(finetuned, "stable")
    state = train_stable(config, folder, overwrite=overwrite, bar=fraction_bar, tell=tell)
    ended(folder, state)


def tell(row: "Row") -> None:
    """Print what an iteration found, and its step."""
    console.print(
        f"iteration {row.iteration}: stable for {row.median_ps:.3g} ps (median; "
        f"{100 * row.fraction_lost:.0f} % lost in {row.phase_ps:.3g} ps), chi2 {row.chi2:.3g} of "
        f"{row.n_independent:.0f} independent frames, held-out force RMSE "
        f"{row.held_out_rmse:.1f} meV/Å, {row.seconds:.0f} s"
    )
    if not math.isnan(row.step_norm):
        console.print(
            f"  step of {row.force_change:.2g} meV/Å with lambda {row.strength:g}, "
            f"{100 * row.length:.3g} % of its length for {100 * row.effective_fraction:.0f} % "
            f"effective frames; predicted chi2 {row.predicted_chi2:.3g}"
        )


def ended(folder: Path, state: "State") -> None:
    """Print why it ended, what is kept, and the paths."""
    from fisher_mlip.products import read_json
    from fisher_mlip.stable.product import files_in

    best = read_json(folder / "summary.json", ["best"])["best"]
    console.print(
        f"{state.ending}; iteration {best['iteration']} is kept: stable for "
        f"{best['median_stable_time_ps']:.3g} ps, held-out force RMSE "
        f"{best['held_out_force_rmse_meV_A']:.1f} meV/Å"
    )
    wrote(*files_in(folder))
