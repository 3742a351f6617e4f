"""A certificate and its artefact: each names the other by hash."""

from fisher_mlip.certificate.rows import Certificate, read_certificate
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.export.certification import (
    bind_certificate,
    check_binding,
)
from fisher_mlip.export.manifest import CERTIFICATE_NAME


def bind(artefact: Artefact, certificate: Certificate) -> Artefact:
    """Make a certificate the artefact's own: `certificate.json` beside it, its hash inside.

    Raises:
        UncertifiedError: a check failed.
    """
    certificate.require_passed()
    return bind_certificate(artefact, certificate.text(), certificate.conditions)


def own_certificate(artefact: Artefact) -> Certificate | None:
    """Return the artefact's certificate, or None where it has none.

    Raises:
        InputError: the certificate was changed, or it is of another model than this one.
    """
    check_binding(artefact)
    path = artefact.path.parent / CERTIFICATE_NAME
    if not path.exists():
        return None
    return read_certificate(path)


def told_of(artefact: Artefact) -> str:
    """Return one line on the certificate that the artefact came with, forged ones told as such."""
    try:
        certificate = own_certificate(artefact)
    except InputError as refused:
        return f"came with: {refused}"
    if certificate is None:
        return "came with: no certificate"
    found = certificate.conditions
    outcome = "passed" if certificate.passed else "failed"
    return (
        f"came with: {outcome} on {found.date[:10]} on {found.platform} ({found.device}, "
        f"{certificate.cpu}), torch {found.versions.get('torch', '?')}"
    )
