"""The finetuned folder that an artefact was exported from."""

from contextlib import suppress
from pathlib import Path

from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.export.artefact import weights_hash
from fisher_mlip.fisher.gram_file import GRAM_NAME, GramFile
from fisher_mlip.fisher.update import load_finetune
from fisher_mlip.model.checkpoint import Checkpoint, network_in
from fisher_mlip.products import SUMMARY_NAME, read_json


def origin_of(artefact: Artefact, checkpoint: str) -> Path:
    """Return the finetuned folder of an artefact, after checking that it is.

    Args:
        artefact: an exported model.
        checkpoint: the folder; "": the one that the summary of the export names, or one beside.

    Raises:
        InputError: it is not known or not there, its weights are others than the artefact's, or
            nothing can be added to its normal equations.
    """
    return _checked(artefact, Path(checkpoint)) if checkpoint else _found(artefact)


def _checked(artefact: Artefact, folder: Path) -> Path:
    """Return a finetuned folder whose weights are the artefact's."""
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


def _found(artefact: Artefact) -> Path:
    """Return the finetune that the export names, or one beside the artefact that has its weights.

    The name is as it was given to `export`: relative, perhaps, to another folder than this one.
    """
    folder = artefact.path.parent.resolve()
    summary = folder / SUMMARY_NAME
    name = read_json(summary).get("checkpoint") if summary.is_file() else None
    named = [Path(name), folder.parent / name] if isinstance(name, str) else []
    beside = sorted(path.parent for path in folder.parent.glob(f"*/{GRAM_NAME}"))
    places = [place for place in named if (place / GRAM_NAME).is_file()]
    for place in [*places, *beside]:
        with suppress(InputError):
            return _checked(artefact, place)
    if places:
        return _checked(artefact, places[0])
    told = "none" if name is None else f"'{name}', which is not there"
    raise InputError(
        f"expected the finetuned checkpoint that '{artefact.path}' was exported from, found "
        f"{told}: name it by --heal-checkpoint"
    )
