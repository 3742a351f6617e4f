"""What an artefact says of itself: read from the archive without running any of it."""

import importlib.metadata
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from fisher_mlip.config import Config, DtypeName, HeadConfig, ModelConfig, parse_config
from fisher_mlip.errors import InputError
from fisher_mlip.model.checkpoint import CheckpointConfig

MODEL_NAME = "model.pt"
FUSED_NAME = "fused.pt"  # inside a model for LAMMPS: the same over the fused operators
MANIFEST_NAME = "manifest.json"
CERTIFICATE_NAME = "certificate.json"
LAMMPS_MODEL_NAME = "model.lmp.pt"
FORMAT = "fisher-mlip torchforce 1"
# The pair style reads this too: lammps_plugin/source/manifest.cpp.
LAMMPS_FORMAT = "fisher-mlip lammps 1"
MODEL_NAMES = {FORMAT: MODEL_NAME, LAMMPS_FORMAT: LAMMPS_MODEL_NAME}
TARGETS = {FORMAT: "torchforce", LAMMPS_FORMAT: "lammps"}
UNITS = {"cutoff": "angstrom", "reference_energies": "eV"}
UNITS_OF = {
    FORMAT: UNITS | {"positions": "nm", "energy": "kJ/mol"},
    LAMMPS_FORMAT: UNITS | {"positions": "angstrom", "energy": "eV"},
}


class CertifiedConditions(Config):
    """Where an artefact was certified, in short; the certificate holds the whole.

    Attributes:
        date: UTC, ISO 8601.
        level: how much was checked.
        platform: of OpenMM.
        device: `cpu`, or the name of the GPU.
        route: how the engine reached the model.
        kernel: what computed energies and forces.
        versions: of the packages.
    """

    date: str
    level: str
    platform: str
    device: str
    route: str
    kernel: str
    versions: dict[str, str]


class Manifest(Config):
    """Facts of an exported model.

    Attributes:
        format: kind and version of the artefact.
        elements: atomic numbers that the model knows, ascending.
        cutoff: Å.
        num_iterations: message-passing layers.
        receptive_field: Å, cutoff times layers: what an atom's energy can depend on.
        dtype: of the network; positions come in and energies go out in float64.
        units: of the interface.
        reference_energies: E0 in eV by atomic number; the artefact returns E - sum(E0).
        data_hash: of the training frames.
        model: the network's hyperparameters; None in artefacts from before the key.
        head: the linear space of the Fisher head.
        sampled_heads: deviations of the head that tell the uncertainty; 0 for none.
        weights_hash: SHA-256 over the network's weights.
        provenance: training and Fisher solution.
        versions: of the packages that made it.
        certificate_hash: SHA-256 of `certificate.json`; empty where there is none.
        certified: where it was certified, or None.
    """

    format: str
    elements: list[int]
    cutoff: float
    num_iterations: int
    receptive_field: float
    dtype: DtypeName
    units: dict[str, str]
    reference_energies: dict[int, float]
    data_hash: str
    model: ModelConfig | None = None
    head: HeadConfig = HeadConfig()
    sampled_heads: int = 0
    weights_hash: str
    provenance: dict[str, Any]
    versions: dict[str, str]
    certificate_hash: str = ""
    certified: CertifiedConditions | None = None


def is_manifest(name: str) -> bool:
    """Whether a part of an artefact's archive is its manifest."""
    return name.endswith(f"/extra/{MANIFEST_NAME}")


def make_manifest(
    config: CheckpointConfig, dtype: DtypeName, weights_hash: str, kind: str
) -> Manifest:
    """Return the manifest of a checkpoint exported in `dtype` as an artefact of some format."""
    return Manifest(
        format=kind,
        elements=config.elements,
        cutoff=config.model.cutoff,
        num_iterations=config.model.num_iterations,
        receptive_field=config.model.cutoff * config.model.num_iterations,
        dtype=dtype,
        units=UNITS_OF[kind],
        reference_energies=config.reference_energies,
        data_hash=config.data_hash,
        model=config.model,
        head=config.head,
        sampled_heads=config.sampled_heads,
        weights_hash=weights_hash,
        provenance=config.provenance,
        versions={
            name: importlib.metadata.version(name)
            for name in ("fisher-mlip", "torch", "e3nn", "vesin-torch")
        },
    )


def find_model(path: Path, kind: str = FORMAT) -> Path:
    """Return the model file that `path` is or holds.

    Raises:
        InputError: there is none.
    """
    name = MODEL_NAMES[kind]
    model = path / name if path.is_dir() else path
    if not model.is_file():
        others = [other for other in MODEL_NAMES.values() if (path / other).is_file()]
        found = f"one with {others[0]}" if others else f"'{path}'"
        raise InputError(
            f"expected an exported model (a folder with {name}, of 'export --target "
            f"{TARGETS[kind]}'), found {found}"
        )
    return model


def read_manifest(path: Path, kind: str = FORMAT) -> Manifest:
    """Read the manifest inside an artefact of some format and check that the file is whole.

    Raises:
        InputError: missing, truncated, damaged, or not made by `fisher-mlip export`.
    """
    model = find_model(path, kind)
    try:
        with zipfile.ZipFile(model) as archive:
            damaged = archive.testzip()
            names = [name for name in archive.namelist() if is_manifest(name)]
            text = archive.read(names[0]).decode() if names else ""
        content = json.loads(text) if text else {}
    # RuntimeError: an encrypted archive; ValueError: a manifest that is no UTF-8 or no JSON.
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        raise InputError(f"'{model}' is no whole exported model: {error}") from None
    if damaged:
        raise InputError(f"'{model}' is damaged: its part '{damaged}' fails its checksum")
    if not text:
        raise InputError(f"'{model}' was not written by 'fisher-mlip export': it has no manifest")
    manifest = parse_config(content, Manifest, f"the manifest of '{model}'")
    if manifest.format != kind:
        raise InputError(
            f"expected format '{kind}' (of 'export --target {TARGETS[kind]}') in '{model}', found "
            f"'{manifest.format}'"
        )
    return manifest
