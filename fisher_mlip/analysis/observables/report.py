"""Observables of runs -> a section of their report and numbers of summary.json."""

from collections.abc import Callable, Sequence
from typing import Any

from fisher_mlip.analysis.html import Section
from fisher_mlip.analysis.observables.diffusion import Diffusion, diffusion_of
from fisher_mlip.analysis.observables.distribution import Distribution
from fisher_mlip.analysis.observables.geometry import Geometry, geometry_of
from fisher_mlip.analysis.observables.radial import RadialFunctions, radial_of
from fisher_mlip.analysis.observables.spectrum import Spectrum, spectrum_of
from fisher_mlip.analysis.run import Run
from fisher_mlip.errors import InputError

UNKNOWN = "–"
_Numbers = dict[str, Any]
_TEXT = (
    "± is a standard error: between molecules that do not see each other (8 or more), else between "
    "blocks of time; of diffusion between molecules, of a spectrum between its segments."
)


def observables_section(runs: Sequence[Run]) -> tuple[Section, dict[str, Any]]:
    """Measure what each run's trajectory has numbers for.

    Args:
        runs: of either engine.

    Returns:
        A table for the report, and `observables` for summary.json, a dictionary by run.
    """
    numbers = {run.label: _numbers_of(run) for run in runs}
    cells = {label: _cells_of(found) for label, found in numbers.items()}
    names = list(dict.fromkeys(name for own in cells.values() for name in own))
    rows = [["", *cells], *([n, *(own.get(n, UNKNOWN) for own in cells.values())] for n in names)]
    return Section("Observables", _TEXT, rows), {"observables": numbers}


def _numbers_of(run: Run) -> _Numbers:
    """Return what can be measured, and in sentences why the rest cannot."""
    makers: dict[str, Callable[[], _Numbers]] = {
        "geometry": lambda: _of_geometry(geometry_of(run)),
        "spectrum": lambda: _of_spectrum(spectrum_of(run)),
    }
    if run.molecules is None:
        makers["radial"] = lambda: _of_radial(radial_of(run))
        makers["diffusion"] = lambda: _of_diffusion(diffusion_of(run))
    found: _Numbers = {}
    for name, make in makers.items():
        try:
            found[name] = make()
        except InputError as failure:
            found.setdefault("not_measured", []).append(str(failure))
    return found


def _of_geometry(found: Geometry) -> _Numbers:
    h = found.distances
    return {
        "errors_between": h.source,
        "frames": found.n_frames,
        "bonds_A": {kind: _moments(one) for kind, one in found.bonds.items()},
        "angles_degrees": {kind: _moments(one) for kind, one in found.angles.items()},
        "h_edges_A": h.edges.tolist(),
        "h_per_A": h.density.tolist(),
        "h_error_per_A": h.error.tolist(),
    }


def _moments(found: Distribution) -> _Numbers:
    return {
        "mean": found.mean,
        "mean_error": found.mean_error,
        "std": found.std,
        "std_error": found.std_error,
    }


def _of_spectrum(found: Spectrum) -> _Numbers:
    return {
        "velocities": "differences of positions",
        "nyquist_per_cm": found.nyquist,
        "resolution_per_cm": found.resolution,
        "segments": found.n_segments,
        "peak_per_cm": found.peak,
        "wavenumber_per_cm": found.wavenumber.tolist(),
        "density_cm": found.density.tolist(),
        "density_error_cm": found.density_error.tolist(),
    }


def _of_radial(found: RadialFunctions) -> _Numbers:
    return {
        "frames": found.n_frames,
        "edges_A": found.edges.tolist(),
        "g": dict(zip(found.names, found.mean.tolist(), strict=True)),
        "g_error": dict(zip(found.names, found.error.tolist(), strict=True)),
    }


def _of_diffusion(found: Diffusion) -> _Numbers:
    return {
        "coefficient_1e-9_m2_s": found.coefficient,
        "coefficient_error_1e-9_m2_s": found.coefficient_error,
        "window_ps": list(found.window_ps),
        "exponent": found.exponent,
        "box_length_A": found.box_length,
        "finite_size": "not corrected: Yeh-Hummer adds 2.837297 k_B T / (6 pi eta L)",
    }


def _cells_of(found: _Numbers) -> dict[str, str]:
    cells = {}
    geometry = found.get("geometry", {"bonds_A": {}, "angles_degrees": {}})
    for what, unit in (("bonds_A", "Å"), ("angles_degrees", "°")):
        for kind, own in geometry[what].items():
            mean = f"{own['mean']:.4g} ± {own['mean_error']:.1g}"
            spread = f"{own['std']:.3g} ± {own['std_error']:.1g}"
            cells[f"{kind}, mean, standard deviation / {unit}"] = f"{mean}, {spread}"
    if "spectrum" in found:
        own = found["spectrum"]
        cells["Spectrum's peak (Nyquist limit) / cm⁻¹"] = (
            f"{own['peak_per_cm']:.0f} ({own['nyquist_per_cm']:.0f})"
        )
    if "diffusion" in found:
        own = found["diffusion"]
        cells["Self-diffusion, not corrected for the box / (1e-9 m²/s)"] = (
            f"{own['coefficient_1e-9_m2_s']:.3g} ± {own['coefficient_error_1e-9_m2_s']:.1g}, "
            f"MSD ~ t^{own['exponent']:.2f}"
        )
    if found.get("not_measured"):
        cells["Not measured"] = "; ".join(found["not_measured"])
    return cells
