"""Which configurations can run, and with which a run may go on."""

from pathlib import Path
from typing import Any

from fisher_mlip.config import HealConfig, SimulateConfig, parse_config, read_config, read_yaml
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, Manifest, load_artefact
from fisher_mlip.export.lammps_artefact import LammpsArtefact
from fisher_mlip.products import sha256_of_file
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.inner import OPLS
from fisher_mlip.simulate.records import Reference, differences, is_unchanged, names_file

# No integrator follows a bond vibration with steps longer than this, fs.
LONGEST_TIMESTEP = 10.0


def merged_config(given: dict[str, Any], file: Path | None, resumed: Path | None) -> SimulateConfig:
    """Return a configuration from options over a file, or over that of the run to resume.

    Args:
        given: values by key; None means not given.
        file: YAML; None for none.
        resumed: the run folder to resume; None for a new run.

    Raises:
        InputError: no model, an unknown key, or a value that is not allowed.
    """
    model = given.get("model")
    if model is not None and RunFolder(Path(model)).record.exists():
        raise InputError(
            f"expected an exported model, found the run folder '{model}': to go on with that run "
            f"leave the model out and name the folder by -o: simulate --resume -o {model}"
        )
    if file is None and resumed is not None:
        file = RunFolder(resumed).config
        if not file.exists():
            raise InputError(f"expected a run to resume in '{resumed}', found none")
    content = {} if file is None else read_yaml(file)
    options = {key: value for key, value in given.items() if value is not None}
    if isinstance(content, dict):
        content = content | _merged(options, content)
        if "model" not in content:
            raise InputError("expected an exported model (model.pt or its folder), found none")
    return parse_config(content, SimulateConfig, "the options" if file is None else f"'{file}'")


def _merged(options: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """Return the options, those of a nested configuration over what the file has there."""
    return {
        key: content[key] | value
        if isinstance(value, dict) and isinstance(content.get(key), dict)
        else value
        for key, value in options.items()
    }


def settled_config(config: SimulateConfig, artefact: Artefact) -> SimulateConfig:
    """Return the configuration with what the artefact decides filled in, paths made absolute.

    Raises:
        InputError: a value is nonsense, or the dtype asked for is not the artefact's.
    """
    settled = settled_system(config, artefact.manifest, artefact.path)
    values: dict[str, Any] = {}
    _check_watch(config)
    if config.inner not in ("", OPLS):
        values["inner"] = str(load_artefact(Path(config.inner)).path.resolve())
    if config.watch.rdf_reference:
        reference = str(Path(config.watch.rdf_reference).resolve())
        values["watch"] = config.watch.changed(rdf_reference=reference)
    return settled.model_copy(update=values)


def settled_system(config: SimulateConfig, manifest: Manifest, model: Path) -> SimulateConfig:
    """Return the configuration with what every engine settles: dtype, ensemble, absolute paths.

    Args:
        config: what to run.
        manifest: of the artefact.
        model: its file.

    Raises:
        InputError: a value is nonsense, or the dtype asked for is not the artefact's.
    """
    if config.timestep > LONGEST_TIMESTEP:
        raise InputError(
            f"expected a timestep of at most {LONGEST_TIMESTEP} fs (0.25 to 1 for hydrogens), "
            f"found {config.timestep}"
        )
    if config.dtype not in (None, manifest.dtype):
        raise InputError(
            f"dtype {config.dtype} was asked for, but '{model}' is {manifest.dtype}: export again "
            f"with --dtype {config.dtype}"
        )
    _check_ensemble(config)
    if config.uncertainty_interval and manifest.sampled_heads == 0:
        raise InputError(
            f"'{model}' carries no sampled heads: expected one of a finetuned model for "
            "an uncertainty_interval"
        )
    if config.watch.uncertainty and not config.uncertainty_interval:
        raise InputError(
            "a bound on the uncertainty needs an uncertainty_interval, found 0 (never evaluated)"
        )
    values: dict[str, Any] = {"dtype": manifest.dtype, "model": str(model.resolve())}
    if config.start_frames:
        values["start_frames"] = str(Path(config.start_frames).resolve())
    if names_file(config.system):
        values["system"] = str(Path(config.system).resolve())
    return config.model_copy(update=values)


def _check_ensemble(config: SimulateConfig) -> None:
    """Check that the options of an ensemble go together.

    Raises:
        InputError: they do not.
    """
    if config.respa_steps > 1 and not config.inner:
        raise InputError(
            f"respa_steps {config.respa_steps} asks for a cheaper potential that takes them, found "
            "no inner one: 'opls' or an exported model"
        )
    if config.inner and config.ensemble != "nve" and config.thermostat == "nose-hoover":
        raise InputError(
            "an inner potential goes with the ensemble nve or the thermostat langevin, found "
            "nose-hoover"
        )
    cold = "ensemble npt" if config.ensemble == "npt" else ""
    if config.ensemble != "nve" and config.thermostat == "nose-hoover":
        cold = "thermostat nose-hoover"
    if cold and config.temperature == 0.0:
        raise InputError(f"expected a temperature above 0 K for the {cold}, found 0")
    if (
        config.ensemble == "npt"
        and config.engine == "openmm"
        and config.checkpoint_interval % config.barostat_interval
    ):
        raise InputError(
            f"expected a checkpoint_interval that is a multiple of the barostat_interval "
            f"{config.barostat_interval}, found {config.checkpoint_interval}: each checkpoint "
            "begins the barostat's count anew"
        )


def refuse_idle(given: dict[str, Any], config: SimulateConfig) -> None:
    """Refuse options that were given and would change nothing.

    Args:
        given: values by key; None means not given.
        config: what came of them.

    Raises:
        InputError: one is of another ensemble or thermostat.
    """
    thermostat = "none" if config.ensemble == "nve" else config.thermostat
    needs = {
        "pressure_bar": ("ensemble npt", config.ensemble == "npt"),
        "barostat_interval": ("ensemble npt", config.ensemble == "npt"),
        "ranks": ("engine lammps", config.engine == "lammps"),
        "thermostat": ("ensemble nvt or npt", config.ensemble != "nve"),
        "friction": ("Langevin thermostat", thermostat == "langevin"),
        "collision_frequency": ("Nosé-Hoover thermostat", thermostat == "nose-hoover"),
    }
    for key, (need, is_met) in needs.items():
        if given.get(key) is not None and not is_met:
            raise InputError(
                f"{key} {given[key]} is of the {need}, found the ensemble {config.ensemble} and "
                f"the thermostat {thermostat}"
            )


def goes_on(folder: Path, restart: str | None, *, resume: bool, overwrite: bool) -> bool:
    """Return whether a run is to go on rather than to start.

    Args:
        folder: of the run.
        restart: `auto`: go on where the folder has a run; None: as `resume` says.
        resume: whether --resume was given.
        overwrite: whether --overwrite was given.

    Raises:
        InputError: they contradict each other.
    """
    if restart is None:
        return resume
    if restart != "auto":
        raise InputError(f"expected --restart auto, found --restart {restart}")
    if resume or overwrite:
        given = "--resume" if resume else "--overwrite"
        raise InputError(f"expected --restart auto or {given}, found both")
    return RunFolder(folder).record.exists()


def was_healed_so(config: SimulateConfig, folder: RunFolder) -> bool:
    """Return whether the run to resume was begun with the same calculator for its alarms."""
    before = read_config(folder.config, SimulateConfig).heal
    return (before.calculator, before.options) == (config.heal.calculator, config.heal.options)


def _check_watch(config: SimulateConfig) -> None:
    if config.heal.calculator and config.on_alarm != "rewind":
        raise InputError(f"heal goes with on_alarm rewind, found on_alarm {config.on_alarm}")
    if config.heal != HealConfig() and not config.heal.calculator:
        raise InputError("expected a calculator beside other options of heal, found none")
    if config.on_alarm == "rewind" and not config.watch.enabled:
        raise InputError("on_alarm rewind needs the watch, found it switched off")
    if config.uncertainty_interval % config.watch.interval and config.watch.uncertainty:
        raise InputError(
            f"expected an uncertainty_interval that is a multiple of the watch's interval "
            f"{config.watch.interval}, found {config.uncertainty_interval}"
        )


def with_route_of(config: SimulateConfig, folder: RunFolder) -> SimulateConfig:
    """Return the configuration with the route of the run to resume, where none is asked for."""
    if config.route != "auto" or not folder.reference.exists():
        return config
    before = Reference.read(folder.reference).start.settings.get("route", "auto")
    return config.model_copy(update={"route": before})


def check_resume(
    config: SimulateConfig, artefact: Artefact | LammpsArtefact, folder: RunFolder
) -> None:
    """Check that a run may go on with this configuration and model.

    Raises:
        InputError: something other than more steps is asked for, or the model is another one.
    """
    if not folder.record.exists():
        raise InputError(f"expected a run to resume in '{folder.path}', found none")
    reference = Reference.read(folder.reference)
    for name, before in reference.start.settings.items():
        now = getattr(config, name, None)
        if not is_unchanged(name, now, reference.start):
            changed = differences(name, now, reference.start) or {name: (before, now)}
            what, (was, wanted) = next(iter(changed.items()))
            raise InputError(
                f"'{folder.path}' was run with {what} {was!r}, resumed with {wanted!r}: a resume "
                "may ask for more steps, another on_alarm, and other bounds of the watch"
            )
    asked = read_config(folder.config, SimulateConfig).steps
    if config.steps < asked:
        raise InputError(
            f"'{folder.path}' was started for {asked} steps, resumed for {config.steps}: more "
            "may be asked for, not fewer"
        )
    if sha256_of_file(artefact.path) != reference.model_sha256:
        raise InputError(
            f"'{artefact.path}' is not the model that '{folder.path}' was run with: its content "
            "has changed"
        )
