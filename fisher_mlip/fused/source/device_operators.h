// The operators of tensors on a GPU.
#pragma once

#include "operators.h"

namespace fused {

// What a layer's forward pass leaves for the backward one.
struct DeviceTrace {
  at::Tensor sent, scalars, gated;
};

// One layer's numbers, as `interaction` is given them.
struct DeviceInputs {
  at::Tensor harmonics, distances, table, maps, transposed;
  std::vector<at::Tensor> order;
  Shape shape;
  double cutoff;
};

at::Tensor device_interaction(const DeviceInputs &inputs, const at::Tensor &nodes, DeviceTrace &trace);

// Slopes of the nodes, none unless they are wanted, of harmonics and of distances.
std::vector<at::Tensor> device_interaction_back(const DeviceInputs &inputs, const DeviceTrace &trace,
                                                const at::Tensor &out_slopes, bool of_nodes);

void device_geometry(int degree, const at::Tensor &vectors, at::Tensor &values, at::Tensor &distances);
void device_geometry_back(int degree, const at::Tensor &vectors, const at::Tensor &distances,
                          const at::Tensor &harmonic_slopes, const at::Tensor &distance_slopes,
                          at::Tensor &slopes);

std::vector<at::Tensor> device_edge_order(const at::Tensor &senders, const at::Tensor &receivers,
                                          int64_t n_atoms);

// All pairs, those beyond the cutoff too, which the layers leave out: nothing waits for a count.
std::tuple<at::Tensor, at::Tensor, at::Tensor> device_pairs(const at::Tensor &positions,
                                                            const at::Tensor &senders,
                                                            const at::Tensor &receivers,
                                                            const at::Tensor &cell_shifts,
                                                            const at::Tensor &box);

// Energies (n_atoms,) and their slopes, as the nodes are.
std::tuple<at::Tensor, at::Tensor> device_forms(const at::Tensor &nodes, const at::Tensor &species,
                                                const at::Tensor &forms, const at::Tensor &linear);

// Half of the repulsion of each pair to its receiver, (n_atoms,), float64, as `ScreenedRepulsion` has
// it: vectors (n_edges, 3), pairs longer than `reach` have none; tables (3, n_elements, n_elements),
// float64, of strength, length and outer. On a GPU only; it is differentiated by the vectors, once.
at::Tensor core_energies(const at::Tensor &vectors, const at::Tensor &species, const at::Tensor &senders,
                         const at::Tensor &receivers, const at::Tensor &tables, double reach,
                         double inner);

}    // namespace fused
