"""The main job on the embedded reference: frames -> model -> Fisher head -> OpenMM -> report.

Each stage leaves its product in a folder of its own; a stage whose product is there is not done
again, so a quickstart that was stopped goes on where it was.
"""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import Field

from fisher_mlip.analysis import Section, analyze_runs, fill_report
from fisher_mlip.config import (
    Config,
    DeviceName,
    SimulateConfig,
    TrainConfig,
    read_config,
    write_yaml,
)
from fisher_mlip.data import Frames, read_frames, sampling, write_frames
from fisher_mlip.data.split import split_into_parts
from fisher_mlip.errors import InputError
from fisher_mlip.export import write_artefact
from fisher_mlip.export.parity import compare, probe_frames, require_parity
from fisher_mlip.fisher import finetune, save_solution
from fisher_mlip.fisher.plot import PLOT_NAME, plot_ridge_path
from fisher_mlip.model import load_checkpoint
from fisher_mlip.products import locked_folder, read_json, whole_folder, write_summary
from fisher_mlip.simulate import run_simulation
from fisher_mlip.train import train_model
from fisher_mlip.train.curve import EpochRow
from fisher_mlip.train.metrics import ForceEnergyErrors, errors
from fisher_mlip.train.settings import training_config

SETTINGS_NAME = "quickstart.yaml"
MODELS = ("base", "fisher")
# What the report tells of the head.
SOLUTION_KEYS = ("kept_pretrained", "chosen", "base", "force_components")
MINIATURE = (
    "This is a miniature that shows that everything runs. Its sizes are far too small for its "
    "numbers, pictures and verdicts to mean anything: run the quickstart without --smoke for those."
)


class QuickstartConfig(Config):
    """Sizes of the quickstart; the defaults fit 15 minutes of 2 cores, installation included.

    Attributes:
        gas_frames: frames of single molecules at 500 K.
        liquid_frames: frames of a liquid box at 300 K.
        liquid_molecules: molecules in that box.
        training_seconds: wall time of the training.
        molecules: independent molecules in the stability runs.
        steps: of 1 fs in the stability runs.
        box_molecules: molecules of the liquid box that the finetuned model runs.
        box_steps: of 0.5 fs in that box.
    """

    gas_frames: int = Field(400, ge=20)
    liquid_frames: int = Field(15, ge=5)
    liquid_molecules: int = Field(16, ge=16)
    training_seconds: float = Field(210.0, gt=0)
    molecules: int = Field(32, ge=1)
    steps: int = Field(1500, ge=10)
    box_molecules: int = Field(600, ge=16)
    box_steps: int = Field(40, ge=4)
    seed: int = Field(0, ge=0, lt=2**63)
    device: DeviceName = "auto"

    @property
    def is_miniature(self) -> bool:
        """Whether something is smaller than by default, so that the numbers mean nothing."""
        free = {"seed", "device"}
        return any(
            getattr(self, name) < field.default
            for name, field in type(self).model_fields.items()
            if name not in free
        )


class Show(Protocol):
    """How the stages are shown while they go."""

    def stage(self, title: str) -> None:
        """Announce a stage."""

    def bar(self, label: str) -> AbstractContextManager[Callable[[float], None]]:
        """Show a bar and yield the function that sets its fraction."""


@dataclass(frozen=True)
class Quickstart:
    """Where everything is, and what it is made from."""

    folder: Path
    config: QuickstartConfig
    show: Show

    def part(self, name: str) -> Frames:
        return read_frames(self.folder / "data" / f"{name}.xyz")


def run_quickstart(
    folder: Path, config: QuickstartConfig, show: Show, *, overwrite: bool = False
) -> list[Path]:
    """Run the main job and return the paths of the report.

    Args:
        folder: of the quickstart; one that was stopped goes on.
        config: its sizes.
        show: how its stages are shown.
        overwrite: delete a quickstart that is in `folder` first.

    Raises:
        InputError: `folder` holds something else, a quickstart with other settings, or one that
            another process is running.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked_folder(folder):
        if overwrite and (folder / SETTINGS_NAME).is_file():
            _empty_folder(folder)
        _open_folder(folder, config)
        job = Quickstart(folder, config, show)
        for stage in (sample, train, solve, export, simulate):
            stage(job)
        return report(job)


def _empty_folder(folder: Path) -> None:
    """Delete what is in a folder, which stays: its lock is held.

    The settings go last: without them it would be no quickstart that may be deleted.
    """
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == SETTINGS_NAME):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _open_folder(folder: Path, config: QuickstartConfig) -> None:
    settings = folder / SETTINGS_NAME
    if settings.is_file():
        before = read_config(settings, QuickstartConfig)
        if before != config:
            raise InputError(
                f"'{folder}' holds a quickstart with other settings: name another folder with "
                "--output or pass --overwrite"
            )
        return
    if any(folder.iterdir()):
        raise InputError(f"output '{folder}' exists and is no quickstart: name another one")
    write_yaml(settings, config.model_dump())


def sample(job: Quickstart) -> None:
    """Sample the classical reference and split its frames."""
    job.show.stage("data: ethanol by the embedded classical reference (OPLS-AA, OpenMM)")
    folder, config = job.folder / "data", job.config
    if folder.exists():
        return
    with job.show.bar(f"{config.gas_frames} gas frames, 500 K") as progress:
        gas = sampling.sample_gas(
            config.gas_frames, 500.0, config.seed, progress=lambda _, done: progress(done)
        )
    with job.show.bar(f"{config.liquid_frames} liquid frames, 300 K") as progress:
        liquid = sampling.sample_liquid(
            config.liquid_frames,
            300.0,
            config.liquid_molecules,
            config.seed,
            progress=lambda _, done: progress(done),
        )
    parts = [_split(frames, config.seed) for frames in (gas, liquid)]
    with whole_folder(folder) as partial:
        for name in ("train", "validation", "test"):
            both = (*parts[0][name].frames, *parts[1][name].frames)
            write_frames(partial / f"{name}.xyz", Frames(both, gas.reference_energies, name))
        write_frames(partial / "start.xyz", parts[0]["test"])
        write_summary(partial, {"gas_frames": len(gas), "liquid_frames": len(liquid)})


def _split(frames: Frames, seed: int) -> dict[str, Frames]:
    tenth = max(1, len(frames) // 10)
    sizes = {"validation": tenth, "test": 2 * tenth, "train": len(frames) - 3 * tenth}
    return dict(split_into_parts(frames, sizes, seed).parts)


def train(job: Quickstart) -> None:
    """Train the base model; a training that was cut goes on."""
    job.show.stage("train: e3nn message passing on energies and forces")
    folder, config = job.folder / "base", job.config
    if (folder / "summary.json").is_file():
        return
    flags = {
        "max_seconds": config.training_seconds,
        "max_epochs": 10_000,
        "seed": config.seed,
        "device": config.device,
    }
    settings: TrainConfig = training_config("accurate", None, flags)
    with job.show.bar("training") as progress:

        def show(row: EpochRow, used: float) -> None:
            progress(used)

        started = folder.exists()
        parts = job.part("train"), job.part("validation")
        train_model(settings, *parts, folder, resume=started, show=show)


def solve(job: Quickstart) -> None:
    """Solve for the head; the validation frames and scans out of the data choose it."""
    job.show.stage("fisher: a linear head in closed form")
    folder = job.folder / "fisher"
    if folder.exists():
        return
    training, held_out = job.part("train"), job.part("validation")
    with job.show.bar("Jacobians") as progress:
        done, total = 0, len(training) + len(held_out)

        def advance(n_frames: int) -> None:
            nonlocal done
            done += n_frames
            progress(done / total)

        solution = finetune(
            load_checkpoint(job.folder / "base"), training, held_out, advance=advance
        )
    with whole_folder(folder) as partial:
        save_solution(partial, solution)
        plot_ridge_path(solution, partial / PLOT_NAME)
        write_summary(partial, solution.summary())


def export(job: Quickstart) -> None:
    """Export both models and compare them with the eager ones."""
    job.show.stage("export: TorchScript for OpenMM, compared with the eager model")
    frames = list(job.part("test").frames[:3])
    for name in MODELS:
        folder = job.folder / f"{name}-torchforce"
        if folder.exists():
            continue
        checkpoint = load_checkpoint(job.folder / name)
        with whole_folder(folder) as partial:
            artefact = write_artefact(partial, checkpoint)
            probes = probe_frames(checkpoint.config.elements)
            parity = compare(artefact, checkpoint, [*probes, *frames])
            require_parity(parity)
            write_summary(partial, {"target": "torchforce", "parity": parity.__dict__})


def simulate(job: Quickstart) -> None:
    """Run the models in the gas from the same states, and the finetuned one in the liquid."""
    job.show.stage("simulate: OpenMM with TorchForce, mdtraj reporters, float64 ledger")
    config = job.config
    for name in _gas_models(job):
        gas = SimulateConfig(
            model=str(job.folder / f"{name}-torchforce"),
            molecules=config.molecules,
            steps=config.steps,
            trajectory_interval=20,
            start_frames=str(job.folder / "data" / "start.xyz"),
            seed=config.seed,
            device=config.device,
        )
        _run(gas, job.folder / f"run-gas-{name}")
    liquid = SimulateConfig(
        model=str(job.folder / "fisher-torchforce"),
        system="ethanol-liquid",
        molecules=config.box_molecules,
        ensemble="nvt",
        temperature=300.0,
        timestep=0.5,
        steps=config.box_steps,
        report_interval=2,
        trajectory_interval=4,
        seed=config.seed,
        device=config.device,
    )
    _run(liquid, job.folder / "run-liquid-fisher")


def _gas_models(job: Quickstart) -> tuple[str, ...]:
    """Return the models whose forces differ: where no head was better, one run tells all."""
    return ("base",) if _solution(job)["kept_pretrained"] else MODELS


def _solution(job: Quickstart) -> dict[str, Any]:
    """Return what `solve` found."""
    return read_json(job.folder / "fisher" / "summary.json", SOLUTION_KEYS)


def _run(config: SimulateConfig, folder: Path) -> None:
    # An unstable run is a result, and the report says so.
    outcome = folder / "summary.json"
    if outcome.is_file() and read_json(outcome, ["status"])["status"] == "unstable":
        return
    summary = run_simulation(config, folder, resume=folder.exists())
    if summary.status == "interrupted":
        raise KeyboardInterrupt


def report(job: Quickstart) -> list[Path]:
    """Analyze the runs and write the report at the top of the folder."""
    job.show.stage("analyze: drift, stability, temperatures")
    names = {"base": "gas, base", "fisher": "gas, Fisher head"}
    runs = {names[name]: job.folder / f"run-gas-{name}" for name in _gas_models(job)}
    runs["liquid, Fisher head"] = job.folder / "run-liquid-fisher"
    test = job.part("test")
    found: dict[str, ForceEnergyErrors] = {}
    for name in MODELS:
        checkpoint = load_checkpoint(job.folder / name)
        found[name] = errors(checkpoint.network, test, checkpoint.config)
    written = fill_report(
        analyze_runs(list(runs.values()), labels=list(runs)),
        job.folder,
        sections=_sections(job, found),
        title="fisher-mlip quickstart: ethanol",
        banner=MINIATURE if job.config.is_miniature else "",
        extra_summary={
            "miniature": job.config.is_miniature,
            "test_errors": {name: error.as_metrics() for name, error in found.items()},
            "fisher": _without_path(_solution(job)),
        },
    )
    return [job.folder / name for name in written]


def _sections(job: Quickstart, found: dict[str, ForceEnergyErrors]) -> list[Section]:
    base = load_checkpoint(job.folder / "base")
    solution = _solution(job)
    test = job.part("test")
    labels = np.concatenate([f.forces.reshape(-1) for f in test if f.forces is not None])
    rows: list[list[object]] = [
        ["model", "force MAE (meV/Å)", "force RMSE (meV/Å)", "energy MAE (meV/atom)"]
    ]
    for name, error in found.items():
        figures = (error.force_mae, error.force_rmse, error.energy_per_atom_mae)
        rows.append([name, *(f"{1000 * figure:.2f}" for figure in figures)])
    head, before = solution["chosen"], solution["base"]
    chosen = f"the head '{head['head']}' with {head['features']} features was chosen"
    if solution["kept_pretrained"]:
        chosen = "no head was better and as safe: the pretrained model was kept (run once)"
    return [
        Section(
            "Errors on test frames",
            f"{len(job.part('train'))} training frames of the OPLS-AA reference, gas at 500 K and "
            f"liquid at 300 K; trained for {base.metrics.get('seconds', float('nan')):.0f} s. "
            f"Errors are over {len(test)} test frames, whose reference forces have a root mean "
            f"square of {1000.0 * np.sqrt(np.mean(labels**2)):.0f} meV/Å.",
            rows,
            [job.folder / "base" / "training_curve.png"],
        ),
        Section(
            "The Fisher head",
            f"theta = T^-1 c from {solution['force_components']} force components: {chosen}. "
            f"Held-out force RMSE {before['held_out_force_rmse_meV_A']:.1f} -> "
            f"{head['held_out_force_rmse_meV_A']:.1f} meV/Å; lowest way out of the data "
            f"{before['barrier_eV']:.2f} -> {head['barrier_eV']:.2f} eV, "
            f"{before['holes']} -> {head['holes']} holes (scans along which the energy comes down "
            "again: bonds stretched, angles bent, atoms pushed together).",
            [],
            [job.folder / "fisher" / PLOT_NAME],
        ),
    ]


def _without_path(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key != "heads"}
