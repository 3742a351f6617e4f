"""r-RESPA: a cheap potential takes the short steps, the model corrects it once in several."""

import math

from openmm import CustomIntegrator

from fisher_mlip.units import BOLTZMANN_KJ_PER_MOL_K

# Force groups of what the integrators below read.
MODEL_GROUP = 0
INNER_GROUP = 1


def respa_integrator(
    timestep_ps: float,
    inner_steps: int,
    *,
    temperature: float | None = None,
    friction: float = 1.0,
) -> CustomIntegrator:
    """Return a velocity Verlet (or Langevin, BAOAB) integrator on two time scales.

    One step of it is an outer step: half a kick by F_model - F_inner, `inner_steps` steps of the
    inner potential alone, half a kick by F_model - F_inner. The model is evaluated once a step. The
    difference is kicked with, so that the inner potential is no part of the energy: that of a
    State which is asked for the integrator's own groups is the model's.

    Args:
        timestep_ps: the outer step, ps.
        inner_steps: M; the inner potential's step is `timestep_ps` / M.
        temperature: K, of the Langevin thermostat; None for none.
        friction: 1/ps, of the Langevin thermostat.

    Returns:
        An integrator for a System without constraints, whose model's forces (and barostat) are in
        group `MODEL_GROUP` and whose inner potential's are in group `INNER_GROUP`. Its velocities
        are those at the step.

    Source:
        M. Tuckerman, B. J. Berne, G. J. Martyna, J. Chem. Phys. 97, 1990 (1992), eq. 2.22, with
        i L = (F_model - F_inner)/m d/dv + [F_inner/m d/dv + v d/dx]; the thermostat stands in the
        middle of each inner step (B. Leimkuhler, C. Matthews, Appl. Math. Res. Express 2013, 34).
    """
    integrator = CustomIntegrator(timestep_ps)
    if temperature is not None:
        decay = math.exp(-friction * timestep_ps / inner_steps)
        integrator.addGlobalVariable("decay", decay)
        integrator.addGlobalVariable("spread", math.sqrt(1.0 - decay**2))
        integrator.addGlobalVariable("kT", temperature * BOLTZMANN_KJ_PER_MOL_K)
    integrator.addUpdateContextState()
    _correct(integrator)
    for _ in range(inner_steps):
        integrator.addComputePerDof("v", f"v+0.5*(dt/{inner_steps})*f{INNER_GROUP}/m")
        _drift(integrator, inner_steps, has_thermostat=temperature is not None)
        integrator.addComputePerDof("v", f"v+0.5*(dt/{inner_steps})*f{INNER_GROUP}/m")
    _correct(integrator)
    integrator.setIntegrationForceGroups({MODEL_GROUP})
    return integrator


def _correct(integrator: CustomIntegrator) -> None:
    """Kick for half an outer step by the model's force less the inner one's.

    The integrator keeps the forces of the group that was asked for last while nothing moves: the
    inner steps leave their own at the end, so those are taken off first there, and the model's are
    left for the start of the next step.
    """
    inner = f"v-0.5*dt*f{INNER_GROUP}/m"
    model = f"v+0.5*dt*f{MODEL_GROUP}/m"
    is_first = integrator.getNumComputations() == 1
    for kick in (model, inner) if is_first else (inner, model):
        integrator.addComputePerDof("v", kick)


def _drift(integrator: CustomIntegrator, inner_steps: int, *, has_thermostat: bool) -> None:
    """Move for an inner step, in two halves around the thermostat where there is one."""
    if not has_thermostat:
        integrator.addComputePerDof("x", f"x+(dt/{inner_steps})*v")
        return
    half = f"x+0.5*(dt/{inner_steps})*v"
    integrator.addComputePerDof("x", half)
    integrator.addComputePerDof("v", "decay*v+spread*sqrt(kT/m)*gaussian")
    integrator.addComputePerDof("x", half)
