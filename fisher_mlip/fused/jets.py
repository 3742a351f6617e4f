"""Functions of a distance with their first two derivatives, carried along by the chain rule."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Jet:
    """f, f' and f'' at some distances, float64, each (n,) or (n, ...)."""

    value: Tensor
    first: Tensor
    second: Tensor

    def __add__(self, other: "Jet") -> "Jet":
        return Jet(self.value + other.value, self.first + other.first, self.second + other.second)

    def __mul__(self, other: "Jet") -> "Jet":
        return Jet(
            self.value * other.value,
            self.first * other.value + self.value * other.first,
            self.second * other.value + 2.0 * self.first * other.first + self.value * other.second,
        )

    def scaled(self, factor: float | Tensor) -> "Jet":
        """Return c f."""
        return Jet(self.value * factor, self.first * factor, self.second * factor)

    def through(self, outer: Tensor, slope: Tensor, curvature: Tensor) -> "Jet":
        """Return g(f), of g, g' and g'' at f."""
        bent = curvature * self.first.square() + slope * self.second
        return Jet(outer, slope * self.first, bent)

    def mapped(self, matrix: Tensor) -> "Jet":
        """Return the linear map (n_out, n_in) of values (n, n_in)."""
        return Jet(self.value @ matrix.t(), self.first @ matrix.t(), self.second @ matrix.t())

    def as_column(self) -> "Jet":
        """Return values (n,) as (n, 1), to be multiplied with (n, n_functions)."""
        return Jet(self.value[:, None], self.first[:, None], self.second[:, None])


def distance_jet(distances: Tensor) -> Jet:
    """Return r itself."""
    return Jet(distances, torch.ones_like(distances), torch.zeros_like(distances))


def reciprocal(f: Jet) -> Jet:
    """Return 1 / f."""
    inverse = 1.0 / f.value
    return f.through(inverse, -inverse.square(), 2.0 * inverse**3)


def silu(f: Jet) -> Jet:
    """Return f sigmoid(f)."""
    s = torch.sigmoid(f.value)
    slope = s * (1.0 - s)
    return f * f.through(s, slope, slope * (1.0 - 2.0 * s))


def bessel_jet(r: Jet, cutoff: float, n_functions: int) -> Jet:
    """Return `bessel_basis` of distances (n,), (n, n_functions)."""
    waves = torch.arange(1, n_functions + 1, dtype=torch.float64) * (math.pi / cutoff)
    column = r.as_column()
    phase = column.scaled(waves)
    sine = torch.sin(phase.value)
    waved = phase.through(sine, torch.cos(phase.value), -sine)
    return (waved * reciprocal(column)).scaled(math.sqrt(2.0 / cutoff))


def envelope_jet(r: Jet, cutoff: float) -> Jet:
    """Return `smooth_envelope` of distances (n,), zero with all derivatives from the cutoff on."""
    inside = r.value < cutoff
    u = r.scaled(1.0 / cutoff)
    u = Jet(u.value.clamp(max=1.0 - 1e-6), u.first, u.second)
    square = (u * u).scaled(-1.0)
    gap = reciprocal(Jet(1.0 + square.value, square.first, square.second)).scaled(-1.0)
    top = torch.exp(1.0 + gap.value)
    made = gap.through(top, top, top)
    nothing = torch.zeros_like(top)
    return Jet(
        torch.where(inside, made.value, nothing),
        torch.where(inside, made.first, nothing),
        torch.where(inside, made.second, nothing),
    )
