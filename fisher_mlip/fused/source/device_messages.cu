// The loops over edges on a GPU: WIDTH threads for each atom and block of channels.
#include "couplings.h"
#include "device_layer.h"
#include "spline.h"

namespace fused {

using T = NUMBER;
using C = Couplings<DEGREE_IN, DEGREE_OUT>;
constexpr int W = WIDTH<T>;
constexpr int n_in = (DEGREE_IN + 1) * (DEGREE_IN + 1);
constexpr int n_used = n_harmonics_used<DEGREE_IN, DEGREE_OUT>();

constexpr int count_paths(int degree, int end = C::n_paths)
{
  int count = 0;
  for (int path = 0; path < end; ++path) count += C::path_degrees[path] == degree;
  return count;
}

// How many components there are of messages of lower degrees.
constexpr int components_before(int degree)
{
  int count = 0;
  for (int l = 0; l < degree; ++l) count += (2 * l + 1) * count_paths(l);
  return count;
}

// The thread's place: an atom, its channel, and which threads are of the same block of channels.
struct Own {
  int atom, block, lane, channel, padded;
  unsigned group;

  FUSED_INLINE explicit Own(int n_blocks)
  {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x;
    atom = thread / W / n_blocks, block = thread / W % n_blocks, lane = thread % W;
    channel = block * W + lane, padded = n_blocks * W;
    group = ((1u << W) - 1u) << (threadIdx.x % 32 / W * W);
  }
};

// Where the message of a path and component lies, for the thread's channel.
template <int PATH, int OUT>
FUSED_INLINE int64_t place_of(const DeviceLayer<T> &layer, const Own &own, int receiver)
{
  constexpr int degree = C::path_degrees[PATH], m = OUT - C::path_starts[PATH];
  constexpr int before = components_before(degree), paths = count_paths(degree);
  constexpr int rank = count_paths(degree, PATH);
  const int64_t row = (int64_t(m) * layer.n_receivers + receiver) * paths + rank;
  return (int64_t(before) * layer.n_receivers + row) * own.padded + own.channel;
}

// The radial functions of an edge, for the thread's channel.
struct Radial {
  const T *knot;
  int64_t knot_size;
  SplineBasis<T> basis;

  FUSED_INLINE T value(int path) const
  {
    return interpolate(knot, knot_size, path * 3 * W, basis.value);
  }
  FUSED_INLINE T slope(int path) const
  {
    return interpolate(knot, knot_size, path * 3 * W, basis.slope);
  }
};

FUSED_INLINE Radial radial_at(const DeviceLayer<T> &layer, const Own &own, T distance)
{
  const T *knot;
  const T place = find_knot(layer.table, distance, knot);
  knot += own.block * C::n_paths * 3 * W + own.lane;
  return {knot, layer.table.knot_size, SplineBasis<T>(place, layer.table.knots_per_length)};
}

// The messages of each receiver, summed, of what is sent (n_in, n_atoms, padded).
extern "C" __global__ void __launch_bounds__(128)
    receive(DeviceLayer<T> layer, const T *__restrict__ sent, T *__restrict__ summed)
{
  const Own own(layer.n_blocks);
  if (own.atom >= layer.n_receivers) return;
  T sums[C::n_out]{};
  const int end = layer.receiver_starts[own.atom + 1];
  for (int k = layer.receiver_starts[own.atom]; k < end; ++k) {
    const int edge = layer.by_receiver[k];
    const T distance = layer.distances[edge];
    if (distance >= layer.table.cutoff) continue;
    const Radial radial = radial_at(layer, own, distance);
    T harmonics[n_used], from[n_in];
    unroll<n_used>([&](auto M) {
      harmonics[M] = layer.harmonics[int64_t(edge) * layer.n_harmonics + M];
    });
    const T *row = sent + int64_t(layer.senders[edge]) * own.padded + own.channel;
    unroll<n_in>([&](auto I) { from[I] = row[I * int64_t(layer.n_atoms) * own.padded]; });
    unroll<C::n_paths>([&](auto P) {
      const T weight = radial.value(P);
      constexpr int first = C::path_starts[P], last = C::path_starts[P + 1];
      unroll<last - first>([&](auto O) {
        constexpr int out = first + O, begin = C::out_starts[out], stop = C::out_starts[out + 1];
        T made = 0;
        unroll<stop - begin>([&](auto I) {
          constexpr Term term = C::terms[begin + I];
          made += (T(term.value) * harmonics[term.harmonic]) * from[term.in];
        });
        sums[out] += weight * made;
      });
    });
  }
  unroll<C::n_paths>([&](auto P) {
    constexpr int path = P, first = C::path_starts[P], last = C::path_starts[P + 1];
    unroll<last - first>([&](auto O) {
      summed[place_of<path, first + O>(layer, own, own.atom)] = sums[first + O];
    });
  });
}

// The slopes of one edge, its receiver's messages' given: along harmonics and outward, of what is sent.
template <bool WITH_SENT>
FUSED_INLINE void edge_back(const DeviceLayer<T> &layer, const Own &own, int edge, T distance,
                            const T *sent, const T *summed_slopes, T *back, T *along)
{
  const int receiver = layer.receivers[edge];
  const Radial radial = radial_at(layer, own, distance);
  T harmonics[n_used];
  unroll<n_used>([&](auto M) {
    harmonics[M] = layer.harmonics[int64_t(edge) * layer.n_harmonics + M];
  });
  unroll<C::n_paths>([&](auto P) {
    const T weight = radial.value(P), steep = radial.slope(P);
    constexpr int path = P, begin = C::path_starts[P], end = C::path_starts[P + 1];
    constexpr int first = C::path_harmonics[P], width = C::path_widths[P];
    T made[width]{};
    unroll<end - begin>([&](auto O) {
      constexpr int out = begin + O, from = C::out_starts[out], to = C::out_starts[out + 1];
      const T given = summed_slopes[place_of<path, out>(layer, own, receiver)];
      const T weighted = weight * given;
      unroll<to - from>([&](auto I) {
        constexpr Term term = C::terms[from + I];
        made[term.harmonic - first] += (T(term.value) * sent[term.in]) * given;
        if constexpr (WITH_SENT)
          back[term.in] += (T(term.value) * harmonics[term.harmonic]) * weighted;
      });
    });
    T of_weight = 0;
    unroll<width>([&](auto M) {
      along[first + M] += weight * made[M];
      of_weight += harmonics[first + M] * made[M];
    });
    along[n_used] += steep * of_weight;
  });
}

// Slopes of each sender's features (n_in, n_atoms, padded), and of its edges, summed over a block's
// channels: (n_blocks, n_edges, n_used + 1), the last outward.
template <bool WITH_SENT>
FUSED_INLINE void each_sender(const DeviceLayer<T> &layer, const T *sent, const T *summed_slopes,
                              T *sent_slopes, T *edge_slopes)
{
  constexpr int n_sums = n_used + 1, rounds = (n_sums + W - 1) / W;
  const Own own(layer.n_blocks);
  if (own.atom >= layer.n_atoms) return;
  const int64_t component = int64_t(layer.n_atoms) * own.padded;
  const int64_t place = int64_t(own.atom) * own.padded + own.channel;
  T from[n_in], back[n_in]{};
  unroll<n_in>([&](auto I) { from[I] = sent[I * component + place]; });
  const int end = layer.sender_starts[own.atom + 1];
  for (int k = layer.sender_starts[own.atom]; k < end; ++k) {
    const int edge = layer.by_sender[k];
    const T distance = layer.distances[edge];
    if (distance >= layer.table.cutoff || layer.receivers[edge] >= layer.n_receivers) continue;
    T along[rounds * W]{};
    edge_back<WITH_SENT>(layer, own, edge, distance, from, summed_slopes, back, along);
    T *to = edge_slopes + (int64_t(own.block) * layer.n_edges + edge) * n_sums;
    unroll<rounds>([&](auto R) {
      const T sum = sum_of_own<T, W>(along + R * W, own.lane, own.group);
      if (R * W + own.lane < n_sums) to[R * W + own.lane] = sum;
    });
  }
  if constexpr (WITH_SENT)
    unroll<n_in>([&](auto I) { sent_slopes[I * component + place] = back[I]; });
}

extern "C" __global__ void __launch_bounds__(128)
    send_back(DeviceLayer<T> layer, const T *__restrict__ sent, const T *__restrict__ summed_slopes,
              T *sent_slopes, T *edge_slopes)
{
  each_sender<true>(layer, sent, summed_slopes, sent_slopes, edge_slopes);
}

extern "C" __global__ void __launch_bounds__(128)
    send_back_edges(DeviceLayer<T> layer, const T *__restrict__ sent,
                    const T *__restrict__ summed_slopes, T *edge_slopes)
{
  each_sender<false>(layer, sent, summed_slopes, nullptr, edge_slopes);
}

}    // namespace fused
