"""The conversions, against values of other sources and against each other."""

import ase.units
import numpy as np
import pytest
from openmm import unit

from fisher_mlip import units


def test_energy_conversions_agree_with_openmm() -> None:
    electronvolt = unit.elementary_charge * unit.volt
    ours = units.KJ_PER_MOL_PER_EV
    theirs = (1.0 * electronvolt * unit.AVOGADRO_CONSTANT_NA).value_in_unit(unit.kilojoule_per_mole)
    assert ours == pytest.approx(theirs, rel=1e-7)
    assert ours == pytest.approx(96.48533212331, rel=1e-12)  # CODATA 2018, F in kC/mol


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (units.KCAL_PER_MOL_PER_EV, ase.units.mol / ase.units.kcal),
        (units.EV_PER_HARTREE, ase.units.Hartree),
        (units.BOLTZMANN_EV_PER_K, ase.units.kB),
        (units.BAR_PER_EV_PER_ANGSTROM3, 1.0 / ase.units.bar),
        # ase measures time in Å sqrt(amu/eV); its fs in that unit gives 1 amu (Å/fs)^2 in eV.
        (units.EV_PER_AMU_ANGSTROM2_PER_FS2, 1.0 / ase.units.fs**2),
    ],
)
def test_conversions_agree_with_ase(ours: float, theirs: float) -> None:
    # ase holds CODATA 2014.
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_boltzmann_constants_agree() -> None:
    product = units.BOLTZMANN_EV_PER_K * units.KJ_PER_MOL_PER_EV
    assert pytest.approx(product, rel=1e-14) == units.BOLTZMANN_KJ_PER_MOL_K


def test_force_conversion_is_energy_over_length() -> None:
    stretch = 0.02  # Å
    work_ev = 3.0 * stretch
    work_kj = 3.0 * units.KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM * (stretch * units.NM_PER_ANGSTROM)
    assert work_kj == pytest.approx(work_ev * units.KJ_PER_MOL_PER_EV, rel=1e-14)


def test_density_of_water() -> None:
    # 1 g/cm^3 is 55.51 mol/L: 29.9 Å^3 a molecule of 18.015 amu.
    density = 18.015 / 29.915 * units.G_PER_CM3_PER_AMU_PER_ANGSTROM3
    assert density == pytest.approx(1.0, rel=1e-3)


def test_equipartition_speed_of_argon() -> None:
    # m <v^2> = 3 kT: argon's rms speed at 300 K is 432.8 m/s.
    mean_square = 3.0 * units.BOLTZMANN_EV_PER_K * 300.0
    speed = np.sqrt(mean_square / (39.948 * units.EV_PER_AMU_ANGSTROM2_PER_FS2)) * 1e5
    assert speed == pytest.approx(432.8, rel=1e-3)
