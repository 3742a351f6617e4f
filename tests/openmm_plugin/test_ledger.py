"""The drift ledger: its columns, its precision, its on-step kinetic energies."""

from pathlib import Path

import numpy as np
import openmm
import openmm.app
import pytest
from openmm.app import Simulation

from fisher_mlip.data.ethanol import ethanol_positions, ethanol_topology
from fisher_mlip.errors import InputError, UnstableRunError
from fisher_mlip.export import Artefact
from fisher_mlip.units import BOLTZMANN_KJ_PER_MOL_K
from openmm_plugin import LedgerReporter, torch_force

from .conftest import MakeSprings, read_rows

COLUMNS = [
    *("Step", "Time (ps)", "Potential Energy (kJ/mole)", "Kinetic Energy (kJ/mole)"),
    *("Total Energy (kJ/mole)", "Temperature (K)", "Temperature C (K)", "Temperature H (K)"),
    *("Temperature O (K)", "Max Force (kJ/mole/nm)", "Drift (meV/atom/ps)", "Speed (ns/day)"),
]


def test_rows_hold_what_openmm_has_to_the_last_digit(springs: MakeSprings, tmp_path: Path) -> None:
    simulation = springs(openmm.VerletIntegrator(0.002))
    simulation.reporters.append(LedgerReporter(tmp_path / "ledger.csv", 5))
    simulation.step(20)
    columns, rows = read_rows(tmp_path / "ledger.csv")
    assert columns == COLUMNS
    assert rows[:, 0].tolist() == [0, 5, 10, 15, 20]
    state = simulation.context.getState(energy=True, forces=True)
    potential, kinetic = state.getPotentialEnergy()._value, state.getKineticEnergy()._value
    assert rows[-1, 1:5].tolist() == [
        *(state.getTime()._value, potential, kinetic, potential + kinetic)
    ]
    largest = np.linalg.norm(state.getForces(asNumpy=True)._value, axis=1).max()
    assert rows[-1, 9] == largest
    assert np.isnan(rows[0, 11])
    assert (rows[1:, 11] > 0).all()


def test_temperatures_of_elements_add_up(springs: MakeSprings, tmp_path: Path) -> None:
    simulation = springs(openmm.VerletIntegrator(0.002))
    groups = np.zeros(4, dtype=np.int64)
    simulation.reporters.append(LedgerReporter(tmp_path / "ledger.csv", 1, momentum_groups=groups))
    simulation.step(3)
    _, rows = read_rows(tmp_path / "ledger.csv")
    masses = np.array([12.01078, 1.007947, 15.99943, 1.007947])
    share = 3 * (1 - masses / masses.sum())
    freedom = np.array([share[0], share[1] + share[3], share[2]])
    kinetic = 0.5 * BOLTZMANN_KJ_PER_MOL_K * (rows[:, 6:9] * freedom).sum(axis=1)
    np.testing.assert_allclose(kinetic, rows[:, 3], rtol=1e-9)
    np.testing.assert_allclose(2 * rows[:, 3] / 9 / BOLTZMANN_KJ_PER_MOL_K, rows[:, 5], rtol=1e-9)


def _velocity_verlet(simulation: Simulation, timestep: float, steps: int) -> np.ndarray:
    """Return the kinetic energies (steps + 1,) of velocity Verlet from the simulation's state."""
    state = simulation.context.getState(positions=True, velocities=True)
    x, v = (q(asNumpy=True)._value.copy() for q in (state.getPositions, state.getVelocities))
    masses = np.array([simulation.system.getParticleMass(i)._value for i in range(len(x))])

    def acceleration(x: np.ndarray) -> np.ndarray:
        gradient = 1000 * x * [1, 2, 1]
        gradient[:, 0] += 1200 * x[:, 0] ** 3
        return -gradient / masses[:, None]

    v += 0.5 * timestep * acceleration(x)  # the simulation's velocities are half a step behind
    energies = [0.5 * (masses[:, None] * v**2).sum()]
    for _ in range(steps):
        half = v + 0.5 * timestep * acceleration(x)
        x = x + timestep * half
        v = half + 0.5 * timestep * acceleration(x)
        energies.append(0.5 * (masses[:, None] * v**2).sum())
    return np.array(energies)


def test_kinetic_energies_are_velocity_verlets(springs: MakeSprings, tmp_path: Path) -> None:
    simulation = springs(openmm.VerletIntegrator(0.002))
    expected = _velocity_verlet(simulation, 0.002, 50)
    simulation.reporters.append(LedgerReporter(tmp_path / "ledger.csv", 1))
    simulation.step(50)
    _, rows = read_rows(tmp_path / "ledger.csv")
    np.testing.assert_allclose(rows[:, 3], expected, rtol=1e-10)
    half_step_late = _velocity_verlet(springs(openmm.VerletIntegrator(0.002)), 0.0021, 50)
    assert np.abs(rows[:, 3] - half_step_late).max() > 1e-3


def test_periodic_systems_have_volume_and_density(artefact: Artefact, tmp_path: Path) -> None:
    topology = ethanol_topology(1, np.diag([10.0, 11.0, 12.0]))
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    system.setDefaultPeriodicBoxVectors(*topology.getPeriodicBoxVectors())
    system.addForce(torch_force(artefact, topology))
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = Simulation(topology, system, openmm.VerletIntegrator(0.0005), platform)
    simulation.context.setPositions(ethanol_positions() * 0.1)
    simulation.reporters.append(LedgerReporter(tmp_path / "ledger.csv", 1))
    simulation.step(1)
    columns, rows = read_rows(tmp_path / "ledger.csv")
    assert columns[9:11] == ["Box Volume (nm^3)", "Density (g/mL)"]
    # 46.069 g/mol in 1320 Å^3.
    np.testing.assert_allclose(rows[:, 9:11], [[1.32, 46.069 / 6.02214076e23 / 1320e-24]] * 2, 1e-4)


def test_a_non_finite_energy_stops_the_run(springs: MakeSprings, tmp_path: Path) -> None:
    simulation = springs(openmm.VerletIntegrator(0.002))
    reporter = LedgerReporter(tmp_path / "ledger.csv", 2)
    simulation.reporters.append(reporter)
    simulation.step(2)
    simulation.context.setVelocities(np.full((4, 3), 1e200))
    with pytest.raises(UnstableRunError, match=r"step 4 is not finite.*last finite row: step 2"):
        simulation.step(2)
    assert read_rows(tmp_path / "ledger.csv")[1][:, 0].tolist() == [0, 2]
    assert reporter.last_finite_step == 2


def test_appending_goes_on_without_a_second_row(springs: MakeSprings, tmp_path: Path) -> None:
    simulation = springs(openmm.VerletIntegrator(0.002))
    for append in (False, True):
        simulation.reporters = [LedgerReporter(tmp_path / "ledger.csv", 2, append=append)]
        simulation.step(4)
    assert read_rows(tmp_path / "ledger.csv")[1][:, 0].tolist() == [0, 2, 4, 6, 8]


def test_under_nose_hoover_the_drift_is_that_of_the_conserved_energy(
    springs: MakeSprings, tmp_path: Path
) -> None:
    """The chain pumps energy in and out of the system: its own energy and that of its bath add up.
    Under a barostat, which does work of its own, they do not, and no column says so."""
    integrator = openmm.NoseHooverIntegrator(300.0, 20.0, 0.0005)
    simulation = springs(integrator)
    simulation.reporters.append(LedgerReporter(tmp_path / "ledger.csv", 10))
    simulation.step(2000)
    columns, rows = read_rows(tmp_path / "ledger.csv")
    total, conserved = (
        columns.index(f"{kind} Energy (kJ/mole)") for kind in ("Total", "Conserved")
    )
    bath = integrator.computeHeatBathEnergy()._value
    assert rows[-1, conserved] == pytest.approx(rows[-1, total] + bath, rel=1e-12)
    kept = rows[20:]
    assert np.ptp(kept[:, conserved]) < 0.02 * np.ptp(kept[:, total])
    line = np.polyfit(rows[:, 1], rows[:, conserved], 1)[0]
    drift = rows[-1, columns.index("Drift (meV/atom/ps)")]
    assert drift == pytest.approx(line * 1000.0 / 96.48533 / 4, rel=1e-4, abs=1e-7)
    appended = LedgerReporter(tmp_path / "ledger.csv", 10, append=True)
    assert appended._drift.slope * 1000.0 / 96.48533 / 4 == pytest.approx(drift, rel=1e-5)


def test_a_heat_bath_is_not_asked_before_it_has_made_a_step(
    springs: MakeSprings, tmp_path: Path
) -> None:
    """OpenMM would end the process."""
    simulation = springs(openmm.NoseHooverIntegrator(300.0, 20.0, 0.0005))
    simulation.currentStep = 20
    simulation.reporters.append(LedgerReporter(tmp_path / "ledger.csv", 10))
    simulation.step(30)
    columns, rows = read_rows(tmp_path / "ledger.csv")
    conserved = rows[:, columns.index("Conserved Energy (kJ/mole)")]
    assert np.isnan(conserved).tolist() == [True, False, False, False]
    assert np.isfinite(rows[-1, columns.index("Drift (meV/atom/ps)")])


def test_constraints_take_degrees_of_freedom(tmp_path: Path) -> None:
    """Rigid waters: the temperature is that of OpenMM."""
    field = openmm.app.ForceField("tip3p.xml")
    model = openmm.app.Modeller(openmm.app.Topology(), [])
    model.addSolvent(field, numAdded=20)
    system = field.createSystem(model.topology, rigidWater=True)
    simulation = Simulation(
        model.topology,
        system,
        openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.002),
        openmm.Platform.getPlatformByName("Reference"),
    )
    simulation.context.setPositions(model.positions)
    simulation.context.setVelocitiesToTemperature(300.0, 1)
    simulation.reporters.append(LedgerReporter(tmp_path / "ledger.csv", 2))
    theirs = openmm.app.StateDataReporter(str(tmp_path / "openmm.csv"), 2, temperature=True)
    simulation.reporters.append(theirs)
    simulation.step(4)
    columns, rows = read_rows(tmp_path / "ledger.csv")
    expected = np.loadtxt(tmp_path / "openmm.csv", ndmin=1)
    # OpenMM takes the three of the momentum too, where a System has a CMMotionRemover.
    freedom = 20 * 9 - 20 * 3
    found = rows[1:, columns.index("Temperature (K)")]
    np.testing.assert_allclose(found * freedom / (freedom - 3), expected, rtol=1e-6)


@pytest.mark.parametrize("interval", [0, -5, 2.5])
def test_an_interval_is_a_whole_number_of_steps(interval: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whole number of steps"):
        LedgerReporter(tmp_path / "ledger.csv", interval)  # type: ignore[arg-type]
