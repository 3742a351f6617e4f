"""Certificate: an artefact -> what was measured of it in the engine, bound to it by hashes."""

from fisher_mlip.certificate.checking import Level, certify
from fisher_mlip.certificate.rows import Certificate, Row, Verdict, read_certificate

__all__ = ["Certificate", "Level", "Row", "Verdict", "certify", "read_certificate"]
