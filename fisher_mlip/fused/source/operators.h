// What the operators share.
#pragma once

#include <ATen/ATen.h>

#include <tuple>

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

// Harmonics (n_edges, n_harmonics) up to a degree and lengths (n_edges,) of vectors (n_edges, 3).
std::tuple<at::Tensor, at::Tensor> edge_geometry(const at::Tensor &vectors, int64_t degree);

// Of listed pairs those within the cutoff: vectors (n_edges, 3) from receiver to sender, senders
// and receivers (n_edges,).
std::tuple<at::Tensor, at::Tensor, at::Tensor> near_edges(const at::Tensor &positions,
                                                          const at::Tensor &senders,
                                                          const at::Tensor &receivers,
                                                          const at::Tensor &cell_shifts,
                                                          const at::Tensor &box, double cutoff);

}    // namespace fused
