"""Oscillators of known frequency, from velocities and from positions."""

import numpy as np
import pytest
from scipy.signal import find_peaks

from fisher_mlip.analysis.observables.spectrum import (
    CM_PER_THZ,
    Spectrum,
    autocorrelation,
    transform,
)
from fisher_mlip.data.frames import FloatArray

INTERVAL = 0.002  # ps
MASSES = np.array([1.008, 16.0])
WAVENUMBERS = (3000.0, 400.0)


def oscillators(interval: float) -> tuple[FloatArray, FloatArray]:
    """Positions (n_frames, 2, 3), Å, of two atoms with the kinetic energy of a temperature."""
    time = np.arange(2000) * interval
    positions = np.zeros((len(time), 2, 3))
    for atom, wavenumber in enumerate(WAVENUMBERS):
        omega = 2.0 * np.pi * wavenumber / CM_PER_THZ
        positions[:, atom, 0] = np.sin(omega * time + 0.3) / omega / np.sqrt(MASSES[atom])
    return time, positions


def of_positions(interval: float = INTERVAL) -> Spectrum:
    _, positions = oscillators(interval)
    velocities = np.diff(positions, axis=0) / interval
    parts = [autocorrelation(part, MASSES) for part in np.split(velocities[:1998], 2)]
    return transform(np.array(parts), interval, from_positions=True)


def check_peaks(found: Spectrum) -> None:
    places, _ = find_peaks(found.density, height=found.density.max() / 5.0)
    peaks = found.wavenumber[places]
    assert peaks == pytest.approx(sorted(WAVENUMBERS), abs=found.resolution)


def test_two_oscillators_peak_where_they_are() -> None:
    found = of_positions()
    check_peaks(found)
    assert found.nyquist == pytest.approx(8339.1, abs=0.1)
    assert np.trapezoid(found.density, found.wavenumber) == pytest.approx(1.0)
    assert found.vacf[0] == 1.0
    # 10 fs between frames: 3000 cm⁻¹ lies above the Nyquist limit and appears below it.
    slow = of_positions(0.01)
    assert slow.nyquist == pytest.approx(1667.8, abs=0.1)
    with pytest.raises(AssertionError):
        check_peaks(slow)


def test_differences_are_corrected_for_what_they_damp() -> None:
    """Both oscillators have the same kinetic energy and so the same area."""
    found = of_positions()
    is_fast = found.wavenumber > 1500.0
    areas = [
        np.trapezoid(np.where(part, found.density, 0.0), found.wavenumber)
        for part in (is_fast, ~is_fast)
    ]
    assert areas[0] == pytest.approx(areas[1], rel=0.03)
    _, positions = oscillators(INTERVAL)
    raw = autocorrelation(np.diff(positions, axis=0), MASSES)[None]
    damped = transform(raw, INTERVAL, from_positions=False)
    is_fast = damped.wavenumber > 1500.0
    fast = np.trapezoid(np.where(is_fast, damped.density, 0.0), damped.wavenumber)
    share = np.sinc(WAVENUMBERS[0] / CM_PER_THZ * INTERVAL) ** 2
    assert fast == pytest.approx(share / (1.0 + share), abs=0.005)
    assert fast < 0.48
    assert np.isnan(damped.vacf_error).all()
