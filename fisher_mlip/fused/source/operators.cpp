// The operators that torch sees; edges.cpp has those of edges alone, training.cpp those of training.
#include "device_operators.h"
#include "interface.h"
#include "lanes.h"
#include "operators.h"
#include "pool.h"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

namespace fused {

void in_parallel(int64_t n, const std::function<void(int64_t, int64_t)> &f)
{
  at::parallel_for(0, n, 1, f);
}

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Edges edges_of(const std::vector<Tensor> &order)
{
  const auto at = [&](int k) { return order[k].data_ptr<int32_t>(); };
  return {at(0), at(1), at(2), at(3), at(4), at(5)};
}

namespace {

// A stable counting sort of edges by one of their ends.
void sort_by(const int32_t *ends, int64_t n_edges, int64_t n_atoms, int32_t *order, int32_t *starts)
{
  std::fill(starts, starts + n_atoms + 1, 0);
  for (int64_t edge = 0; edge < n_edges; ++edge) ++starts[ends[edge] + 1];
  for (int64_t atom = 0; atom < n_atoms; ++atom) starts[atom + 1] += starts[atom];
  std::vector<int32_t> next(starts, starts + n_atoms);
  for (int64_t edge = 0; edge < n_edges; ++edge) order[next[ends[edge]]++] = int32_t(edge);
}

// Senders and receivers as 32-bit numbers; edges by receiver, where each receiver's begin; by sender.
std::vector<Tensor> edge_order(const Tensor &senders, const Tensor &receivers, int64_t n_atoms)
{
  if (senders.is_cuda()) return device_edge_order(senders, receivers, n_atoms);
  const int64_t n_edges = senders.size(0);
  const auto whole = at::TensorOptions(at::kInt);
  std::vector<Tensor> made{senders.to(at::kInt).contiguous(),
                           receivers.to(at::kInt).contiguous(),
                           at::empty({n_edges}, whole), at::empty({n_atoms + 1}, whole),
                           at::empty({n_edges}, whole), at::empty({n_atoms + 1}, whole)};
  for (int k : {0, 1}) {
    const int32_t *ends = made[k].data_ptr<int32_t>();
    for (int64_t edge = 0; edge < n_edges; ++edge)
      TORCH_CHECK(ends[edge] >= 0 && ends[edge] < n_atoms, "expected edges of ", n_atoms,
                  " atoms, found an atom ", ends[edge]);
  }
  const auto at = [&](int k) { return made[k].data_ptr<int32_t>(); };
  sort_by(at(1), n_edges, n_atoms, at(2), at(3));
  sort_by(at(0), n_edges, n_atoms, at(4), at(5));
  return made;
}

struct Given {
  Tensor harmonics, distances, table, maps, transposed;
  std::vector<Tensor> order;
};

template <typename T>
std::unique_ptr<AnyLayer<T>> layer_of(const Shape &shape, double cutoff, const Given &given)
{
  const Tensor &table = given.table;
  const bool is_table = table.dim() == 5;    // else (n_edges, 2, n_functions)
  LayerInputs<T> inputs{
      weights_of<T>(shape, given.maps, given.transposed),
      {table.data_ptr<T>(), table.size(0), table.stride(0), T(cutoff),
       T(double(table.size(0) - 1) / cutoff)},
      is_table ? nullptr : table.data_ptr<T>(),
      edges_of(given.order),
      {given.harmonics.data_ptr<T>(), given.distances.data_ptr<T>(), int(given.harmonics.size(1))},
      shape.n_made};
  const int in = int(shape.in), out = int(shape.out);
  std::unique_ptr<AnyLayer<T>> made;
  switch (std::max(in, out)) {
    case 0:
    case 1: made = make_layer<T, 1>(in, out, inputs); break;
    case 2: made = make_layer<T, 2>(in, out, inputs); break;
    case 3: made = make_layer<T, 3>(in, out, inputs); break;
  }
  TORCH_CHECK(made, "expected a layer between degrees 0 to 3, found one from ", in, " to ", out);
  return made;
}

struct Interaction : torch::autograd::Function<Interaction> {
  static Tensor forward(AutogradContext *ctx, const Tensor &features, const Tensor &harmonics,
                        const Tensor &distances, const std::vector<Tensor> &order,
                        const Tensor &table, const Tensor &maps, const Tensor &transposed,
                        const std::vector<int64_t> &sizes, double cutoff)
  {
    const Tensor nodes = features.contiguous();
    const Shape shape(sizes);
    const int64_t n_atoms = nodes.size(0);
    Tensor sent, mixed, gated, out;
    if (nodes.is_cuda()) {
      DeviceTrace trace;
      out = device_interaction({harmonics, distances, table, maps, transposed, order, shape, cutoff},
                               nodes, trace);
      sent = trace.sent, mixed = trace.scalars, gated = trace.gated;
    } else FUSED_BY_TYPE(nodes, {
      const Given given{harmonics, distances, table, maps, transposed, order};
      const auto layer = layer_of<T>(shape, cutoff, given);
      sent = kept_tensor({n_atoms, layer->sent_size()}, nodes.options());
      mixed = kept_tensor({shape.n_made, layer->mixed_size()}, nodes.options());
      out = kept_tensor({shape.n_made, layer->out_columns()}, nodes.options());
      layer->send(n_atoms, nodes.data_ptr<T>(), sent.data_ptr<T>());
      layer->receive(nodes.data_ptr<T>(), sent.data_ptr<T>(), mixed.data_ptr<T>(),
                     out.data_ptr<T>());
    });
    variable_list saved{sent, mixed, gated, harmonics, distances, table, maps, transposed};
    saved.insert(saved.end(), order.begin(), order.end());
    ctx->save_for_backward(saved);
    ctx->saved_data["sizes"] = sizes;
    ctx->saved_data["cutoff"] = cutoff;
    ctx->saved_data["of_nodes"] = features.requires_grad();
    return out;
  }

  static variable_list backward(AutogradContext *ctx, variable_list slopes)
  {
    const auto saved = ctx->get_saved_variables();
    const Shape shape(ctx->saved_data["sizes"].toIntVector());
    const double cutoff = ctx->saved_data["cutoff"].toDouble();
    const bool of_nodes = ctx->saved_data["of_nodes"].toBool();
    const Tensor &sent = saved[0], &mixed = saved[1];
    const Tensor of_out = slopes[0].contiguous(), none;
    const std::vector<Tensor> order(saved.begin() + 8, saved.end());
    if (sent.is_cuda()) {
      const auto made = device_interaction_back(
          {saved[3], saved[4], saved[5], saved[6], saved[7], order, shape, cutoff},
          {sent, mixed, saved[2]}, of_out, of_nodes);
      return {made[0], made[1], made[2], none, none, none, none, none, none};
    }
    const Given given{saved[3], saved[4], saved[5], saved[6], saved[7], order};
    const int64_t n_atoms = sent.size(0);
    Tensor of_harmonics = kept_tensor(saved[3].sizes(), saved[3].options()).zero_();
    Tensor of_distances = kept_tensor(saved[4].sizes(), saved[4].options()).zero_();
    Tensor of_features;
    FUSED_BY_TYPE(sent, {
      const auto layer = layer_of<T>(shape, cutoff, given);
      const EdgeSlopes<T> edge_slopes{of_harmonics.data_ptr<T>(), of_distances.data_ptr<T>()};
      const Tensor summed = kept_tensor({shape.n_made, layer->summed_size()}, sent.options());
      T *own_data = nullptr, *node_data = nullptr;
      Tensor own;
      if (of_nodes) {
        own = kept_tensor({n_atoms, layer->sent_size()}, sent.options()).zero_();
        of_features = kept_tensor({n_atoms, layer->in_columns()}, sent.options());
        own_data = own.data_ptr<T>(), node_data = of_features.data_ptr<T>();
      }
      layer->receive_back(mixed.data_ptr<T>(), of_out.data_ptr<T>(), summed.data_ptr<T>(), own_data);
      layer->send_back(n_atoms, sent.data_ptr<T>(), summed.data_ptr<T>(), own_data, node_data,
                       edge_slopes);
    });
    return {of_features, of_harmonics, of_distances, none, none, none, none, none, none};
  }
};

Tensor interaction(const Tensor &nodes, const Tensor &harmonics, const Tensor &distances,
                   std::vector<Tensor> order, const Tensor &table, const Tensor &maps,
                   const Tensor &transposed, std::vector<int64_t> sizes, double cutoff)
{
  return Interaction::apply(nodes, harmonics, distances, order, table, maps, transposed, sizes, cutoff);
}

void define_operators(torch::Library &library)
{
  library.def("edge_order(Tensor senders, Tensor receivers, int n_atoms) -> Tensor[]", edge_order);
  library.def("edge_geometry(Tensor vectors, int degree) -> (Tensor, Tensor)", edge_geometry);
  library.def(
      "near_edges(Tensor positions, Tensor senders, Tensor receivers, Tensor cell_shifts, Tensor "
      "box, float cutoff) -> (Tensor, Tensor, Tensor)",
      near_edges);
  library.def(
      "edge_tangents(Tensor vectors, Tensor distances, Tensor tangents, int degree) -> (Tensor, "
      "Tensor)",
      edge_tangents);
  library.def(
      "pick(Tensor[] parameters, Tensor index, Tensor scale, Tensor place, Tensor place_scale, int[] "
      "sizes) -> Tensor[]",
      pick);
  library.def(
      "radial_rows(Tensor distances, Tensor[] into, Tensor[] out, Tensor scale, float cutoff) -> "
      "Tensor[]",
      radial_rows);
  library.def(
      "quadratic_forms(Tensor nodes, Tensor species, Tensor forms, Tensor linear) -> Tensor",
      quadratic_forms);
  library.def(
      "core_energies(Tensor vectors, Tensor species, Tensor senders, Tensor receivers, Tensor "
      "tables, float reach, float inner) -> Tensor",
      core_energies);
  library.def(
      "interaction_dual(Tensor nodes, Tensor harmonics, Tensor turns, Tensor speeds, Tensor[] "
      "order, Tensor rows, Tensor maps, Tensor transposed, int[] sizes) -> Tensor",
      interaction_dual);
  library.def(
      "interaction(Tensor nodes, Tensor harmonics, Tensor distances, Tensor[] order, Tensor table, "
      "Tensor maps, Tensor transposed, int[] sizes, float cutoff) -> Tensor",
      interaction);
}

// Another build of this library may be in the process: its operators are the same, and a second
// definition of them would end it.
const auto registered = [] {
  const c10::OperatorName name("fisher_mlip::interaction", "");
  if (c10::Dispatcher::singleton().findSchema(name)) return std::unique_ptr<torch::Library>();
  auto library = std::make_unique<torch::Library>(torch::Library::DEF, "fisher_mlip",
                                                  std::optional<c10::DispatchKey>(), __FILE__,
                                                  static_cast<uint32_t>(__LINE__));
  define_operators(*library);
  return library;
}();

}    // namespace

}    // namespace fused
