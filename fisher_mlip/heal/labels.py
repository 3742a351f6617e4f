"""Frames of an alarm -> labels that a model can be solved from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fisher_mlip.config import HealConfig
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.data.labeling import label_frames
from fisher_mlip.errors import InputError
from fisher_mlip.heal.candidates import Moment
from fisher_mlip.heal.theory import bare

# Every fourth label judges, the third the first: two labels are for solving.
FIRST_JUDGE, EVERY = 2, 4


@dataclass(frozen=True, eq=False)
class Labels:
    """What came of labelling.

    Attributes:
        frames: with the calculator's energies and forces.
        steps: of them.
        made: calls of the calculator, those that led to nothing too.
        reasons: why frames were left out, in words.
    """

    frames: Frames
    steps: list[int]
    made: int
    reasons: list[str]

    @property
    def bare(self) -> Frames:
        """The frames with their forces alone: energies may count from another zero."""
        return bare(self.frames)

    @property
    def judging(self) -> list[int]:
        """Which frames judge: without any, the choice of a head would not see the alarm."""
        return list(range(FIRST_JUDGE, len(self.frames), EVERY))

    @property
    def solving(self) -> list[int]:
        """Which frames theta is solved from."""
        judging = self.judging
        return [number for number in range(len(self.frames)) if number not in judging]


def make_labels(
    moments: Sequence[Moment],
    calculator: Any,
    heal: HealConfig,
    most: int,
    error_of: Callable[[Frame], float],
) -> Labels:
    """Label frames in their order until there are enough.

    What cannot be labelled, or only with forces or errors too large, is torn, and so is what comes
    after it of that molecule: no call is made for that.

    Args:
        moments: that may be labelled.
        calculator: of ASE.
        heal: how many labels are wanted, and how large their forces may be.
        most: calls of the calculator.
        error_of: root mean square force error of the running model on a label, eV/Å.
    """
    kept: list[Frame] = []
    reasons: list[str] = []
    steps: list[int] = []
    made = 0
    torn: dict[int, int] = {}
    for moment in moments:
        if made == most or len(kept) == heal.frames:
            break
        if moment.step >= torn.get(moment.molecule, moment.step + 1):
            reasons.append("later than one that is torn")
            continue
        made += 1
        one = Frames((moment.frame,), source="the alarm's frames")
        try:
            (labelled,) = label_frames(one, calculator, isolated_atoms=False).frames
        except InputError as failure:
            reasons.append(str(failure.__cause__ or failure))
            torn[moment.molecule] = moment.step
            continue
        largest = float(np.linalg.norm(np.asarray(labelled.forces), axis=1).max())
        if largest > heal.largest_force:
            reasons.append(f"a force beyond {heal.largest_force:g} eV/Å")
            torn[moment.molecule] = moment.step
        elif not error_of(labelled) <= heal.largest_error:
            reasons.append(f"an error beyond {heal.largest_error:g} eV/Å")
            torn[moment.molecule] = moment.step
        else:
            kept.append(labelled)
            steps.append(moment.step)
    return Labels(Frames(tuple(kept), source="labels of a healing"), steps, made, reasons)
