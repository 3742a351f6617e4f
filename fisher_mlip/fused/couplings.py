"""The couplings of every layer that is compiled, as a C++ header made from the network itself."""

from dataclasses import dataclass
from functools import cache

import torch
from e3nn import o3

from fisher_mlip.model.interaction import Gate, Interaction, degree_irreps
from fisher_mlip.model.network import default_dtype, plain_e3nn

LARGEST_DEGREE = 3
HEADER_NAME = "couplings.h"

_PREFACE = """\
// Made by fisher_mlip/fused/couplings.py: what couples node features and harmonics to messages.
#pragma once

namespace fused {

struct Term {
  int in, harmonic, out;
  double value;
};

template <int IN, int OUT> struct Couplings;

// A layer takes harmonics up to the larger of its degrees, one without directions only the first.
template <int IN, int OUT> constexpr int n_harmonics_used()
{
  constexpr int degree = IN > OUT ? IN : OUT;
  return (degree + 1) * (degree + 1);
}

"""


@dataclass(frozen=True)
class Path:
    """One coupling of an input degree with a degree of the harmonics.

    Attributes:
        index: of its weights among those of the radial network.
        degree: of the messages.
        scale: of its terms, which is left to the weights.
        terms: (input component, harmonic, output component, value), sorted by output.
    """

    index: int
    degree: int
    scale: float
    terms: list[tuple[int, int, int, float]]


def layer_degrees() -> list[tuple[int, int]]:
    """Return the degrees (of node features, of the new ones) of the layers that are compiled."""
    found = {(0, 0)}
    for degree in range(1, LARGEST_DEGREE + 1):
        found |= {(0, degree), (degree, degree), (degree, 0)}
    return sorted(found)


def paths_of(layer: Interaction) -> list[Path]:
    """Return the paths of a layer in the order of their messages."""
    product = layer.product
    columns: list[tuple[int, torch.Tensor]] = []  # first input component, (harmonics, inputs)
    start = first = 0
    for size, dim in zip(product.sizes, product.dims, strict=True):
        block = product.couplings[:, start : start + size * dim].reshape(-1, size, dim)
        start += size * dim
        columns += [(first, block[:, k]) for k in range(size)]
        first += dim
    paths: list[Path] = []
    out = 0
    for dim in product.out_dims:
        places = product.order[out : out + dim].tolist()
        terms = []
        for k, place in enumerate(places):
            first_in, matrix = columns[place]
            for harmonic, within in matrix.abs().gt(1e-10).nonzero().tolist():
                value = float(matrix[harmonic, within])
                terms.append((first_in + within, harmonic, out + k, value))
        sizes = [round(abs(value), 9) for *_, value in terms]
        scale = max(set(sizes), key=lambda size: (sizes.count(size), size))
        exact = next(abs(v) for *_, v in terms if round(abs(v), 9) == scale)
        paths.append(
            Path(
                index=int(product.paths[places[0]]),
                degree=(dim - 1) // 2,
                scale=exact,
                terms=[(a, b, c, _clean(value / exact)) for a, b, c, value in terms],
            )
        )
        out += dim
    return paths


def _clean(value: float) -> float:
    """Return exactly one where it is one but for rounding."""
    return float(round(value)) if abs(abs(value) - 1.0) < 1e-12 else value


@cache
def compiled_paths(degree_in: int, degree_out: int) -> list[Path]:
    """Return the paths between two degrees as they are compiled."""
    return paths_of(build_layer(degree_in, degree_out))


def build_layer(degree_in: int, degree_out: int) -> Interaction:
    """Return a layer of one channel between two degrees."""
    harmonics = o3.Irreps.spherical_harmonics(max(degree_in, degree_out))
    with default_dtype(torch.float64), plain_e3nn():
        return Interaction(degree_irreps(1, degree_in), harmonics, Gate(1, degree_out), 1, 1)


def couplings_header() -> str:
    """Return the header's text."""
    parts = [_PREFACE]
    for degree_in, degree_out in layer_degrees():
        parts.append(_specialization(degree_in, degree_out))
    return "".join(parts) + "}    // namespace fused\n"


def _specialization(degree_in: int, degree_out: int) -> str:
    paths = compiled_paths(degree_in, degree_out)
    terms = [term for path in paths for term in path.terms]
    out_widths = [2 * path.degree + 1 for path in paths]
    path_starts = [sum(out_widths[:k]) for k in range(len(paths) + 1)]
    n_out = path_starts[-1]
    out_starts = [sum(out < k for _, _, out, _ in terms) for k in range(n_out + 1)]
    lowest = [min(harmonic for _, harmonic, *_ in path.terms) for path in paths]
    degrees = [int(place**0.5) for place in lowest]
    arrays = {
        "path_starts": path_starts,
        "path_degrees": [path.degree for path in paths],
        "path_harmonics": [degree**2 for degree in degrees],
        "path_widths": [2 * degree + 1 for degree in degrees],
        "out_starts": out_starts,
    }
    lines = [f"template <> struct Couplings<{degree_in}, {degree_out}> {{"]
    lines.append(
        f"  static constexpr int n_paths = {len(paths)}, n_out = {n_out}, n_terms = {len(terms)};"
    )
    for name, values in arrays.items():
        lines.append(f"  static constexpr int {name}[] = {{{', '.join(map(str, values))}}};")
    lines.append("  static constexpr Term terms[] = {")
    lines += [f"      {{{a}, {b}, {c}, {value!r}}}," for a, b, c, value in terms]
    lines.append("  };\n};\n\n")
    return "\n".join(lines)
