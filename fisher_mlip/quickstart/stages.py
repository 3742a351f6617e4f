"""The main job on the embedded reference: frames -> model -> Fisher head -> OpenMM -> report.

Each stage leaves its product in a folder of its own; a stage whose product is there is not done
again, so a quickstart that was stopped goes on where it was.
"""

import shutil
from pathlib import Path

from fisher_mlip.certificate import certify
from fisher_mlip.certificate.binding import bind
from fisher_mlip.config import SimulateConfig, TrainConfig, read_config, write_yaml
from fisher_mlip.data import Frames, sampling, write_frames
from fisher_mlip.data.split import split_into_parts
from fisher_mlip.errors import InputError
from fisher_mlip.export import write_artefact
from fisher_mlip.export.parity import compare, probe_frames, require_parity
from fisher_mlip.fisher import finetune, save_solution
from fisher_mlip.fisher.plot import PLOT_NAME, plot_ridge_path
from fisher_mlip.model import load_checkpoint
from fisher_mlip.products import locked_folder, read_json, whole_folder, write_summary
from fisher_mlip.quickstart.report import report
from fisher_mlip.quickstart.settings import MODELS, Quickstart, QuickstartConfig, Show
from fisher_mlip.simulate import run_simulation
from fisher_mlip.train import train_model
from fisher_mlip.train.curve import EpochRow
from fisher_mlip.train.settings import training_config

SETTINGS_NAME = "quickstart.yaml"


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
    settings: TrainConfig = training_config("fast", None, flags)
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
    """Export both models, compare them with the eager ones, and certify that with the head.

    The base model is here to be compared with.
    """
    job.show.stage("export: TorchScript for OpenMM, compared with the eager model; certificate")
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
            if name == "fisher":
                with job.show.bar("certificate") as progress:
                    bind(artefact, certify(artefact, checkpoint=checkpoint, platform="CPU"))
                    progress(1.0)
            named = {"target": "torchforce", "checkpoint": name}
            write_summary(partial, {**named, "parity": parity.__dict__})


def simulate(job: Quickstart) -> None:
    """Run the models in the gas from the same states, and the finetuned one in the liquid."""
    job.show.stage("simulate: OpenMM with TorchForce, mdtraj reporters, float64 ledger")
    config = job.config
    for name in job.gas_models:
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


def _run(config: SimulateConfig, folder: Path) -> None:
    # An unstable run is a result, and the report says so.
    outcome = folder / "summary.json"
    if outcome.is_file() and read_json(outcome, ["status"])["status"] == "unstable":
        return
    summary = run_simulation(config, folder, resume=folder.exists())
    if summary.status == "interrupted":
        raise KeyboardInterrupt
