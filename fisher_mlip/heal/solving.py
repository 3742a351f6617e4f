"""The update that a healing goes on with: one that errs less on the labels than what runs."""

from fisher_mlip.errors import InputError
from fisher_mlip.fisher import Options, Solution
from fisher_mlip.fisher.gram_file import GramFile
from fisher_mlip.fisher.update import update
from fisher_mlip.heal.labels import Labels
from fisher_mlip.heal.theory import force_rmse
from fisher_mlip.model.checkpoint import Checkpoint


def solve_for(checkpoint: Checkpoint, gram: GramFile, labels: Labels) -> Solution:
    """Return the update by the labels, which errs less on them than the model that ran.

    Heads as safe along the scans as the pretrained model come first. Where that leaves nothing
    better than what runs (the pretrained model itself, say, which has holes enough to be as safe as
    itself), heads with more holes count too: the run's own alarms say where those are.

    Args:
        checkpoint: of the finetune that the running model came from.
        gram: of that finetune.
        labels: with forces, eV/Å.

    Raises:
        InputError: the frames cannot be added, or no update errs less.
    """
    bare = labels.bare
    judging = bare.subset(labels.judging) if labels.judging else None
    running = force_rmse(checkpoint, bare)
    for options in (Options(), Options(allow_holes=True)):
        solution = update(
            checkpoint,
            gram,
            bare.subset(labels.solving),
            "add",
            options=options,
            judging=judging,
        )
        # Written so that a NaN is not better.
        if force_rmse(solution.checkpoint, bare) < running:
            return solution
    raise InputError(
        f"expected a head that errs less on {len(bare)} labels than the model that ran, found none"
    )
