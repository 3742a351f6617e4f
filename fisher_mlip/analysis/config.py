"""What the analysis is asked for."""

from pathlib import Path

from pydantic import Field

from fisher_mlip.config import Config


class AnalysisConfig(Config):
    """Options of one report.

    Attributes:
        discard_fraction: part of each run left out at its start for the second drift and the
            temperatures.
        threshold: Å; a bond further than this from its reference length is broken.
        energy_threshold: eV; a molecule whose energy spreads by more is counted.
        intermolecular_distance: Å; molecules closer than this are not meant to be.
        rdf_reference: .npz of g(r) by pair of elements to compare windows of 1 ps with; None for
            none.
        rdf_error: Å; largest integral of |g - g_ref| over a window.
        reference: extended XYZ that gives the reference lengths; None for the run's first frames.
        uncertainty_frames: frames at which the model's own uncertainty is evaluated; 0 for none.
        seed: of the bootstrap.
    """

    discard_fraction: float = Field(0.1, ge=0.0, le=0.9)
    threshold: float = Field(0.5, gt=0.0)
    energy_threshold: float = Field(0.1, gt=0.0)
    intermolecular_distance: float = Field(1.2, gt=0.0)
    rdf_reference: Path | None = None
    rdf_error: float = Field(3.0, gt=0.0)
    reference: Path | None = None
    uncertainty_frames: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)
