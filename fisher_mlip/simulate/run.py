"""Runs a simulation from its configuration to its summary, afresh or from a checkpoint."""

from pathlib import Path

import torch

from fisher_mlip.config import SimulateConfig, write_yaml
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, load_artefact
from fisher_mlip.export.certification import (
    PresentConditions,
    certification_note,
    without_certification_warnings,
)
from fisher_mlip.products import (
    folder_identity,
    refuse_existing,
    whole_folder,
    write_summary,
)
from fisher_mlip.simulate.checkpoints import (
    Segments,
    read_state,
    state_cell,
    write_checkpoint,
    write_record,
)
from fisher_mlip.simulate.cutting import cut_tables, cut_trajectory
from fisher_mlip.simulate.driving import Run, drive
from fisher_mlip.simulate.engine import build_simulation, choose_threads, draw_velocities, set_start
from fisher_mlip.simulate.folder import (
    RunFolder,
    first_system,
    read_description,
    write_description,
)
from fisher_mlip.simulate.healing import (
    Healer,
    artefact_in_use,
    check_healer,
    healed_models,
    write_healings,
)
from fisher_mlip.simulate.platform import choose_platform
from fisher_mlip.simulate.progress import show_note
from fisher_mlip.simulate.records import CheckpointRecord, Reference, Segment, files_of
from fisher_mlip.simulate.reporting import attach_reporters
from fisher_mlip.simulate.rewinding import (
    close_rewind,
    forget_later_states,
    keep_good_state,
    place_pending,
    read_memory,
    read_rewinds,
    seed_of,
)
from fisher_mlip.simulate.settings import (
    check_resume,
    settled_config,
    was_healed_so,
    with_route_of,
)
from fisher_mlip.simulate.summary import RunSummary, finished_summary
from fisher_mlip.simulate.systems import build_molecular_system
from fisher_mlip.simulate.watching import criteria_of
from openmm_plugin.watch import cut_alarms


def run_simulation(
    config: SimulateConfig,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    healer: Healer | None = None,
) -> RunSummary:
    """Run a simulation and write its run folder.

    A run folder appears with its state at step 0 in it, so that it can be resumed from then on.
    SIGINT and SIGTERM end the run: NVE and Nosé-Hoover NVT with a checkpoint, what has noise or an
    inner potential at its last regular one, so that a resume repeats it to the bit.

    Args:
        config: what to run.
        folder: the run folder.
        resume: go on from the last checkpoint in `folder`; rows and frames after it are cut and
            written again.
        overwrite: delete a run that is in `folder`.
        healer: of alarms, where `config.heal` names a calculator; `fisher_mlip.heal` has one.

    Returns:
        The outcome, also written as `summary.json`.

    Raises:
        InputError: the input cannot be used.
        OSError: the disk is full or failed; the run can be resumed.
    """
    artefact = load_artefact(Path(config.model))
    config = settled_config(config, artefact)
    check_healer(config, healer)
    with without_certification_warnings():
        return _run(config, artefact, RunFolder(folder), healer, resume=resume, overwrite=overwrite)


def _run(
    config: SimulateConfig,
    artefact: Artefact,
    place: RunFolder,
    healer: Healer | None,
    *,
    resume: bool,
    overwrite: bool,
) -> RunSummary:
    if not resume:
        run = start_run(config, artefact, place, overwrite=overwrite, healer=healer)
        with place.locked():
            return _finish(run, artefact)
    config = with_route_of(config, place)
    check_resume(config, artefact, place)
    with place.locked():
        done = finished_summary(config, place)
        if done is not None:
            return done
        if healer is not None and not was_healed_so(config, place):
            healer.check(first_system(place), artefact)
        return _finish(_resume(config, artefact, place, healer), artefact)


def _tell_certification(artefact: Artefact, config: SimulateConfig) -> None:
    """Say in a note where a potential runs elsewhere than it was certified, or never was."""
    platform, _ = choose_platform(config)
    name = str(platform.getName())
    on_gpu = name in ("CUDA", "OpenCL")
    present = PresentConditions(
        device=str(torch.cuda.get_device_name()) if on_gpu else "cpu",
        torch=torch.__version__,
        platform=name,
    )
    note = certification_note(artefact, present)
    if note is not None:
        show_note(note)


def start_run(
    config: SimulateConfig,
    artefact: Artefact,
    folder: RunFolder,
    *,
    overwrite: bool,
    healer: Healer | None = None,
) -> Run:
    """Build the system, then make the run folder with step 0 in it.

    Args:
        config: what to run, settled.
        artefact: the potential.
        folder: the run folder.
        overwrite: delete a run that is in `folder`.
        healer: of its alarms; None where they are not healed.

    Raises:
        InputError: the input cannot be used, or the folder may not be made.
    """
    if folder.record.exists() and not overwrite:
        raise InputError(
            f"output '{folder.path}' exists and holds a run: --resume or --restart auto goes on "
            "with it, --overwrite deletes it, another -o leaves it alone"
        )
    inputs = [artefact.path, *files_of(config).values()]
    refuse_existing(folder.path, overwrite=overwrite, inputs=inputs)
    if folder.path.exists() and any(folder.path.iterdir()) and not folder.record.exists():
        raise InputError(f"'{folder.path}' is no run folder: --overwrite does not delete it")
    molecular = build_molecular_system(config, artefact.manifest.cutoff)
    if molecular.note:
        show_note(molecular.note)
    # Bounds that do not fit the system are told before there is a folder.
    criteria_of(molecular, config, None)
    simulation = build_simulation(molecular, artefact, config, config.seed, step=0)
    set_start(simulation, molecular, config)
    if healer is not None:
        healer.check(molecular, artefact)
    choose_threads(simulation)
    # A resume takes the same route, whatever has become of the compiler meanwhile.
    config = config.model_copy(update={"route": simulation.potential.route})
    segments = [Segment(file=folder.segment(1).name, first_step=0)]
    with whole_folder(folder.path, overwrite=overwrite) as partial:
        kernel = simulation.potential.kernel
        write_description(RunFolder(partial), molecular, artefact, config, kernel)
        write_checkpoint(simulation, RunFolder(partial), segments)
        keep_good_state(RunFolder(partial), 0, config)
    reporters = attach_reporters(
        simulation, molecular, artefact, config, folder, folder.segment(1), append=False
    )
    identity = folder_identity(folder.path)
    parts = (config, folder, identity, molecular, simulation, reporters, segments, config.seed)
    return Run(*parts, healer)


def _resume(
    config: SimulateConfig, artefact: Artefact, folder: RunFolder, healer: Healer | None
) -> Run:
    """Rebuild the run at its last checkpoint, or at the state of a pending rewind, and cut what was
    written after it."""
    is_rewinding = place_pending(folder)
    rewinds = len(read_rewinds(folder).rewinds)
    artefact = artefact_in_use(folder, artefact)
    state, record = read_state(folder), CheckpointRecord.read(folder.record)
    step, seed = state.getStepCount(), seed_of(config, rewinds)
    molecular = read_description(folder, state_cell(state))
    simulation = build_simulation(molecular, artefact, config, seed, step)
    _tell_other_kernel(simulation.potential.kernel, folder)
    simulation.context.setState(state)
    choose_threads(simulation, record.torch_threads)
    append = step > 0
    if append and config.watch.enabled:
        # Before anything is cut: what cannot be gone on with is left as it is.
        read_memory(folder, step)
    if append:
        cut_tables(folder, config, step, has_molecules=molecular.independent_molecules)
    # From step 0 on everything is looked at again.
    cut_alarms(folder.alarms, step if append else -1, rewinds)
    forget_later_states(folder, step)
    segments = _next_segments(config, folder, record.segments, step)
    write_yaml(folder.config, config.model_dump())
    write_healings(folder)
    write_record(folder, step, segments)
    if is_rewinding:
        draw_velocities(simulation, molecular, config, seed)
        write_checkpoint(simulation, folder, segments)
        close_rewind(folder)
    else:
        keep_good_state(folder, step, config)
    for stale in (folder.summary, folder.unstable):
        stale.unlink(missing_ok=True)
    segment = folder.path / segments[-1].file
    reporters = attach_reporters(
        simulation, molecular, artefact, config, folder, segment, append=append
    )
    if not is_rewinding:
        show_note(f"going on from step {step} of {config.steps}")
    identity = folder_identity(folder.path)
    return Run(config, folder, identity, molecular, simulation, reporters, segments, seed, healer)


def _tell_other_kernel(kernel: str, folder: RunFolder) -> None:
    """Say in a note where a run goes on with another kernel, whose last bits are others."""
    before = Reference.read(folder.reference).kernel
    if before not in ("", kernel):
        show_note(
            f"'{folder.path}' was begun with the {before} kernel and goes on with the {kernel} "
            "one: not to the last bit as it would have"
        )


def _next_segments(
    config: SimulateConfig, folder: RunFolder, segments: Segments, step: int
) -> Segments:
    """Cut the segments back to the step and return them with a new one."""
    segments = list(segments)
    while segments[-1].first_step > step:
        (folder.path / segments.pop().file).unlink(missing_ok=True)
    last = segments[-1]
    interval = config.trajectory_interval
    frames = step // interval - last.first_step // interval
    cut_trajectory(folder.path / last.file, frames)
    if frames == 0:
        segments.pop()
    name, model = folder.segment(len(segments) + 1).name, (healed_models(folder) or [""])[-1]
    segments.append(Segment(file=name, first_step=step, model=model))
    return segments


def _finish(run: Run, artefact: Artefact) -> RunSummary:
    """Drive a run, through its rewinds, to its summary."""
    _tell_certification(artefact, run.config)
    summary = _drive_and_close(run)
    while summary is None:
        run = _resume(run.config, artefact, run.folder, run.healer)
        summary = _drive_and_close(run)
    write_summary(run.folder.path, summary.as_dict())
    return summary


def _drive_and_close(run: Run) -> RunSummary | None:
    try:
        return drive(run)
    finally:
        run.reporters.close()
