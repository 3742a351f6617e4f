"""Binds a certificate to an artefact: by its hash in the manifest, and the artefact's in it."""

import hashlib
import io
import json
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fisher_mlip.config import parse_config
from fisher_mlip.errors import InputError
from fisher_mlip.export.artefact import Artefact
from fisher_mlip.export.manifest import (
    CERTIFICATE_NAME,
    MANIFEST_NAME,
    CertifiedConditions,
    Manifest,
    is_manifest,
)
from fisher_mlip.products import read_json, write_bytes, write_text

# torch starts every part of an archive at a multiple of this, and marks the filling like this.
_ALIGNMENT = 64
_FILLING = b"FB"


class CertificationWarning(UserWarning):
    """A potential is used where it was not certified."""


@dataclass(frozen=True)
class PresentConditions:
    """Where a potential is about to run; None for what is not known or does not matter.

    Attributes:
        device: `cpu`, or the name of the GPU.
        kernel: `torchscript` or `fused`.
        torch: version.
        platform: of OpenMM.
    """

    device: str | None = None
    kernel: str | None = None
    torch: str | None = None
    platform: str | None = None


def warn_of_differences(artefact: Artefact, present: PresentConditions) -> None:
    """Warn where an artefact that has a certificate is used under other conditions than its own."""
    if artefact.manifest.certified is not None:
        note = certification_note(artefact, present)
        if note is not None:
            warnings.warn(note, CertificationWarning, stacklevel=3)


@contextmanager
def without_certification_warnings() -> Iterator[None]:
    """Keep quiet of other conditions: for who tells of them himself, or certifies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CertificationWarning)
        yield


def content_hash(model: Path) -> str:
    """Return a SHA-256 over all that an artefact's archive holds, but for its manifest.

    The manifest names the certificate and the certificate names this hash: both directions are
    bound, and neither needs to know itself.
    """
    digest = hashlib.sha256()
    with zipfile.ZipFile(model) as archive:
        for name in sorted(archive.namelist()):
            if not is_manifest(name):
                # The first folder of the archive is named after the file that torch wrote.
                digest.update(name.partition("/")[2].encode())
                digest.update(archive.read(name))
    return digest.hexdigest()


def bind_certificate(artefact: Artefact, text: str, conditions: CertifiedConditions) -> Artefact:
    """Write `certificate.json` beside the model and its hash into both copies of the manifest.

    Args:
        artefact: what was certified.
        text: of the certificate.
        conditions: where it was certified.

    Returns:
        The artefact with its new manifest.
    """
    content = text.encode()
    manifest = artefact.manifest.changed(
        certificate_hash=hashlib.sha256(content).hexdigest(), certified=conditions.model_dump()
    )
    manifest_text = manifest.model_dump_json(indent=2)
    folder = artefact.path.parent
    write_bytes(folder / CERTIFICATE_NAME, content)
    _replace_manifest(artefact.path, manifest_text)
    write_text(folder / MANIFEST_NAME, manifest_text + "\n")
    return replace(artefact, manifest=manifest)


def check_binding(artefact: Artefact) -> None:
    """Refuse a certificate that is not the one that the artefact was given, or of other content.

    Raises:
        InputError: `certificate.json` was changed, or model or the copy of the manifest
            were.
    """
    _check_manifest_copy(artefact)
    path = artefact.path.parent / CERTIFICATE_NAME
    expected = artefact.manifest.certificate_hash
    if not path.exists():
        return
    if not expected:
        raise InputError(
            f"'{artefact.path}' was never certified: expected no '{path.name}' beside it, found one"
        )
    if not path.is_file():
        raise InputError(f"expected a certificate in '{path}', found no file")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise InputError(
            f"'{path}' is not the certificate of '{artefact.path.name}': expected SHA-256 "
            f"{expected[:12]}..., found {found[:12]}...; 'fisher-mlip verify --bind' makes another"
        )
    _check_content(artefact, json.loads(content))


def _check_manifest_copy(artefact: Artefact) -> None:
    """Refuse a `manifest.json` beside the model that says other things than the model's own."""
    path = artefact.path.parent / MANIFEST_NAME
    if not path.is_file():
        return
    copied = parse_config(read_json(path), Manifest, f"'{path}'")
    own = artefact.manifest
    different = [
        name for name in Manifest.model_fields if getattr(copied, name) != getattr(own, name)
    ]
    if different:
        raise InputError(
            f"'{path}' is not the manifest inside '{artefact.path.name}', which counts: they "
            f"differ in '{different[0]}'; 'fisher-mlip verify --bind' writes it again"
        )


def _check_content(artefact: Artefact, certificate: dict[str, Any]) -> None:
    """Refuse weights or code other than those that were certified."""
    expected, found = certificate["content_hash"], content_hash(artefact.path)
    if expected != found:
        raise InputError(
            f"the certificate of '{artefact.path}' is of another {artefact.path.name}: expected "
            f"{expected[:12]}..., found {found[:12]}..."
        )


def certification_note(artefact: Artefact, present: PresentConditions) -> str | None:
    """Return one sentence on how the present conditions differ from the certified ones.

    Args:
        artefact: the potential.
        present: where it is about to run.

    Returns:
        None where it was certified under these conditions. A certificate that was changed is told
        before anything else.
    """
    certified = artefact.manifest.certified
    again = f"'fisher-mlip verify {artefact.path.parent}' runs the checks here"
    try:
        check_binding(artefact)
    except InputError as refused:
        return str(refused)
    if certified is None:
        return f"'{artefact.path.name}' has no certificate: {again}"
    if not (artefact.path.parent / CERTIFICATE_NAME).exists():
        return f"the {CERTIFICATE_NAME} of '{artefact.path.name}' is not beside it: {again}"
    pairs = {
        "device": (certified.device, present.device),
        "kernel": (certified.kernel, present.kernel),
        "torch": (certified.versions.get("torch"), present.torch),
        "platform": (certified.platform, present.platform),
    }
    differences = [
        f"{name} {here} instead of {there}"
        for name, (there, here) in pairs.items()
        if here is not None and here != there
    ]
    if not differences:
        return None
    return f"'{artefact.path.name}' was certified elsewhere: {', '.join(differences)}; {again}"


def _replace_manifest(model: Path, text: str) -> None:
    """Rewrite an artefact's archive with another manifest; every other part stays as it is."""
    content = io.BytesIO()
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(content, "w") as made:
        for entry in source.infolist():
            data = text.encode() if is_manifest(entry.filename) else source.read(entry)
            copy = zipfile.ZipInfo(entry.filename)
            copy.compress_type = entry.compress_type
            start = content.tell() + 30 + len(entry.filename.encode()) + 4
            padding = -start % _ALIGNMENT
            copy.extra = _FILLING + padding.to_bytes(2, "little") + b"Z" * padding
            made.writestr(copy, data)
    write_bytes(model, content.getvalue())
