"""Heals an alarm by an update of the finetune: labels in, theta solved again, artefact out."""

import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data import Frame, Frames, write_frames
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, load_artefact, write_artefact
from fisher_mlip.export.parity import compare, require_parity
from fisher_mlip.fisher import Solution, save_solution
from fisher_mlip.heal.candidates import (
    alarm_moments,
    in_turn,
    spread_out,
    system_frames,
    usable,
)
from fisher_mlip.heal.labels import Labels, make_labels
from fisher_mlip.heal.origin import load_origin
from fisher_mlip.heal.solving import solve_for
from fisher_mlip.heal.theory import check_theory, force_rmse, held_out_error, largest_error
from fisher_mlip.model.checkpoint import Checkpoint, load_checkpoint
from fisher_mlip.products import SUMMARY_NAME, whole_folder, write_summary
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.healing import (
    KEY,
    Healing,
    Illness,
    artefact_in_use,
    healed_models,
    read_healing,
    read_healings,
)
from fisher_mlip.simulate.progress import show_note
from fisher_mlip.simulate.rewinding import Healed
from fisher_mlip.simulate.systems import MolecularSystem

LABELS_NAME = "labels.xyz"
# Molecules of a gas whose forces tell the level of theory.
MOLECULES_CHECKED = 3


class UpdatingHealer:
    """A `Healer` by normal equations.

    Args:
        config: of the run; its `heal.checkpoint` is the finetuned folder of its model.
        calculator: of ASE.
    """

    def __init__(self, config: SimulateConfig, calculator: Any) -> None:
        self._config = config
        self._heal = config.heal
        self._calculator = calculator

    def check(self, molecular: MolecularSystem, artefact: Artefact) -> None:
        """Check that frames of a system can be labelled, by the model's level of theory.

        Raises:
            InputError: they cannot.
        """
        frames = system_frames(molecular, MOLECULES_CHECKED)
        largest = self._heal.largest_frame
        if frames[0].n_atoms > largest:
            raise InputError(
                f"expected at most {largest} atoms to label at once (heal.largest_frame), found "
                f"{frames[0].n_atoms} in '{self._config.system}': a smaller box, or another bound"
            )
        checkpoint = load_checkpoint(Path(self._heal.checkpoint))
        difference = check_theory(frames, self._calculator, checkpoint, self._heal)
        show_note(
            f"heal: forces of '{self._heal.calculator}' are within {difference:.3g} eV/Å of the "
            "model's at the start"
        )

    def heal(self, illness: Illness) -> Healed:
        """Label the frames of an alarm and solve again; write the model's folder, whole.

        A folder that a killed run left of the same alarm is taken as it is: a resumed run comes
        to it by the same steps.
        """
        try:
            return self._healed(illness)
        except InputError as failure:
            return Healed("", f"not healed: {failure}")

    def _healed(self, illness: Illness) -> Healed:
        start, folder = time.perf_counter(), illness.folder
        name = f"healed-{len(healed_models(folder)) + 1:03d}"
        if _is_of(folder, name, illness):
            return Healed(name, sound_step=read_healing(folder, name).sound_step)
        healings = read_healings(folder)
        if len(healings) >= self._heal.max_healings:
            return Healed("", f"{len(healings)} healings were made, as many as may be")
        made = sum(healing.made for healing in healings)
        if made >= self._heal.max_labels:
            return Healed("", f"{made} labels were made, as many as may be")
        checkpoint, gram = load_origin(_last(folder, self._heal.checkpoint))
        running = artefact_in_use(folder, load_artefact(Path(self._config.model)))
        looks, states = alarm_moments(illness, running)
        kept, reasons = usable([*states, *looks], gram, self._heal.shortest_distance)
        early = [moment for moment in kept if looks and moment.step < looks[0].step]
        ordered = in_turn(spread_out(kept[len(early) :]), spread_out(early))
        most = self._heal.max_labels - made
        error_of = partial(_force_error, checkpoint)
        show_note(
            f"heal: '{self._heal.calculator}' labels up to {min(most, len(ordered))} frames of the "
            f"alarm at step {illness.alarms[0].step}"
        )
        labels = make_labels(ordered, self._calculator, self._heal, most, error_of)
        for reason, count in Counter([*reasons, *labels.reasons]).items():
            show_note(f"heal: left out frames of the alarm, {count} for: {reason}")
        if not len(labels.frames):
            found = len(looks) + len(states)
            return Healed("", f"none of the {found} frames before the alarm could be labelled")
        show_note(f"heal: solving again with {len(labels.frames)} labels, in a minute or so")
        solution = solve_for(checkpoint, gram, labels)
        if self._config.uncertainty_interval and not solution.checkpoint.config.sampled_heads:
            return Healed("", "the pretrained model fits best, and tells no uncertainty")
        mismatch = self._heal.mismatch
        healing = _healing(illness, checkpoint, solution, labels, name, mismatch)
        _write(folder, healing, solution, labels, running, start)
        _tell(healing, made)
        return Healed(name, sound_step=healing.sound_step)


def _last(folder: RunFolder, checkpoint: str) -> Path:
    """Return the finetuned folder that the running model came from."""
    models = healed_models(folder)
    return folder.path / models[-1] if models else Path(checkpoint)


def _is_of(folder: RunFolder, name: str, illness: Illness) -> bool:
    if not (folder.path / name / SUMMARY_NAME).is_file():
        return False
    healing, alarm = read_healing(folder, name), illness.alarms[0]
    before = (healing.step, healing.criterion, healing.rewinds)
    return before == (alarm.step, alarm.criterion, alarm.rewinds)


def _healing(
    illness: Illness,
    before: Checkpoint,
    solution: Solution,
    labels: Labels,
    name: str,
    mismatch: float,
) -> Healing:
    alarm, after = illness.alarms[0], solution.checkpoint
    was, now = (force_rmse(c, labels.frames) for c in (before, after))
    shipped = solution.shipped
    return Healing(
        step=alarm.step,
        time_ps=alarm.time_ps,
        criterion=alarm.criterion,
        made=labels.made,
        frames=len(labels.frames),
        label_force_rmse_before=was,
        label_force_rmse_after=now,
        held_out_force_rmse_before=held_out_error(before),
        held_out_force_rmse_after=shipped.held_out_force_rmse,
        head="pretrained" if solution.chosen is None else shipped.head.name,
        ridge=shipped.ridge,
        sound_step=_sound_step(before, labels, illness, mismatch),
        seconds=0.0,
        rewinds=alarm.rewinds,
        model=name,
    )


def _force_error(checkpoint: Checkpoint, label: Frame) -> float:
    return force_rmse(checkpoint, Frames((label,)))


def _sound_step(before: Checkpoint, labels: Labels, illness: Illness, mismatch: float) -> int:
    """Return the last step up to which the model that was running made errors as it does on data.

    Beyond it the run may have come to where no sound model would have taken it, and what energy it
    has there would be heat.
    """
    bound = largest_error(before, mismatch)
    first = illness.alarms[0].step
    for step, frame in sorted(
        zip(labels.steps, labels.frames, strict=True), key=lambda each: each[0]
    ):
        if _force_error(before, frame) > bound:
            return max(step - 1, 0)
        first = step
    return first


def _write(
    folder: RunFolder,
    healing: Healing,
    solution: Solution,
    labels: Labels,
    running: Artefact,
    start: float,
) -> None:
    """Write the finetune and its artefact, after comparing the two on the labels' frames.

    The fused operators are compared with the artefact where it is bound to the run's atoms.
    """
    with whole_folder(folder.path / healing.model, overwrite=True) as partial:
        save_solution(partial, solution)
        artefact = write_artefact(partial, solution.checkpoint, running.manifest.dtype)
        require_parity(compare(artefact, solution.checkpoint, list(labels.frames)))
        write_frames(partial / LABELS_NAME, labels.frames)
        seconds = {"seconds": time.perf_counter() - start}
        whole = healing.model_copy(update=seconds).model_dump()
        left_out = {"left_out": labels.reasons}
        write_summary(partial, {KEY: whole, **left_out, "fisher": solution.brief()})


def _tell(healing: Healing, made: int) -> None:
    show_note(
        f"healed by {healing.frames} labels ({made + healing.made} in all): force error on them "
        f"{healing.label_force_rmse_before:.3g} -> {healing.label_force_rmse_after:.3g} eV/Å, "
        f"head {healing.head}; '{healing.model}' carries no certificate"
    )
