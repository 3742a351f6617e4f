// Harmonics and lengths of edges, and their slopes, on a GPU: a thread for each edge.
#include "harmonics.h"

namespace fused {

using T = NUMBER;

FUSED_INLINE int own_thread() { return blockIdx.x * blockDim.x + threadIdx.x; }

extern "C" __global__ void geometry(int n_edges, int degree, const T *vectors, T *values,
                                    T *distances)
{
  const int edge = own_thread();
  if (edge >= n_edges) return;
  const T *v = vectors + 3 * int64_t(edge);
  const T r = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]), inverse = 1 / r;
  T y[16];
  y[0] = 1;
  harmonics<T, T>(degree, v[0] * inverse, v[1] * inverse, v[2] * inverse, y);
  const int count = n_harmonics(degree);
  unroll<16>([&](auto M) {
    if (M < count) values[int64_t(edge) * count + M] = y[M];
  });
  distances[edge] = r;
}

extern "C" __global__ void geometry_back(int n_edges, int degree, const T *vectors, const T *distances,
                                         const T *harmonic_slopes, const T *distance_slopes, T *slopes)
{
  const int edge = own_thread();
  if (edge >= n_edges) return;
  const T *v = vectors + 3 * int64_t(edge);
  const T inverse = 1 / distances[edge];
  const T unit[3] = {v[0] * inverse, v[1] * inverse, v[2] * inverse};
  Slope<T> y[16]{};
  harmonics<T, Slope<T>>(degree, {unit[0], 1, 0, 0}, {unit[1], 0, 1, 0}, {unit[2], 0, 0, 1}, y);
  const int count = n_harmonics(degree);
  T along[3] = {0, 0, 0};
  unroll<16>([&](auto M) {
    if (M == 0 || M >= count) return;
    const T given = harmonic_slopes[int64_t(edge) * count + M];
    along[0] += given * y[M].x, along[1] += given * y[M].y, along[2] += given * y[M].z;
  });
  const T radial = along[0] * unit[0] + along[1] * unit[1] + along[2] * unit[2];
  for (int k = 0; k < 3; ++k)
    slopes[3 * int64_t(edge) + k] =
        (along[k] - radial * unit[k]) * inverse + distance_slopes[edge] * unit[k];
}

// Vectors from receiver to sender, in the order of operations of `shift_vectors`.
extern "C" __global__ void pair_vectors(int n_pairs, const double *x, const int64_t *senders,
                                        const int64_t *receivers, const double *shifts,
                                        const double *box, double *vectors)
{
  const int pair = own_thread();
  if (pair >= n_pairs) return;
  const double *shift = shifts + 3 * int64_t(pair);
  for (int k = 0; k < 3; ++k) {
    const double moved = shift[0] * box[k] + shift[1] * box[3 + k] + shift[2] * box[6 + k];
    vectors[3 * int64_t(pair) + k] = x[3 * senders[pair] + k] - x[3 * receivers[pair] + k] + moved;
  }
}

extern "C" __global__ void pair_vectors_back(int n_pairs, const int64_t *senders,
                                             const int64_t *receivers, const double *slopes,
                                             double *to)
{
  const int pair = own_thread();
  if (pair >= n_pairs) return;
  for (int k = 0; k < 3; ++k) {
    const double slope = slopes[3 * int64_t(pair) + k];
    if (slope == 0.0) continue;    // beyond the cutoff; a NaN goes on
    atomicAdd(to + 3 * senders[pair] + k, slope);
    atomicAdd(to + 3 * receivers[pair] + k, -slope);
  }
}

// Half of a pair's repulsion to its receiver, and its slopes: the formulas of model/repulsion.py.
extern "C" __global__ void core(int n_edges, int n_species, double reach, double inner,
                                const T *vectors, const int64_t *species, const int64_t *senders,
                                const int64_t *receivers, const double *tables, double *energies,
                                T *slopes)
{
  const int edge = own_thread();
  if (edge >= n_edges) return;
  const T *v = vectors + 3 * int64_t(edge);
  const double x = v[0], y = v[1], z = v[2], square = x * x + y * y + z * z;
  if (!(square < reach * reach)) {
    for (int k = 0; k < 3; ++k) slopes[3 * int64_t(edge) + k] = 0;
    return;
  }
  const double r = sqrt(square);
  const int64_t pair = species[receivers[edge]] * n_species + species[senders[edge]];
  const int n_pairs = n_species * n_species;
  const double strength = tables[pair], length = tables[n_pairs + pair];
  const double outer = tables[2 * n_pairs + pair];
  constexpr double weights[4] = {0.18175, 0.50986, 0.28022, 0.02817};
  constexpr double rates[4] = {3.19980, 0.94229, 0.40290, 0.20162};
  double screening = 0, steep = 0;
  for (int k = 0; k < 4; ++k) {
    const double part = weights[k] * exp(-rates[k] * r / length);
    screening += part, steep -= rates[k] / length * part;
  }
  const double bare = strength / r, value = bare * screening;
  const double slope = bare * steep - value / r;
  constexpr double END = 1e-3;
  const double width = (1.0 - inner) * outer, place = (r - inner * outer) / width;
  const bool is_between = place > END && place < 1.0 - END;
  const double t = fmin(fmax(place, END), 1.0 - END);
  const double open = sigmoid(1.0 / t - 1.0 / (1.0 - t));
  const double closing = is_between
      ? -open * (1.0 - open) * (1.0 / (t * t) + 1.0 / ((1.0 - t) * (1.0 - t))) / width
      : 0.0;
  const double along = 0.5 * (slope * open + value * closing) / r;
  slopes[3 * int64_t(edge)] = T(along * x);
  slopes[3 * int64_t(edge) + 1] = T(along * y);
  slopes[3 * int64_t(edge) + 2] = T(along * z);
  const double energy = 0.5 * value * open;
  if (energy != 0.0) atomicAdd(energies + receivers[edge], energy);
}

}    // namespace fused
