"""r-RESPA: velocity Verlet where it is that, energy kept to second order, time turned back."""

import numpy as np
import openmm
import pytest

from openmm_plugin import respa
from openmm_plugin.respa import INNER_GROUP, respa_integrator

MASSES = np.array([12.0, 1.0, 16.0, 1.0])
STIFF, SOFT = 4000.0, 600.0
GROUPS = {"energy": True, "groups": {respa.MODEL_GROUP}}


def _model(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Springs whose stiff part the inner potential has too, and a quartic part that it lacks."""
    energy = 0.5 * (STIFF + SOFT) * (x**2).sum() + 300.0 * (x**4).sum()
    return float(energy), -(STIFF + SOFT) * x - 1200.0 * x**3


def _context(integrator: openmm.Integrator, calls: list[int] | None = None) -> openmm.Context:
    system = openmm.System()
    for mass in MASSES:
        system.addParticle(mass)

    def evaluate(state: openmm.State) -> tuple[float, np.ndarray]:
        if calls is not None:
            calls.append(1)
        return _model(state.getPositions(asNumpy=True)._value)

    system.addForce(openmm.PythonForce(evaluate))
    inner = openmm.CustomExternalForce(f"{0.5 * STIFF}*(x^2+y^2+z^2)")
    for index in range(len(MASSES)):
        inner.addParticle(index)
    inner.setForceGroup(INNER_GROUP)
    system.addForce(inner)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    generator = np.random.default_rng(0)
    context.setPositions(generator.normal(0.0, 0.05, (4, 3)))
    context.setVelocities(generator.normal(0.0, 1.0, (4, 3)))
    return context


def _phase(context: openmm.Context) -> np.ndarray:
    state = context.getState(positions=True, velocities=True)
    return np.stack(
        [values(asNumpy=True)._value for values in (state.getPositions, state.getVelocities)]
    )


def _energy(context: openmm.Context) -> float:
    state = context.getState(**GROUPS)
    return float((state.getPotentialEnergy() + state.getKineticEnergy())._value)


def test_one_inner_step_is_velocity_verlet() -> None:
    context = _context(respa_integrator(0.001, 1))
    x, v = _phase(context)
    context.getIntegrator().step(50)
    _, forces = _model(x)
    for _ in range(50):
        v = v + 0.0005 * forces / MASSES[:, None]
        x = x + 0.001 * v
        _, forces = _model(x)
        v = v + 0.0005 * forces / MASSES[:, None]
    np.testing.assert_allclose(_phase(context), [x, v], rtol=0, atol=1e-11)


def _spread(timestep: float, inner_steps: int) -> float:
    """Return the largest error of the energy over 2 ps, kJ/mol."""
    context = _context(respa_integrator(timestep, inner_steps))
    start = _energy(context)
    errors = []
    for _ in range(round(2.0 / timestep)):
        context.getIntegrator().step(1)
        errors.append(abs(_energy(context) - start))
    return max(errors)


def _check_second_order(inner_steps: int) -> None:
    """Check that half the step has a quarter of the error."""
    assert 3.5 < _spread(0.002, inner_steps) / _spread(0.001, inner_steps) < 4.5


@pytest.mark.parametrize("inner_steps", [2, 4])
def test_the_energy_error_falls_with_the_square_of_the_step(inner_steps: int) -> None:
    _check_second_order(inner_steps)


def test_kicking_with_all_of_the_models_force_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sabotage: the inner force is counted twice."""
    kick = f"v+0.5*dt*f{respa.MODEL_GROUP}/m"
    monkeypatch.setattr(respa, "_correct", lambda it: it.addComputePerDof("v", kick))
    with pytest.raises(AssertionError):
        _check_second_order(2)


def test_small_inner_steps_let_the_outer_be_longer() -> None:
    """The stiff part is in the inner potential: what is left of the error is the soft part's."""
    assert _spread(0.004, 4) < 0.3 * _spread(0.004, 1)


def test_time_turns_back() -> None:
    context = _context(respa_integrator(0.002, 4))
    start = _phase(context)
    for turned in (False, True):
        context.getIntegrator().step(100)
        if not turned:
            context.setVelocities(-_phase(context)[1])
    np.testing.assert_allclose(_phase(context), [start[0], -start[1]], rtol=0, atol=1e-9)


def test_the_model_is_asked_once_a_step() -> None:
    calls: list[int] = []
    context = _context(respa_integrator(0.002, 4), calls)
    for _ in range(20):
        context.getIntegrator().step(1)
    assert len(calls) == 21


def test_the_thermostat_holds_the_temperature() -> None:
    """Mean kinetic energy of twelve coordinates, 12 k_B T / 2, over 40 ps at a strong friction."""
    integrator = respa_integrator(0.002, 2, temperature=300.0, friction=20.0)
    integrator.setRandomNumberSeed(7)
    context = _context(integrator)
    kinetic = []
    for _ in range(4000):
        integrator.step(5)
        kinetic.append(context.getState(**GROUPS).getKineticEnergy()._value)
    assert np.mean(kinetic[200:]) == pytest.approx(6.0 * 300.0 * 0.00831446, rel=0.05)
