"""Observables: a run's trajectory -> distributions, diffusion, spectra, with their errors."""

from fisher_mlip.analysis.observables.diffusion import Diffusion, diffusion_of
from fisher_mlip.analysis.observables.distribution import Distance, Distribution
from fisher_mlip.analysis.observables.geometry import (
    Geometry,
    GeometryDistance,
    geometry_distance,
    geometry_of,
)
from fisher_mlip.analysis.observables.radial import RadialFunctions, radial_distance, radial_of
from fisher_mlip.analysis.observables.spectrum import Spectrum, spectrum_of

__all__ = [
    "Diffusion",
    "Distance",
    "Distribution",
    "Geometry",
    "GeometryDistance",
    "RadialFunctions",
    "Spectrum",
    "diffusion_of",
    "geometry_distance",
    "geometry_of",
    "radial_distance",
    "radial_of",
    "spectrum_of",
]
