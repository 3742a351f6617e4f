"""A run whose alarms are healed, from its configuration to its summary."""

from pathlib import Path

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.calculators import OPLS_NAME, build_calculator
from fisher_mlip.errors import InputError
from fisher_mlip.export import load_artefact
from fisher_mlip.heal.origin import origin_of
from fisher_mlip.heal.updating import UpdatingHealer
from fisher_mlip.simulate import RunSummary, run_simulation
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.healing import healed_models
from fisher_mlip.simulate.inner import OPLS


def run_healed_simulation(
    config: SimulateConfig, folder: Path, *, resume: bool = False, overwrite: bool = False
) -> RunSummary:
    """Run a simulation as `run_simulation` does, healing its alarms.

    At an alarm the frames that lead to it are labelled, their normal equations are added to those
    of the finetune, theta is solved for again, and the run goes on from before the alarm with the
    new model and new velocities.

    Args:
        config: what to run; its `heal` names the calculator.
        folder, resume, overwrite: as `run_simulation`.

    Returns:
        The outcome, also written as `summary.json`.

    Raises:
        InputError: the input cannot be used: no such calculator, one of another level of theory,
            a checkpoint that is not the model's, or atoms too many to label.
        OSError: the disk is full or failed; the run can be resumed.
    """
    if not config.heal.calculator:
        raise InputError("expected a calculator to heal with, found none")
    if config.engine != "openmm":
        raise InputError(f"heal is for the engine openmm, found the engine {config.engine}")
    name = OPLS_NAME if config.heal.calculator == OPLS else config.heal.calculator
    calculator = build_calculator(name, config.heal.options)
    artefact = load_artefact(Path(config.model))
    place = RunFolder(folder)
    if not (resume and healed_models(place)):
        origin = origin_of(artefact, config.heal.checkpoint)
        heal = config.heal.changed(calculator=name, checkpoint=str(origin.resolve()))
    else:
        # The folder of the last healing has all that the next one needs.
        heal = config.heal.changed(calculator=name)
    config = config.model_copy(update={"heal": heal})
    healer = UpdatingHealer(config, calculator)
    return run_simulation(config, folder, resume=resume, overwrite=overwrite, healer=healer)
