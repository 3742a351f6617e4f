// The operators of training: tangents along one direction of the positions, and back to parameters.
#include "harmonics.h"
#include "operators.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>

namespace fused {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

template <typename T>
void tangents_of(int degree, const Tensor &vectors, const Tensor &distances, const Tensor &tangents,
                 Tensor &turns, Tensor &speeds)
{
  const T *v = vectors.data_ptr<T>(), *r = distances.data_ptr<T>(), *d = tangents.data_ptr<T>();
  T *to = turns.data_ptr<T>(), *speed = speeds.data_ptr<T>();
  const int count = n_harmonics(degree);
  at::parallel_for(0, vectors.size(0), 1024, [&](int64_t begin, int64_t end) {
    Slope<T> y[16]{};
    for (int64_t edge = begin; edge < end; ++edge) {
      const T inverse = 1 / r[edge];
      T unit[3], along[3];
      for (int k = 0; k < 3; ++k) unit[k] = v[3 * edge + k] * inverse, along[k] = d[3 * edge + k];
      speed[edge] = along[0] * unit[0] + along[1] * unit[1] + along[2] * unit[2];
      for (int k = 0; k < 3; ++k) along[k] = (along[k] - speed[edge] * unit[k]) * inverse;
      harmonics<T, Slope<T>>(degree, {unit[0], 1, 0, 0}, {unit[1], 0, 1, 0}, {unit[2], 0, 0, 1}, y);
      for (int m = 0; m < count; ++m)
        to[edge * count + m] = along[0] * y[m].x + along[1] * y[m].y + along[2] * y[m].z;
    }
  });
}

// What a layer reads, in the order in which it is kept for the backward pass.
struct DualGiven {
  Tensor harmonics, turns, speeds, rows, maps, transposed;
  std::vector<Tensor> order;
};

template <typename T>
std::unique_ptr<AnyDualLayer<T>> dual_layer_of(const Shape &shape, const DualGiven &given)
{
  DualInputs<T> inputs{weights_of<T>(shape, given.maps, given.transposed),
                       edges_of(given.order),
                       given.harmonics.data_ptr<T>(),
                       given.turns.data_ptr<T>(),
                       given.speeds.data_ptr<T>(),
                       int(given.harmonics.size(1)),
                       given.rows.data_ptr<T>(),
                       shape.n_made};
  const int in = int(shape.in), out = int(shape.out);
  std::unique_ptr<AnyDualLayer<T>> made;
  switch (std::max(in, out)) {
    case 0:
    case 1: made = make_dual_layer<T, 1>(in, out, inputs); break;
    case 2: made = make_dual_layer<T, 2>(in, out, inputs); break;
    case 3: made = make_dual_layer<T, 3>(in, out, inputs); break;
  }
  TORCH_CHECK(made, "expected a layer between degrees 0 to 3, found one from ", in, " to ", out);
  return made;
}

template <typename T> DualTrace<T> trace_of(const variable_list &kept)
{
  const auto at = [&](int k) { return kept[k].data_ptr<T>(); };
  return {at(0), at(1), at(2), at(3)};
}

struct InteractionDual : torch::autograd::Function<InteractionDual> {
  static Tensor forward(AutogradContext *ctx, const Tensor &features, const Tensor &harmonics,
                        const Tensor &turns, const Tensor &speeds, const std::vector<Tensor> &order,
                        const Tensor &rows, const Tensor &maps, const Tensor &transposed,
                        const std::vector<int64_t> &sizes)
  {
    const Tensor nodes = features.contiguous();
    const Shape shape(sizes);
    const int64_t n = nodes.size(0);
    TORCH_CHECK(shape.n_made == n, "expected the features of all ", n, " atoms to be made");
    const DualGiven given{harmonics, turns, speeds, rows.contiguous(), maps, transposed, order};
    variable_list saved;
    Tensor out;
    FUSED_BY_TYPE(nodes, {
      const auto layer = dual_layer_of<T>(shape, given);
      const int64_t own = layer->sent_size();
      for (const int64_t size : {own, own, layer->summed_size(), layer->mixed_size()})
        saved.push_back(at::empty({n, size}, nodes.options()));
      out = at::empty({n, 2, layer->out_columns() / 2}, nodes.options());
      layer->forward(nodes.data_ptr<T>(), trace_of<T>(saved), out.data_ptr<T>());
    });
    for (const Tensor &each : {harmonics, turns, speeds, given.rows, maps, transposed})
      saved.push_back(each);
    saved.insert(saved.end(), order.begin(), order.end());
    ctx->save_for_backward(saved);
    ctx->saved_data["sizes"] = sizes;
    return out;
  }

  static variable_list backward(AutogradContext *ctx, variable_list slopes)
  {
    const auto saved = ctx->get_saved_variables();
    const Shape shape(ctx->saved_data["sizes"].toIntVector());
    const DualGiven given{saved[4], saved[5], saved[6], saved[7], saved[8], saved[9],
                      {saved.begin() + 10, saved.end()}};
    const Tensor of_out = slopes[0].contiguous();
    Tensor of_rows = at::empty_like(given.rows), of_maps = at::empty_like(given.maps), of_nodes;
    FUSED_BY_TYPE(of_out, {
      const auto layer = dual_layer_of<T>(shape, given);
      of_nodes = at::empty({of_out.size(0), 2, layer->in_columns() / 2}, of_out.options());
      layer->backward(trace_of<T>(saved), of_out.data_ptr<T>(), of_nodes.data_ptr<T>(),
                      of_rows.data_ptr<T>(), of_maps.data_ptr<T>());
    });
    const Tensor none;
    return {of_nodes, none, none, none, none, of_rows, of_maps, none, none};
  }
};

}    // namespace

std::tuple<Tensor, Tensor> edge_tangents(const Tensor &vectors, const Tensor &distances,
                                         const Tensor &tangents, int64_t degree)
{
  const Tensor given = vectors.contiguous(), along = tangents.contiguous();
  Tensor turns = at::empty({given.size(0), n_harmonics(int(degree))}, given.options());
  Tensor speeds = at::empty({given.size(0)}, given.options());
  FUSED_BY_TYPE(given, tangents_of<T>(int(degree), given, distances, along, turns, speeds));
  return {turns, speeds};
}

Tensor interaction_dual(const Tensor &nodes, const Tensor &harmonics, const Tensor &turns,
                        const Tensor &speeds, std::vector<Tensor> order, const Tensor &rows,
                        const Tensor &maps, const Tensor &transposed, std::vector<int64_t> sizes)
{
  return InteractionDual::apply(nodes, harmonics, turns, speeds, order, rows, maps, transposed, sizes);
}

}    // namespace fused
