"""The same model in the other precision: what tells rounding from error."""

import io
from pathlib import Path

import torch

from fisher_mlip.config import DtypeName
from fisher_mlip.export.artefact import Artefact, load_artefact
from fisher_mlip.export.manifest import MANIFEST_NAME, MODEL_NAME
from fisher_mlip.export.torchscript import load_script, without_deprecation
from fisher_mlip.products import write_bytes


def recast(artefact: Artefact, dtype: DtypeName, folder: Path) -> Artefact:
    """Write the artefact's script with its weights cast to `dtype`, uncertified, into `folder`.

    A float32 model cast to float64 has the same weights, so that what is left of an error in
    float64 is no rounding. Its coupling coefficients keep their seven digits: it is equivariant
    to those only.

    Args:
        artefact: the model.
        dtype: of the copy.
        folder: an existing folder.
    """
    module = load_script(artefact.path)
    manifest = artefact.manifest.model_dump() | {
        "dtype": dtype,
        "certificate_hash": "",
        "certified": None,
    }
    text = type(artefact.manifest).model_validate(manifest).model_dump_json(indent=2)
    content = io.BytesIO()
    with without_deprecation():
        module.to(torch.float64 if dtype == "float64" else torch.float32)
        torch.jit.save(module, content, _extra_files={MANIFEST_NAME: text})
    write_bytes(folder / MODEL_NAME, content.getvalue())
    return load_artefact(folder)
