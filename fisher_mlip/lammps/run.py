"""Runs LAMMPS from a configuration to a summary, afresh or from its last restart file."""

import shutil
from dataclasses import replace
from pathlib import Path

from fisher_mlip.config import SimulateConfig, write_yaml
from fisher_mlip.export.lammps_artefact import LammpsArtefact, load_lammps_artefact
from fisher_mlip.lammps.driving import LammpsRun, drive
from fisher_mlip.lammps.folder import LammpsFolder
from fisher_mlip.lammps.input_script import InputFiles, input_script
from fisher_mlip.lammps.inputs import built_system, start_data
from fisher_mlip.lammps.launching import build_plugin
from fisher_mlip.lammps.settings import settled_for_lammps, start_title
from fisher_mlip.products import refuse_existing, whole_folder, write_summary, write_text
from fisher_mlip.simulate.folder import read_description, write_description
from fisher_mlip.simulate.progress import show_note
from fisher_mlip.simulate.records import CheckpointRecord, Segment, files_of
from fisher_mlip.simulate.settings import check_resume
from fisher_mlip.simulate.summary import RunSummary, finished_summary
from fisher_mlip.simulate.systems import MolecularSystem


def run_lammps(
    config: SimulateConfig, folder: Path, *, resume: bool = False, overwrite: bool = False
) -> RunSummary:
    """Run a simulation in LAMMPS and write its run folder.

    The folder holds LAMMPS's own input, data, log, dump and restart files beside the files that
    every run has, and the model: it can be moved, and run by hand.

    Args:
        config: what to run, with `engine` lammps.
        folder: the run folder.
        resume: go on from the last restart file in `folder`; rows and frames after it are written
            again, in files of their own.
        overwrite: delete a run that is in `folder`.

    Returns:
        The outcome, also written as `summary.json`.

    Raises:
        InputError: the input cannot be used, or LAMMPS or its plugin is missing.
    """
    artefact = load_lammps_artefact(Path(config.model))
    config = settled_for_lammps(config, artefact)
    place = LammpsFolder(folder)
    if resume:
        check_resume(config, artefact, place)
        with place.locked():
            done = finished_summary(config, place)
            return done if done is not None else _finish(_resumed(config, artefact, place))
    run = _started(config, artefact, place, overwrite=overwrite)
    with place.locked():
        return _finish(run)


def _finish(run: LammpsRun) -> RunSummary:
    summary = drive(run)
    write_summary(run.folder.path, summary.as_dict())
    return summary


def _started(
    config: SimulateConfig, artefact: LammpsArtefact, folder: LammpsFolder, *, overwrite: bool
) -> LammpsRun:
    """Make the run folder with everything that LAMMPS reads in it."""
    inputs = [artefact.path, *files_of(config).values()]
    refuse_existing(folder.path, overwrite=overwrite, inputs=inputs)
    molecular = built_system(config, artefact.manifest)
    return prepared(config, artefact, folder, molecular, build_plugin(), overwrite=overwrite)


def prepared(
    config: SimulateConfig,
    artefact: LammpsArtefact,
    folder: LammpsFolder,
    molecular: MolecularSystem,
    plugin: Path,
    *,
    overwrite: bool = False,
) -> LammpsRun:
    """Make the run folder of a system, ready to be driven.

    Args:
        config: what to run, settled.
        artefact: the potential.
        folder: the run folder.
        molecular: of `built_system`.
        plugin: of `build_plugin`.
        overwrite: delete a run that is in `folder`.

    Raises:
        InputError: the folder may not be made.
    """
    inputs = [artefact.path, *files_of(config).values()]
    with whole_folder(folder.path, overwrite=overwrite, inputs=inputs) as partial:
        within = LammpsFolder(partial)
        _write_system(within, molecular, artefact, config)
        script = input_script(
            molecular,
            config,
            _files(within, 1),
            title=start_title(config),
            checkpoints=True,
        )
        write_text(within.script(1), script)
        segments = [Segment(file=within.segment(1).name, first_step=0)]
        within.write_record(CheckpointRecord(step=0, segments=segments))
    return LammpsRun(config, folder, molecular, plugin, segments)


def _write_system(
    folder: LammpsFolder,
    molecular: MolecularSystem,
    artefact: LammpsArtefact,
    config: SimulateConfig,
) -> None:
    """Write the data file, the model, and what every run says of itself, into a folder."""
    write_description(folder, molecular, artefact, config, "torchscript")
    write_text(folder.data, start_data(molecular, config))
    shutil.copyfile(artefact.path, folder.model)


def _resumed(config: SimulateConfig, artefact: LammpsArtefact, folder: LammpsFolder) -> LammpsRun:
    """Write the input of the part that goes on from the last restart file."""
    # What was compared is the model that is named; LAMMPS reads the copy.
    shutil.copyfile(artefact.path, folder.model)
    record = CheckpointRecord.read(folder.record)
    restarts = folder.restarts()
    step = max(restarts, default=0)
    molecular = read_description(folder)
    segments = [part for part in record.segments if part.first_step < step]
    part = len(segments) + 1
    for stale in range(part, len(record.segments) + 1):
        for path in (folder.segment(stale), folder.log(stale), folder.script(stale)):
            path.unlink(missing_ok=True)
    segments.append(Segment(file=folder.segment(part).name, first_step=step))
    folder.summary.unlink(missing_ok=True)
    _cut_uncertainty(folder.uncertainty, step)
    write_yaml(folder.config, config.model_dump())
    files = _files(folder, part)
    if step:
        files = replace(files, restart=restarts[step].name)
    script = input_script(
        molecular,
        config,
        files,
        title=f"{start_title(config)}, from step {step}",
        step=step,
        checkpoints=True,
    )
    write_text(folder.script(part), script)
    folder.write_record(CheckpointRecord(step=step, segments=segments))
    show_note(f"going on from step {step} of {config.steps}")
    return LammpsRun(config, folder, molecular, build_plugin(), segments, step)


def _cut_uncertainty(path: Path, step: int) -> None:
    """Leave out the rows from the step on, which will be written again; from step 0 on, all."""
    if step == 0:
        path.unlink(missing_ok=True)
    elif path.is_file():
        header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
        numbers = [(row, row.partition(",")[0]) for row in rows if row.endswith("\n")]
        kept = [row for row, number in numbers if number.isdigit() and int(number) < step]
        write_text(path, "".join([header, *kept]))


def _files(folder: LammpsFolder, part: int) -> InputFiles:
    return InputFiles(
        script=folder.script(part).name,
        model=folder.model.name,
        data=folder.data.name,
        trajectory=folder.segment(part).name,
        uncertainty=folder.uncertainty.name,
    )
