// How the features of an atom lie in memory, and the linear maps between them.
#pragma once

#include "couplings.h"
#include "interface.h"
#include "multiply.h"

#include <algorithm>
#include <vector>

namespace fused {

constexpr int TILE = 12;    // atoms whose maps are applied together

// Memory of this thread that is used again from tile to tile; nothing is in it.
template <typename T, int SLOT> T *scratch(int64_t size)
{
  thread_local std::vector<T> memory;
  if (int64_t(memory.size()) < size) memory.resize(size);
  return memory.data();
}

// PARTS is 1, or 2 where each number comes with its tangent: a row of its own to every map.
template <typename T, int IN, int OUT, int PARTS> struct Layout {
  using C = Couplings<IN, OUT>;
  static constexpr int W = WIDTH<T>, STRIDE = PARTS * W;    // from one component to the next
  static constexpr int n_in = (IN + 1) * (IN + 1);
  static constexpr int n_kept = (OUT + 1) * (OUT + 1);
  static constexpr int n_mixed = OUT + n_kept;    // scalars, gates, then what is gated
  static constexpr int SELF = IN < OUT ? IN : OUT;

  LayerWeights<T> weights;

  int64_t in_size() const { return int64_t(weights.n_blocks) * n_in * STRIDE; }
  int64_t mixed_size() const { return int64_t(weights.n_blocks) * n_mixed * STRIDE; }
  int64_t kept_size() const { return int64_t(weights.n_blocks) * n_kept * STRIDE; }
  int64_t summed_size() const { return int64_t(weights.n_blocks) * C::n_out * STRIDE; }
  int64_t in_columns() const { return int64_t(weights.channels) * n_in * PARTS; }
  int64_t out_columns() const { return int64_t(weights.channels) * n_kept * PARTS; }

  template <typename F> static void each_tile(int64_t n_atoms, F f)
  {
    const int64_t n_tiles = (n_atoms + TILE - 1) / TILE;
    in_parallel(n_tiles, [&](int64_t first, int64_t last) {
      for (int64_t tile = first; tile < last; ++tile)
        f(tile * TILE, std::min(n_atoms, (tile + 1) * TILE));
    });
  }

  // Between e3nn's layout, (parts,) (channels, components) of each degree, and (n_blocks, components,
  // (parts,) W).
  template <int N> void pack(const T *nodes, T *packed) const
  {
    std::fill(packed, packed + weights.n_blocks * N * STRIDE, T(0));
    each_place<N>([&](int place, int from) { packed[place] = nodes[from]; });
  }
  template <int N> void unpack(const T *packed, T *nodes) const
  {
    each_place<N>([&](int place, int to) { nodes[to] = packed[place]; });
  }
  template <int N, typename F> FUSED_INLINE void each_place(F f) const
  {
    constexpr int degree = N == 1 ? 0 : N == 4 ? 1 : N == 9 ? 2 : 3;
    for (int part = 0; part < PARTS; ++part)
      for (int channel = 0; channel < weights.channels; ++channel) {
        const int start = channel / W * N * STRIDE + part * W + channel % W;
        const int first = part * weights.channels * N;
        unroll<degree + 1>([&](auto L) __attribute__((always_inline)) {
          unroll<2 * L + 1>([&](auto K) __attribute__((always_inline)) {
            f(start + (L * L + K) * STRIDE,
              first + weights.channels * L * L + channel * (2 * L + 1) + K);
          });
        });
      }
  }

  // Applies one degree's map to the rows of some atoms.
  template <bool ADD>
  void map(int count, int width, const T *from, int64_t from_size, const std::vector<int> &segments,
           const T *matrix, T *to, int64_t to_size, const std::vector<int> &places) const
  {
    const T *rows[TILE * 7 * PARTS];
    T *outs[TILE * 7 * PARTS];
    width *= PARTS;
    for (int atom = 0; atom < count; ++atom)
      for (int m = 0; m < width; ++m) {
        rows[atom * width + m] = from + atom * from_size + m * W;
        outs[atom * width + m] = to + atom * to_size + m * W;
      }
    multiply<T, ADD>(Rows<T>{rows, count * width}, segments.data(), int(segments.size()), matrix,
                     int(places.size()), outs, places.data());
  }

  // Where the blocks of `parts` components lie, n_components of them in a block, part by part.
  std::vector<int> blocks_of(const std::vector<int> &parts, int n_components) const
  {
    std::vector<int> places;
    for (int part : parts)
      for (int block = 0; block < weights.n_blocks; ++block)
        places.push_back((block * n_components + part) * STRIDE);
    return places;
  }
  static std::vector<int> paths_to(int degree)
  {
    std::vector<int> starts;
    for (int path = 0; path < C::n_paths; ++path)
      if (C::path_degrees[path] == degree) starts.push_back(C::path_starts[path]);
    return starts;
  }
  static std::vector<int> mixed_parts(int degree)
  {
    if (degree > 0) return {OUT + degree * degree};
    std::vector<int> parts;
    for (int k = 0; k <= OUT; ++k) parts.push_back(k);
    return parts;
  }

  template <bool ADD> void mix_in(const T *matrix, int count, const T *from, T *to) const
  {
    for (int degree = 0; degree <= IN; ++degree) {
      const auto places = blocks_of({degree * degree}, n_in);
      map<ADD>(count, 2 * degree + 1, from, in_size(), places, matrix, to, in_size(), places);
      matrix += places.size() * places.size() * W * W;
    }
  }

  // f(degree, whether it is of the messages, places of what is mapped, places of the result)
  template <typename F> void each_map(F f) const
  {
    for (int degree = 0; degree <= OUT; ++degree)
      f(degree, true, blocks_of(paths_to(degree), C::n_out),
        blocks_of(mixed_parts(degree), n_mixed));
    for (int degree = 0; degree <= SELF; ++degree)
      f(degree, false, blocks_of({degree * degree}, n_in), blocks_of(mixed_parts(degree), n_mixed));
  }
  int64_t mix_in_size() const { return int64_t(IN + 1) * weights.n_blocks * weights.n_blocks * W * W; }

  void mix_out(int count, const T *summed, const T *own, T *mixed) const
  {
    const T *matrix = weights.maps + mix_in_size();
    each_map([&](int degree, bool of_messages, const auto &from, const auto &to) {
      if (of_messages)
        map<false>(count, 2 * degree + 1, summed, summed_size(), from, matrix, mixed, mixed_size(), to);
      else
        map<true>(count, 2 * degree + 1, own, in_size(), from, matrix, mixed, mixed_size(), to);
      matrix += from.size() * to.size() * W * W;
    });
  }

  void mix_out_back(int count, const T *slopes, T *summed_slopes, T *own_slopes) const
  {
    const T *matrix = weights.transposed + mix_in_size();
    each_map([&](int degree, bool of_messages, const auto &to, const auto &from) {
      if (of_messages || own_slopes)
        map<false>(count, 2 * degree + 1, slopes, mixed_size(), from, matrix,
            of_messages ? summed_slopes : own_slopes, of_messages ? summed_size() : in_size(), to);
      matrix += from.size() * to.size() * W * W;
    });
  }
};

}    // namespace fused
