"""The finetuned folder that an artefact was exported from."""

from pathlib import Path

from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.export.artefact import weights_hash
from fisher_mlip.fisher.gram_file import GramFile
from fisher_mlip.fisher.update import load_finetune
from fisher_mlip.model.checkpoint import Checkpoint, network_in
from fisher_mlip.products import SUMMARY_NAME, read_json


def origin_of(artefact: Artefact, checkpoint: str) -> Path:
    """Return the finetuned folder of an artefact, after checking that it is.

    Args:
        artefact: an exported model.
        checkpoint: the folder; "": the one that the summary of the export names.

    Raises:
        InputError: it is not known or not there, its weights are others than the artefact's, or
            nothing can be added to its normal equations.
    """
    folder = Path(checkpoint) if checkpoint else _named_by_export(artefact)
    loaded, _ = load_origin(folder)
    found = weights_hash(network_in(loaded, artefact.manifest.dtype))
    if found != artefact.manifest.weights_hash:
        raise InputError(
            f"expected the checkpoint that '{artefact.path}' was exported from, with weights "
            f"{artefact.manifest.weights_hash[:8]}, found {found[:8]} in '{folder}'"
        )
    return folder


def load_origin(folder: Path) -> tuple[Checkpoint, GramFile]:
    """Return a finetuned checkpoint and its sums, to which frames can be added.

    Raises:
        InputError: it is none, or its frames were weighted.
    """
    checkpoint, gram = load_finetune(folder)
    if gram.weighted:
        raise InputError(
            f"expected normal equations of frames that count alike in '{folder}', found weighted "
            "ones, to which none can be added: finetune without --reweight"
        )
    return checkpoint, gram


def _named_by_export(artefact: Artefact) -> Path:
    summary = artefact.path.parent / SUMMARY_NAME
    name = read_json(summary).get("checkpoint") if summary.is_file() else None
    if not isinstance(name, str) or not Path(name).is_dir():
        told = "none" if name is None else f"'{name}', which is not there"
        raise InputError(
            f"expected the finetuned checkpoint that '{artefact.path}' was exported from, found "
            f"{told}: name it by --heal-checkpoint"
        )
    return Path(name)
