"""What a finetune tries and what it found."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fisher_mlip.config import HeadKind
from fisher_mlip.fisher.drawn_atoms import ROWS_PER_FEATURE
from fisher_mlip.fisher.gram_file import GramFile
from fisher_mlip.fisher.nesting import KINDS
from fisher_mlip.fisher.outside.holes import ScanEnergies
from fisher_mlip.fisher.pressure import PressureErrors
from fisher_mlip.fisher.selection import RIDGES, SCAN_WEIGHTS, Candidate, Row
from fisher_mlip.fisher.solve import LabelWeights
from fisher_mlip.model.checkpoint import Checkpoint
from fisher_mlip.train.metrics import ForceEnergyErrors

BUDGET = 3600


@dataclass(frozen=True)
class Options:
    """What is tried.

    Attributes:
        kinds: heads to choose from.
        budget: most features of a head.
        ridges: relative to the scaled diagonal of T.
        scan_weights: of slopes missing on the scans, beside forces; (0,) leaves theta to the data.
        label_weights: of energies and virials beside forces; None for forces alone, or in an update
            for those of the finetune it goes on from.
        look_outside: make scans at all.
        sampled_heads: deviations of theta that tell the model's uncertainty; 0 for none.
        allow_holes: ship a head that lets atoms out of the data more easily than its base.
        rows_per_feature: force components of the training frames to a feature beyond which no more
            are summed: atoms of large frames are then drawn (see `drawn_atoms`); 0 for all.
    """

    kinds: Sequence[HeadKind] = KINDS
    budget: int = BUDGET
    ridges: Sequence[float] = RIDGES
    scan_weights: Sequence[float] = SCAN_WEIGHTS
    label_weights: LabelWeights | None = None
    look_outside: bool = True
    allow_holes: bool = False
    sampled_heads: int = 16
    rows_per_feature: float = ROWS_PER_FEATURE


@dataclass(frozen=True, eq=False)
class Solution:
    """What the closed form found.

    Attributes:
        checkpoint: the model with its head and energy shifts.
        gram: the sums, with what adding frames to them needs.
        candidates: each head's ridge paths.
        chosen: the row that is shipped, or None where the pretrained model was best.
        base: the row of the pretrained model itself.
        along: energies on the scans, of the largest head.
        held_out_errors: of the pretrained model and of the shipped one, each held-out frame
            counted alike; None after an update, which has the sums of those frames alone.
        held_out_pressures: likewise, of their periodic frames with a stress; None without any.
    """

    checkpoint: Checkpoint
    gram: GramFile
    candidates: list[Candidate]
    chosen: Row | None
    base: Row
    along: ScanEnergies
    held_out_errors: tuple[ForceEnergyErrors, ForceEnergyErrors] | None = None
    held_out_pressures: tuple[PressureErrors, PressureErrors] | None = None

    @property
    def shipped(self) -> Row:
        """The numbers of the model as it is now."""
        return self.chosen or self.base

    def summary(self) -> dict[str, Any]:
        """Return the numbers for `summary.json`."""
        return {
            **self.brief(),
            "heads": [
                {
                    "head": c.head.config.name,
                    "features": len(c.system.moment),
                    "rank": c.spectrum.rank,
                    "condition": c.spectrum.condition,
                    "path": [row.numbers() for row in c.rows],
                }
                for c in self.candidates
            ],
        }

    def brief(self) -> dict[str, Any]:
        """Return the numbers that a checkpoint keeps of its making."""
        judges = self.gram.held_out.forces
        pair = self.held_out_errors
        errors = None if pair is None else [_known(found.as_metrics()) for found in pair]
        pressures = self.held_out_pressures and {
            "base": asdict(self.held_out_pressures[0]),
            "shipped": asdict(self.held_out_pressures[1]),
        }
        base = self.base.numbers() | {"head": "pretrained", "features": 0}
        return {
            "kept_pretrained": self.chosen is None,
            "chosen": base if self.chosen is None else self.chosen.numbers(),
            "base": base,
            "frames": self.gram.training.n_frames,
            "force_components": self.gram.training.forces.count,
            "most_atoms_of_a_frame": self.gram.most_atoms,
            "most_atoms_of_a_judging_frame": self.gram.most_atoms_judging,
            "held_out_weight": judges.weight / judges.components,
            **({} if errors is None else {"held_out_base": errors[0], "held_out": errors[1]}),
            **({} if pressures is None else {"held_out_pressures": pressures}),
            "training_hash": self.gram.training_hash,
        }


def _known(metrics: dict[str, float | int]) -> dict[str, float | int]:
    return {name: value for name, value in metrics.items() if not math.isnan(value)}
