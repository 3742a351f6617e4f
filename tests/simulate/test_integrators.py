"""Ensembles: what a Nosé-Hoover chain conserves and how hot it is, where a barostat begins."""

from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
from openmm import unit

from fisher_mlip.analysis.table import read_table
from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import InputError
from fisher_mlip.simulate import engine, run_simulation
from fisher_mlip.simulate.integrators import add_ensemble, make_integrator, noise_seeds, renew
from openmm_plugin import PotentialForce

from .conftest import MakeConfig, read_rows


def _nothing(*_: object) -> PotentialForce:
    return PotentialForce(openmm.HarmonicBondForce(), "python", "torchscript", "nothing", lambda: 0)


BOLTZMANN = 0.00831446261815324
CHAIN = SimulateConfig(
    model="", ensemble="nvt", thermostat="nose-hoover", temperature=300.0, timestep=0.5
)


def _four_atoms(has_remover: bool = True) -> tuple[openmm.Context, openmm.NoseHooverIntegrator]:
    """Return a molecule of four atoms on anharmonic springs at 600 K, of momentum zero."""
    system, springs = openmm.System(), openmm.CustomBondForce("4e4*(r-0.12)^2*(1+5*(r-0.12))")
    for mass in (12.0, 16.0, 1.0, 14.0):
        system.addParticle(mass)
    for first in range(4):
        for second in range(first):
            springs.addBond(first, second)
    system.addForce(springs)
    if has_remover:
        add_ensemble(system, CHAIN)
    integrator = make_integrator(CHAIN)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, integrator, platform)
    masses = np.array([12.0, 16.0, 1.0, 14.0])[:, None]
    generator = np.random.default_rng(1)
    velocities = generator.normal(size=(4, 3)) * np.sqrt(BOLTZMANN * 600.0 / masses)
    corners = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) * 0.12 / np.sqrt(2.0)
    context.setPositions(corners)
    context.setVelocities(velocities - (masses * velocities).sum(axis=0) / masses.sum())
    return context, integrator


def _energy(context: openmm.Context) -> float:
    state = context.getState(energy=True)
    return float((state.getPotentialEnergy() + state.getKineticEnergy())._value)


def test_nose_hoover_conserves_the_energy_with_that_of_its_bath() -> None:
    """What the atoms lose the bath has; the atoms' energy alone would fail the same check."""
    context, integrator = _four_atoms()
    atoms, all_in_all = [], []
    for _ in range(2000):
        integrator.step(5)
        bath = integrator.computeHeatBathEnergy().value_in_unit(unit.kilojoule_per_mole)
        atoms.append(_energy(context))
        all_in_all.append(atoms[-1] + bath)
    fifth = len(atoms) // 5

    def drift(energies: list[float]) -> float:
        return abs(np.mean(energies[-fifth:]) - np.mean(energies[:fifth]))

    assert drift(all_in_all) < 0.05 * np.ptp(atoms)
    assert np.std(all_in_all) < 0.2 * np.std(atoms)


def _mean_kinetic(has_remover: bool) -> float:
    context, integrator = _four_atoms(has_remover)
    integrator.step(2000)
    found = []
    for _ in range(4000):
        integrator.step(5)
        found.append(context.getState(energy=True).getKineticEnergy()._value)
    return float(np.mean(found))


def test_nose_hoover_knows_that_the_momentum_is_zero() -> None:
    """Nine degrees of freedom of four atoms; without the remover OpenMM heats for twelve."""
    expected = 9.0 * BOLTZMANN * 300.0 / 2.0
    assert _mean_kinetic(has_remover=True) == pytest.approx(expected, rel=0.08)
    assert _mean_kinetic(has_remover=False) == pytest.approx(expected * 12 / 9, rel=0.08)


@pytest.mark.parametrize(
    ("values", "freedom"),
    [
        ({"ensemble": "nve"}, 3 * (18 - 2)),
        ({"ensemble": "nvt"}, 3 * 18),
        ({"ensemble": "nvt", "thermostat": "nose-hoover"}, 3 * (18 - 1)),
    ],
)
def test_degrees_of_freedom(
    values: dict[str, Any], freedom: int, short: MakeConfig, tmp_path: Path
) -> None:
    """Two molecules of a gas: each keeps its momentum, all are kicked, or all are scaled alike."""
    summary = run_simulation(short(steps=4, **values), tmp_path / "run")
    assert summary.degrees_of_freedom == pytest.approx(freedom)
    ledger = read_table(tmp_path / "run" / "ledger.csv")
    kinetic, found = (
        ledger.column(name)[-1] for name in ("Kinetic Energy (kJ/mole)", "Temperature (K)")
    )
    assert found == pytest.approx(2.0 * kinetic / (freedom * BOLTZMANN), rel=1e-10)


def test_npt_moves_the_volume_and_keeps_the_shape(
    short: MakeConfig, ethanol_box: Path, tmp_path: Path
) -> None:
    config = short(
        ensemble="npt", system=str(ethanol_box), steps=10, barostat_interval=1, report_interval=1
    )
    summary = run_simulation(config, tmp_path / "run")
    assert summary.degrees_of_freedom == 3 * 72
    volumes = read_table(tmp_path / "run" / "ledger.csv").column("Box Volume (nm^3)")
    assert volumes[0] == pytest.approx(1.728)
    assert len(set(volumes.tolist())) > 2
    text = (tmp_path / "run" / "state.xml").read_text()
    box = openmm.XmlSerializer.deserialize(text).getPeriodicBoxVectors(asNumpy=True)._value
    np.testing.assert_allclose(
        box / box[0, 0], np.array([[12, 0, 0], [1, 12, 0], [0, 0.5, 12]]) / 12
    )


def _largest_step(simulation: Any, renewed: bool, config: SimulateConfig) -> float:
    """Return the largest change of a volume that was made eight times as large, nm^3."""
    box = simulation.system.getDefaultPeriodicBoxVectors()
    simulation.context.setPeriodicBoxVectors(*(2.0 * vector for vector in box))
    simulation.context.setPositions(np.random.default_rng(0).uniform(0, 2.4, (72, 3)))
    if renewed:
        renew(simulation, config, config.seed)
    volumes = []
    for _ in range(10):
        simulation.step(1)
        volumes.append(simulation.context.getState().getPeriodicBoxVolume()._value)
    return float(np.abs(np.diff(volumes)).max())


def test_the_barostat_steps_by_the_box_of_the_moment(
    short: MakeConfig, ethanol_box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenMM takes 1 % of the default box, which is that of the start."""
    from fisher_mlip.export import load_artefact
    from fisher_mlip.simulate.systems import build_molecular_system

    monkeypatch.setattr(engine, "potential_force", _nothing)
    config = short(ensemble="npt", system=str(ethanol_box), barostat_interval=1)
    molecular = build_molecular_system(config, 3.0)
    found = []
    for renewed in (False, True):
        artefact = load_artefact(Path(config.model))
        simulation = engine.build_simulation(molecular, artefact, config, config.seed, step=0)
        found.append(_largest_step(simulation, renewed, config))
    assert 0.0 < found[0] <= 0.01 * 1.728 < found[1] <= 0.01 * 8.2 * 1.728


def test_seeds_differ_by_step_and_kind_and_are_never_any() -> None:
    drawn = [seed for step in range(100) for seed in noise_seeds(0, step)]
    assert len(set(drawn)) == 200
    assert all(0 < seed < 2**31 for seed in drawn)


@pytest.mark.parametrize("inner", ["opls", "model"])
def test_one_inner_step_is_the_run_without_one(
    inner: str, short: MakeConfig, tmp_path: Path
) -> None:
    """Whatever the inner potential is: what it adds is taken off again."""
    plain = short(steps=6, report_interval=1)
    chosen = plain.model if inner == "model" else inner
    energies = []
    for name, values in (("plain", {}), ("inner", {"inner": chosen}), ("two", {"respa_steps": 2})):
        config = plain.model_copy(update={"inner": chosen} | values if values else {})
        run_simulation(config, tmp_path / name)
        energies.append(read_rows(tmp_path / name / "ledger.csv")[:, 2:5])
    np.testing.assert_allclose(energies[1], energies[0], rtol=0, atol=1e-7)
    assert np.abs(energies[2] - energies[0]).max() > 1e-5


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"ensemble": "npt"}, "expected a periodic system for the ensemble npt"),
        ({"ensemble": "npt", "temperature": 0.0}, "expected a temperature above 0 K"),
        (
            {"ensemble": "nvt", "thermostat": "nose-hoover", "temperature": 0.0},
            "above 0 K for the thermostat nose-hoover",
        ),
        ({"ensemble": "npt", "barostat_interval": 3}, "multiple of the barostat_interval 3"),
        ({"respa_steps": 2}, "found no inner one"),
        ({"inner": "absent.pt"}, "expected an exported model"),
        (
            {"inner": "opls", "ensemble": "nvt", "thermostat": "nose-hoover"},
            "found nose-hoover",
        ),
    ],
)
def test_refusals(values: dict[str, Any], told: str, short: MakeConfig, tmp_path: Path) -> None:
    given = {"barostat_interval": 5} | values
    with pytest.raises(InputError, match=told):
        run_simulation(short(**given), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"ensemble": "npt", "barostat_interval": 5}, "expected bonds for the ensemble npt"),
        ({"inner": "opls"}, "expected molecules of ethanol"),
    ],
)
def test_argon_like_boxes_are_refused(
    values: dict[str, Any], told: str, short: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "atoms.xyz"
    path.write_text(
        '2\nLattice="9 0 0 0 9 0 0 0 9" pbc="T T T" Properties=species:S:1:pos:R:3\n'
        "O 1 1 1\nO 5 5 5\n"
    )
    with pytest.raises(InputError, match=told):
        run_simulation(short(system=str(path), **values), tmp_path / "run")
