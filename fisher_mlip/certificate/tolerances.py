"""What each check allows, by the precision of the network, and why that much."""

from dataclasses import dataclass

from fisher_mlip.config import DtypeName


@dataclass(frozen=True)
class Tolerances:
    """Allowed figures; those of forces hold below 1 eV/Å and are relative to the largest above.

    Attributes:
        same: between two evaluations of the same physics, eV/Å and eV/atom.
        step: of the finite differences, Å (of strains: without unit).
        gradient: of forces and strain derivatives against differences of the energy, eV/Å and eV.
        asymmetry: of the force Jacobian, relative.
        jump: of energy (eV) and forces (eV/Å) at the cutoff.
    """

    same: float
    step: float
    gradient: float
    asymmetry: float
    jump: float


TOLERANCES: dict[DtypeName, Tolerances] = {
    # Sums of some 1e3 terms in another order: 1e-15 x 1e3; parity of the export allows as much.
    # Fourth-order differences of 1e-3 Å over a length of 0.05 Å: (0.02)^4 / 30 = 5e-9 of the next
    # derivatives, rounding 1e-14 eV / 1e-3 Å; a wrong factor, or 1e-4 of a force, is far above.
    # The asymmetry is that of the same differences, once more differentiated.
    # A smooth envelope changes by 1e-8 over the step; a jump of any consequence is above 1e-6.
    "float64": Tolerances(same=1e-9, step=1e-3, gradient=1e-6, asymmetry=1e-6, jump=1e-6),
    # Seven digits of atomic energies of some 10 eV are 1e-6 eV, over steps of 1e-2 Å 1e-4 eV/Å and
    # up to ten times that where large terms cancel: these rows see gross errors only. The float64
    # twin of the same weights carries the tight ones.
    "float32": Tolerances(same=1e-4, step=1e-2, gradient=1e-2, asymmetry=1e-2, jump=1e-4),
}

# Energy errors of a symplectic integrator fall as dt^2: 4 for half the step. Over 50 fs the next
# order adds (omega dt)^2 / 16, 1 % for an O-H stretch at 0.5 fs; a term that does not fall gives 1.
ORDER_RATIO = (3.4, 4.6)
# meV/atom after 1 ps of a random walk by float32 rounding; kinetic energy at 300 K is 39.
NOISE_AFTER_PS = 1.0
# Drift counts where it is significant and stands out of the fluctuation by this factor: slopes of
# a few periods are never zero.
DRIFT_OVER_FLUCTUATION = 4.0
