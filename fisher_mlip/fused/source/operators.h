// What the operators share.
#pragma once

#include "interface.h"
#include "lanes.h"

#include <ATen/ATen.h>

#include <tuple>
#include <vector>

#define FUSED_BY_TYPE(tensor, ...)                                              \
  if ((tensor).scalar_type() == at::kFloat) {                                   \
    using T = float;                                                            \
    __VA_ARGS__;                                                                \
  } else {                                                                      \
    TORCH_CHECK((tensor).scalar_type() == at::kDouble,                          \
                "expected float32 or float64, found ", (tensor).scalar_type()); \
    using T = double;                                                           \
    __VA_ARGS__;                                                                \
  }

namespace fused {

// sizes: channels, degree in, degree out, atoms whose features are made.
struct Shape {
  int64_t channels, in, out, n_made;
  explicit Shape(const std::vector<int64_t> &sizes) :
      channels(sizes.at(0)), in(sizes.at(1)), out(sizes.at(2)), n_made(sizes.at(3))
  {
  }
};

// What `edge_order` returns, as the layers read it.
Edges edges_of(const std::vector<at::Tensor> &order);

template <typename T>
LayerWeights<T> weights_of(const Shape &shape, const at::Tensor &maps, const at::Tensor &transposed)
{
  const int n_blocks = int((shape.channels + WIDTH<T> - 1) / WIDTH<T>);
  return {maps.data_ptr<T>(), transposed.data_ptr<T>(), int(shape.channels), n_blocks};
}

// Harmonics (n_edges, n_harmonics) up to a degree and lengths (n_edges,) of vectors (n_edges, 3).
std::tuple<at::Tensor, at::Tensor> edge_geometry(const at::Tensor &vectors, int64_t degree);

// Of listed pairs those within the cutoff: vectors (n_edges, 3) from receiver to sender, senders
// and receivers (n_edges,).
std::tuple<at::Tensor, at::Tensor, at::Tensor> near_edges(const at::Tensor &positions,
                                                          const at::Tensor &senders,
                                                          const at::Tensor &receivers,
                                                          const at::Tensor &cell_shifts,
                                                          const at::Tensor &box, double cutoff);

// Of vectors (n_edges, 3) and their tangents: those of harmonics and of distances.
std::tuple<at::Tensor, at::Tensor> edge_tangents(const at::Tensor &vectors,
                                                 const at::Tensor &distances,
                                                 const at::Tensor &tangents, int64_t degree);

// `interaction` of numbers with tangents: nodes (n_atoms, 2, irreps), harmonics and their tangents
// (n_edges, n_harmonics), tangents of distances (n_edges,), rows (n_edges, 2, n_functions) of
// radial functions and their slopes. It is differentiated by nodes, rows and maps; `transposed`
// are the numbers of the maps again, and has no slopes of its own.
at::Tensor interaction_dual(const at::Tensor &nodes, const at::Tensor &harmonics,
                            const at::Tensor &turns, const at::Tensor &speeds,
                            std::vector<at::Tensor> order, const at::Tensor &rows,
                            const at::Tensor &maps, const at::Tensor &transposed,
                            std::vector<int64_t> sizes);

// Numbers of parameters in other orders: to[k] = flat[index[k]] * scale[k], flat the parameters one
// after the other, in parts of some sizes. Each number goes to one place at most: to `place` with
// `place_scale`, which is zero where it goes nowhere.
std::vector<at::Tensor> pick(std::vector<at::Tensor> parameters, const at::Tensor &index,
                             const at::Tensor &scale, const at::Tensor &place,
                             const at::Tensor &place_scale, std::vector<int64_t> sizes);

// Rows (n_edges, 2, n_functions) of every layer, radial functions and their slopes: Bessel functions
// of distances (n_edges,), `into` a hidden layer (width, n_basis), SiLU, times envelope and scale,
// `out` of it (n_functions * width,).
std::vector<at::Tensor> radial_rows(const at::Tensor &distances, std::vector<at::Tensor> into,
                                    std::vector<at::Tensor> out, const at::Tensor &scale,
                                    double cutoff);

// Energies (n_atoms,), float64, of nodes (n_atoms, irreps): v' A v of the channels of each degree,
// summed over its components, A of forms (n_elements, degrees, channels, padded), symmetric, and
// scalars times linear (n_elements, channels), both float64; species (n_atoms,). It is
// differentiated by the nodes, once.
at::Tensor quadratic_forms(const at::Tensor &nodes, const at::Tensor &species,
                           const at::Tensor &forms, const at::Tensor &linear);

}    // namespace fused
