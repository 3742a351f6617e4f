"""Export: a checkpoint -> an artefact that engines run, compared with the eager model."""

from fisher_mlip.export.artefact import Artefact, load_artefact, write_artefact
from fisher_mlip.export.ase_calculator import FisherCalculator
from fisher_mlip.export.manifest import Manifest, read_manifest
from fisher_mlip.export.potential import ArtefactPotential

__all__ = [
    "Artefact",
    "ArtefactPotential",
    "FisherCalculator",
    "Manifest",
    "load_artefact",
    "read_manifest",
    "write_artefact",
]
