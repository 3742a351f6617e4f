"""`fisher-mlip simulate`: run a potential in OpenMM or LAMMPS."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fisher_mlip.cli.console import console, wrote

# Options that are keys of the configuration by the same name.
SAME_NAMES = (
    *("system", "molecules", "ensemble", "seed", "temperature", "timestep", "steps", "skin"),
    *("report_interval", "trajectory_interval", "checkpoint_interval", "uncertainty_interval"),
    *("friction", "dtype", "start_frames", "platform", "device", "thermostat", "on_alarm"),
    *("collision_frequency", "barostat_interval", "inner", "respa_steps", "trust_units"),
    *("route", "engine", "ranks"),
)


def simulate(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="Exported model: model.pt or its folder. May be left out with --config or "
            "--resume, which know it.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Run folder to make, or to resume.")
    ] = Path("run"),
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file of these options; options given here win over it."),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            help="'ethanol-gas' (molecules that do not see each other), 'ethanol-liquid' "
            "(0.789 g/cm3, periodic), for models of C, H and O; or a file: .pdb (periodic if it "
            "has CRYST1) or extended .xyz (periodic if it has a Lattice). Default: ethanol-gas; "
            "ethanol-liquid in LAMMPS."
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="openmm, or lammps (a model of 'export --target lammps'). Default: openmm."
        ),
    ] = None,
    ranks: Annotated[int | None, typer.Option(help="MPI processes of LAMMPS. Default: 1.")] = None,
    molecules: Annotated[
        int | None, typer.Option(help="Molecules of an ethanol system. Default: 600.")
    ] = None,
    ensemble: Annotated[
        str | None,
        typer.Option(
            help="'nve' (Verlet), 'nvt' or 'npt' (Monte Carlo barostat; LAMMPS: fix nph or npt). "
            "Default: nve."
        ),
    ] = None,
    thermostat: Annotated[
        str | None,
        typer.Option(
            help="Of nvt and npt: langevin or nose-hoover (LAMMPS: fix langevin, nvt or npt). "
            "Default: langevin."
        ),
    ] = None,
    pressure: Annotated[float | None, typer.Option(help="bar, of npt. Default: 1.")] = None,
    barostat_interval: Annotated[
        int | None,
        typer.Option(help="Steps between changes of the volume, of npt in OpenMM. Default: 25."),
    ] = None,
    inner: Annotated[
        str | None,
        typer.Option(
            help="Cheaper potential that takes the short steps (r-RESPA): 'opls' (ethanol) or "
            "another exported model. Default: none."
        ),
    ] = None,
    respa_steps: Annotated[
        int | None,
        typer.Option(help="Steps of --inner in a --timestep of the model. Default: 1."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="K, of the initial velocities and the thermostat. Default: 500."),
    ] = None,
    timestep: Annotated[float | None, typer.Option(help="fs. Default: 1.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps to integrate in all. Default: 1000.")
    ] = None,
    report_interval: Annotated[
        int | None, typer.Option(help="Steps between ledger rows. Default: 10.")
    ] = None,
    trajectory_interval: Annotated[
        int | None, typer.Option(help="Steps between trajectory frames. Default: 100.")
    ] = None,
    checkpoint_interval: Annotated[
        int | None, typer.Option(help="Steps between checkpoints. Default: 100.")
    ] = None,
    friction: Annotated[
        float | None, typer.Option(help="1/ps, of the Langevin thermostat. Default: 1.")
    ] = None,
    collision_frequency: Annotated[
        float | None, typer.Option(help="1/ps, of the Nosé-Hoover thermostat. Default: 10.")
    ] = None,
    skin: Annotated[
        float | None,
        typer.Option(help="Å added to the cutoff of the neighbor list. Default: 0.5."),
    ] = None,
    start_frames: Annotated[
        str | None,
        typer.Option(help="Extended XYZ of single ethanols that start the gas's molecules."),
    ] = None,
    trust_units: Annotated[
        bool | None,
        typer.Option("--trust-units", help="Leave out the check that a file looks like Å."),
    ] = None,
    route: Annotated[
        str | None,
        typer.Option(
            help="How OpenMM calls the model: torchforce, python (PythonForce), or auto: python "
            "where the fused operators serve the model. Default: auto."
        ),
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(help="OpenMM platform: auto, Reference, CPU, CUDA. Default: auto."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of velocities, start frames and noise. Default: 0.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda: what 'auto' platforms may be.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="float32 or float64; refused unless it is the model's own dtype."),
    ] = None,
    watch: Annotated[
        bool | None,
        typer.Option(
            "--watch/--no-watch",
            help="Look for signs of instability (bonds, contacts, forces, heat, ...). Default: on. "
            "Bounds stand in the YAML file under 'watch'.",
            show_default=False,
        ),
    ] = None,
    on_alarm: Annotated[
        str | None,
        typer.Option(
            help="'warn' (write it down and go on), 'stop', or 'rewind' (go on from before it with "
            "new velocities). LAMMPS: warn, or stop by temperature and uncertainty. Default: warn."
        ),
    ] = None,
    heal: Annotated[
        str | None,
        typer.Option(
            help="At an alarm, label its frames with this calculator of the data's level of "
            "theory (opls, tblite, module:Class), solve for the head again, and go on from before "
            "it. For finetuned models, in OpenMM."
        ),
    ] = None,
    heal_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of the calculator of --heal; repeatable."),
    ] = None,
    heal_checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Finetuned folder that the model was exported from. Default: as its export says."
        ),
    ] = None,
    heal_max_labels: Annotated[
        int | None, typer.Option(help="Most labels of --heal in the whole run. Default: 50.")
    ] = None,
    heal_frames: Annotated[
        int | None, typer.Option(help="Labels of --heal wanted at an alarm. Default: 5.")
    ] = None,
    watch_interval: Annotated[
        int | None, typer.Option(help="Steps between looks of the watch. Default: 10.")
    ] = None,
    rdf_reference: Annotated[
        str | None,
        typer.Option(help=".npz of radial distributions that the watch compares with."),
    ] = None,
    uncertainty_interval: Annotated[
        int | None,
        typer.Option(
            help="Steps between rows of the model's own force uncertainty, each as dear as some 12 "
            "to 32 steps. Default: 0, none."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on from the last checkpoint; --steps may ask for more steps."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the run that is in the run folder.")
    ] = False,
    restart: Annotated[
        str | None,
        typer.Option(
            help="'auto': start a run where the folder has none, else go on with it, by the same "
            "command line; for queues.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run molecular dynamics with an exported model in OpenMM or LAMMPS.

    Writes a run folder: trajectory, float64 ledger, checkpoints, summary. Ctrl-C stops it (exit
    code 130), with a checkpoint or, where there is noise, at the last regular one. A run whose
    energy stops being finite ends with exit code 3, one that the watch stopped with 4. Alarms
    stand in alarms.csv, their frames in alarm-STEP.xyz, what healed them in healing.csv and
    healed-NNN.

    Example: fisher-mlip simulate model.pt --molecules 600 --steps 10000 --timestep 0.5 -o run
    """
    given = given_options(locals())
    _run(given, config, output, restart, resume=resume, overwrite=overwrite)


def given_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given of a run's configuration, by its keys; None for what was not.

    Args:
        values: of the command's parameters, by their names.
    """
    model = values["model"]
    return {
        **{key: values[key] for key in SAME_NAMES if key in values},
        "pressure_bar": values["pressure"],
        "watch": _watch_options(values),
        **_heal_options(values),
        "model": None if model is None else str(model),
    }


def _watch_options(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what was given of the nested configuration of the watch; None for nothing."""
    names = {"watch": "enabled", "watch_interval": "interval", "rdf_reference": "rdf_reference"}
    found = {key: given[name] for name, key in names.items() if given[name] is not None}
    return found or None


def _heal_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given of the nested configuration of healing, and the action that it needs.

    A run that is resumed may have had another action.
    """
    from fisher_mlip.data.calculators import parse_options

    names = {"heal": "calculator", "heal_checkpoint": "checkpoint"}
    names |= {"heal_max_labels": "max_labels", "heal_frames": "frames"}
    found = {key: given[name] for name, key in names.items() if given.get(name) is not None}
    if given.get("heal_option"):
        found["options"] = parse_options(given["heal_option"])
    if not found:
        return {}
    needed = {"on_alarm": "rewind"} if "calculator" in found and not given.get("on_alarm") else {}
    return {"heal": found} | needed


def _run(
    given: dict[str, Any],
    config: Path | None,
    output: Path,
    restart: str | None,
    *,
    resume: bool,
    overwrite: bool,
) -> None:
    from fisher_mlip.simulate.settings import goes_on, merged_config, refuse_idle

    on = goes_on(output, restart, resume=resume, overwrite=overwrite)
    # By --restart auto the command line is that of the start and says everything.
    chosen = merged_config(given, config, output if resume else None)
    refuse_idle(given, chosen)
    if chosen.engine == "lammps":
        from fisher_mlip.lammps import run_lammps as run
    elif chosen.heal.calculator:
        from fisher_mlip.heal import run_healed_simulation as run
    else:
        from fisher_mlip.simulate import run_simulation as run
    summary = run(chosen, output, resume=on, overwrite=overwrite)
    console.print(
        f"{summary.status} at step {summary.steps_done} of {summary.steps} on {summary.platform}, "
        f"{summary.ns_per_day:.3g} ns/day",
        markup=False,
    )
    if summary.healings:
        console.print(f"healed {len(summary.healings)} alarms with {summary.labels} labels")
    if summary.message:
        console.print(summary.message, markup=False)
    names = [name for found in summary.paths.values() for name in _as_list(found)]
    wrote(*(output / name for name in [*names, "summary.json"]))
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)


def _as_list(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names
