// One message-passing layer over all atoms: forward, and back to node features and edges.
#pragma once

#include "messages.h"
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

template <typename T, int IN, int OUT> class Layer final : public AnyLayer<T> {
 public:
  using C = Couplings<IN, OUT>;
  using M = Messages<T, IN, OUT>;
  static constexpr int W = WIDTH<T>;
  static constexpr int n_in = (IN + 1) * (IN + 1);
  static constexpr int n_kept = (OUT + 1) * (OUT + 1);
  static constexpr int n_mixed = OUT + n_kept;    // scalars, gates, then what is gated
  static constexpr int SELF = IN < OUT ? IN : OUT;

  explicit Layer(const LayerInputs<T> &inputs) :
      weights(inputs.weights), messages{inputs.edges, inputs.values, weights.table,
                                        weights.n_blocks, inputs.n_receivers}
  {
  }

  int64_t in_size() const { return int64_t(weights.n_blocks) * n_in * W; }
  int64_t sent_size() const override { return in_size(); }
  int64_t mixed_size() const override { return int64_t(weights.n_blocks) * n_mixed * W; }
  int64_t summed_size() const override { return messages.summed_size(); }
  int64_t in_columns() const override { return int64_t(weights.channels) * n_in; }
  int64_t out_columns() const override { return int64_t(weights.channels) * n_kept; }

  void send(int64_t n_atoms, const T *nodes, T *sent) const override
  {
    each_tile(n_atoms, [&](int64_t begin, int64_t end) {
      T *packed = scratch<T, 0>(TILE * in_size());
      for (int64_t atom = begin; atom < end; ++atom)
        pack<n_in>(nodes + atom * in_columns(), packed + (atom - begin) * in_size());
      mix_in<false>(weights.maps, int(end - begin), packed, sent + begin * in_size());
    });
  }

  void receive(const T *nodes, const T *sent, T *mixed, T *out) const override
  {
    each_tile(messages.n_receivers, [&](int64_t begin, int64_t end) {
      const int count = int(end - begin);
      T *packed = scratch<T, 0>(TILE * in_size()), *summed = scratch<T, 1>(TILE * summed_size());
      T *gated = scratch<T, 2>(weights.n_blocks * n_kept * W);
      std::fill(summed, summed + count * summed_size(), T(0));
      for (int64_t atom = begin; atom < end; ++atom) {
        messages.receive(atom, sent, summed + (atom - begin) * summed_size());
        pack<n_in>(nodes + atom * in_columns(), packed + (atom - begin) * in_size());
      }
      mix_out(count, summed, packed, mixed + begin * mixed_size());
      for (int64_t atom = begin; atom < end; ++atom) {
        gate(mixed + atom * mixed_size(), gated);
        unpack<n_kept>(gated, out + atom * out_columns());
      }
    });
  }

  void receive_back(const T *mixed, const T *out_slopes, T *summed_slopes,
                    T *own_slopes) const override
  {
    each_tile(messages.n_receivers, [&](int64_t begin, int64_t end) {
      const int count = int(end - begin);
      T *given = scratch<T, 0>(weights.n_blocks * n_kept * W);
      T *slopes = scratch<T, 1>(TILE * mixed_size());
      for (int64_t atom = begin; atom < end; ++atom) {
        pack<n_kept>(out_slopes + atom * out_columns(), given);
        gate_back(mixed + atom * mixed_size(), given, slopes + (atom - begin) * mixed_size());
      }
      T *own = own_slopes ? own_slopes + begin * in_size() : nullptr;
      mix_out_back(count, slopes, summed_slopes + begin * summed_size(), own);
    });
  }

  void send_back(int64_t n_atoms, const T *sent, const T *summed_slopes, T *own_slopes,
                 T *node_slopes, const EdgeSlopes<T> &slopes) const override
  {
    each_tile(n_atoms, [&](int64_t begin, int64_t end) {
      if (!own_slopes) {
        for (int64_t atom = begin; atom < end; ++atom)
          messages.template send_back<false>(atom, sent, summed_slopes, nullptr, slopes);
        return;
      }
      const int count = int(end - begin);
      T *given = scratch<T, 0>(TILE * in_size());
      std::fill(given, given + count * in_size(), T(0));
      for (int64_t atom = begin; atom < end; ++atom)
        messages.template send_back<true>(atom, sent, summed_slopes,
                                          given + (atom - begin) * in_size(), slopes);
      T *total = own_slopes + begin * in_size();
      mix_in<true>(weights.transposed, count, given, total);
      for (int64_t atom = begin; atom < end; ++atom)
        unpack<n_in>(total + (atom - begin) * in_size(), node_slopes + atom * in_columns());
    });
  }

 private:
  const LayerWeights<T> weights;
  const M messages;

  template <typename F> static void each_tile(int64_t n_atoms, F f)
  {
    const int64_t n_tiles = (n_atoms + TILE - 1) / TILE;
    in_parallel(n_tiles, [&](int64_t first, int64_t last) {
      for (int64_t tile = first; tile < last; ++tile)
        f(tile * TILE, std::min(n_atoms, (tile + 1) * TILE));
    });
  }

  // Between e3nn's layout, (channels, components) of each degree, and (n_blocks, components, W).
  template <int N> void pack(const T *nodes, T *packed) const
  {
    std::fill(packed, packed + weights.n_blocks * N * W, T(0));
    each_place<N>([&](int place, int from) { packed[place] = nodes[from]; });
  }
  template <int N> void unpack(const T *packed, T *nodes) const
  {
    each_place<N>([&](int place, int to) { nodes[to] = packed[place]; });
  }
  template <int N, typename F> FUSED_INLINE void each_place(F f) const
  {
    constexpr int degree = N == 1 ? 0 : N == 4 ? 1 : N == 9 ? 2 : 3;
    for (int channel = 0; channel < weights.channels; ++channel) {
      const int start = channel / W * N * W + channel % W;
      unroll<degree + 1>([&](auto L) __attribute__((always_inline)) {
        unroll<2 * L + 1>([&](auto K) __attribute__((always_inline)) {
          f(start + (L * L + K) * W, weights.channels * L * L + channel * (2 * L + 1) + K);
        });
      });
    }
  }

  // Applies one degree's map to the rows of some atoms; components are W apart.
  template <bool ADD>
  void map(int count, int width, const T *from, int64_t from_size, const std::vector<int> &segments,
           const T *matrix, T *to, int64_t to_size, const std::vector<int> &places) const
  {
    const T *rows[TILE * 7];
    T *outs[TILE * 7];
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
        places.push_back((block * n_components + part) * W);
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

  void gate(const T *mixed, T *out) const
  {
    for (int block = 0; block < weights.n_blocks; ++block) {
      const T *from = mixed + block * n_mixed * W;
      T *to = out + block * n_kept * W;
      const Lanes<T> scalars = load(from);
      store(to, scalars * sigmoid<T>(scalars));
      unroll<OUT>([&](auto K) __attribute__((always_inline)) {
        constexpr int degree = K + 1;
        const Lanes<T> open = sigmoid<T>(load(from + degree * W));
        for (int m = degree * degree; m < (degree + 1) * (degree + 1); ++m)
          store(to + m * W, open * load(from + (OUT + m) * W));
      });
    }
  }

  void gate_back(const T *mixed, const T *given, T *slopes) const
  {
    for (int block = 0; block < weights.n_blocks; ++block) {
      const T *value = mixed + block * n_mixed * W, *from = given + block * n_kept * W;
      T *to = slopes + block * n_mixed * W;
      const Lanes<T> scalars = load(value), part = sigmoid<T>(scalars);
      store(to, load(from) * part * (T(1) + scalars * (T(1) - part)));
      unroll<OUT>([&](auto K) __attribute__((always_inline)) {
        constexpr int degree = K + 1;
        const Lanes<T> open = sigmoid<T>(load(value + degree * W));
        Lanes<T> of_gate{};
        for (int m = degree * degree; m < (degree + 1) * (degree + 1); ++m) {
          store(to + (OUT + m) * W, open * load(from + m * W));
          of_gate += load(value + (OUT + m) * W) * load(from + m * W);
        }
        store(to + degree * W, of_gate * open * (T(1) - open));
      });
    }
  }
};

}    // namespace fused
