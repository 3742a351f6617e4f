// Operators of edges alone: which are near, their harmonics and their lengths.
#include "device_operators.h"
#include "harmonics.h"
#include "operators.h"
#include "pool.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

namespace fused {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

template <typename T>
void geometry(int degree, const Tensor &vectors, Tensor &values, Tensor &distances)
{
  const T *v = vectors.data_ptr<T>();
  T *y = values.data_ptr<T>(), *r = distances.data_ptr<T>();
  const int count = n_harmonics(degree);
  at::parallel_for(0, vectors.size(0), 1024, [&](int64_t begin, int64_t end) {
    for (int64_t edge = begin; edge < end; ++edge) {
      const T *at = v + 3 * edge;
      r[edge] = std::sqrt(at[0] * at[0] + at[1] * at[1] + at[2] * at[2]);
      const T inverse = 1 / r[edge];
      y[edge * count] = 1;
      harmonics<T, T>(degree, at[0] * inverse, at[1] * inverse, at[2] * inverse, y + edge * count);
    }
  });
}

template <typename T>
void geometry_back(int degree, const Tensor &vectors, const Tensor &distances,
                   const Tensor &harmonic_slopes, const Tensor &distance_slopes, Tensor &slopes)
{
  const T *v = vectors.data_ptr<T>(), *r = distances.data_ptr<T>();
  const T *gy = harmonic_slopes.data_ptr<T>(), *gr = distance_slopes.data_ptr<T>();
  T *to = slopes.data_ptr<T>();
  const int count = n_harmonics(degree);
  at::parallel_for(0, vectors.size(0), 1024, [&](int64_t begin, int64_t end) {
    Slope<T> y[16]{};
    for (int64_t edge = begin; edge < end; ++edge) {
      const T inverse = 1 / r[edge];
      const T unit[3] = {v[3 * edge] * inverse, v[3 * edge + 1] * inverse, v[3 * edge + 2] * inverse};
      harmonics<T, Slope<T>>(degree, {unit[0], 1, 0, 0}, {unit[1], 0, 1, 0}, {unit[2], 0, 0, 1}, y);
      T along[3] = {0, 0, 0};
      for (int m = 1; m < count; ++m) {
        const T given = gy[edge * count + m];
        along[0] += given * y[m].x, along[1] += given * y[m].y, along[2] += given * y[m].z;
      }
      const T radial = along[0] * unit[0] + along[1] * unit[1] + along[2] * unit[2];
      for (int k = 0; k < 3; ++k)
        to[3 * edge + k] = (along[k] - radial * unit[k]) * inverse + gr[edge] * unit[k];
    }
  });
}

Tensor tensor_like(const Tensor &given, at::IntArrayRef sizes)
{
  return given.is_cuda() ? at::empty(sizes, given.options()) : kept_tensor(sizes, given.options());
}

struct EdgeGeometry : torch::autograd::Function<EdgeGeometry> {
  static variable_list forward(AutogradContext *ctx, const Tensor &given, int64_t degree)
  {
    const Tensor vectors = given.contiguous();
    Tensor values = tensor_like(vectors, {vectors.size(0), n_harmonics(int(degree))});
    Tensor distances = tensor_like(vectors, {vectors.size(0)});
    if (vectors.is_cuda()) device_geometry(int(degree), vectors, values, distances);
    else FUSED_BY_TYPE(vectors, geometry<T>(int(degree), vectors, values, distances));
    ctx->save_for_backward({vectors, distances});
    ctx->saved_data["degree"] = degree;
    return {values, distances};
  }
  static variable_list backward(AutogradContext *ctx, variable_list slopes)
  {
    const auto saved = ctx->get_saved_variables();
    const int degree = int(ctx->saved_data["degree"].toInt());
    const Tensor &vectors = saved[0];
    const Tensor of_values = slopes[0].defined()
        ? slopes[0].contiguous()
        : at::zeros({vectors.size(0), n_harmonics(degree)}, vectors.options());
    const Tensor of_distances =
        slopes[1].defined() ? slopes[1].contiguous() : at::zeros_like(saved[1]);
    Tensor found = tensor_like(vectors, vectors.sizes());
    if (vectors.is_cuda())
      device_geometry_back(degree, vectors, saved[1], of_values, of_distances, found);
    else
      FUSED_BY_TYPE(vectors, geometry_back<T>(degree, vectors, saved[1], of_values, of_distances, found));
    return {found, Tensor()};
  }
};

// The vector of one listed pair, in the order of operations of `shift_vectors`.
FUSED_INLINE void pair_vector(const double *x, const double *shift, const double *box,
                              int64_t sender, int64_t receiver, double *vector)
{
  for (int k = 0; k < 3; ++k) {
    const double moved = shift[0] * box[k] + shift[1] * box[3 + k] + shift[2] * box[6 + k];
    vector[k] = x[3 * sender + k] - x[3 * receiver + k] + moved;
  }
}

struct NearEdges : torch::autograd::Function<NearEdges> {
  static variable_list forward(AutogradContext *ctx, const Tensor &given, const Tensor &senders,
                               const Tensor &receivers, const Tensor &cell_shifts,
                               const Tensor &given_box, double cutoff)
  {
    const Tensor positions = given.contiguous(), box = given_box.contiguous();
    const Tensor shifts = cell_shifts.contiguous();
    const int64_t n_pairs = senders.size(0);
    const double *x = positions.data_ptr<double>(), *b = box.data_ptr<double>();
    const double *shift = shifts.data_ptr<double>();
    const int64_t *from = senders.data_ptr<int64_t>(), *to = receivers.data_ptr<int64_t>();
    Tensor vectors = kept_tensor({n_pairs, 3}, positions.options());
    Tensor near_senders = kept_tensor({n_pairs}, senders.options());
    Tensor near_receivers = kept_tensor({n_pairs}, senders.options());
    double *v = vectors.data_ptr<double>();
    int64_t *i = near_receivers.data_ptr<int64_t>(), *j = near_senders.data_ptr<int64_t>();
    int64_t count = 0;
    for (int64_t pair = 0; pair < n_pairs; ++pair) {
      double *at = v + 3 * count;
      pair_vector(x, shift + 3 * pair, b, from[pair], to[pair], at);
      if (!(at[0] * at[0] + at[1] * at[1] + at[2] * at[2] < cutoff * cutoff)) continue;
      i[count] = to[pair], j[count] = from[pair];
      ++count;
    }
    vectors = vectors.narrow(0, 0, count);
    near_senders = near_senders.narrow(0, 0, count);
    near_receivers = near_receivers.narrow(0, 0, count);
    ctx->save_for_backward({near_senders, near_receivers});
    ctx->saved_data["n_atoms"] = positions.size(0);
    ctx->mark_non_differentiable({near_senders, near_receivers});
    return {vectors, near_senders, near_receivers};
  }

  static variable_list backward(AutogradContext *ctx, variable_list slopes)
  {
    const auto saved = ctx->get_saved_variables();
    const Tensor given = slopes[0].contiguous();
    Tensor found = at::zeros({ctx->saved_data["n_atoms"].toInt(), 3}, given.options());
    const double *g = given.data_ptr<double>();
    const int64_t *from = saved[0].data_ptr<int64_t>(), *to = saved[1].data_ptr<int64_t>();
    double *f = found.data_ptr<double>();
    for (int64_t edge = 0; edge < given.size(0); ++edge)
      for (int k = 0; k < 3; ++k) {
        f[3 * from[edge] + k] += g[3 * edge + k];
        f[3 * to[edge] + k] -= g[3 * edge + k];
      }
    const Tensor none;
    return {found, none, none, none, none, none};
  }
};

}    // namespace

std::tuple<Tensor, Tensor> edge_geometry(const Tensor &vectors, int64_t degree)
{
  auto made = EdgeGeometry::apply(vectors, degree);
  return {made[0], made[1]};
}

std::tuple<Tensor, Tensor, Tensor> near_edges(const Tensor &positions, const Tensor &senders,
                                              const Tensor &receivers, const Tensor &cell_shifts,
                                              const Tensor &box, double cutoff)
{
  if (positions.is_cuda()) return device_pairs(positions, senders, receivers, cell_shifts, box);
  auto made = NearEdges::apply(positions, senders, receivers, cell_shifts, box, cutoff);
  return {made[0], made[1], made[2]};
}

}    // namespace fused
