// One message-passing layer over all atoms: forward, and back to node features and edges.
#pragma once

#include "layout.h"
#include "messages.h"

namespace fused {

template <typename T, int IN, int OUT, typename Radial>
class Layer final : public AnyLayer<T>, private Layout<T, IN, OUT, 1> {
 public:
  using M = Messages<T, IN, OUT, Radial>;
  using P = Layout<T, IN, OUT, 1>;
  using P::in_size, P::weights, P::each_tile, P::mix_out, P::mix_out_back;
  using P::W, P::n_in, P::n_kept, P::n_mixed;

  Layer(const LayerInputs<T> &inputs, const Radial &radial) :
      P{inputs.weights}, messages{inputs.edges, inputs.values, radial, inputs.weights.n_blocks,
                                  inputs.n_receivers}
  {
  }

  int64_t sent_size() const override { return in_size(); }
  int64_t mixed_size() const override { return P::mixed_size(); }
  int64_t summed_size() const override { return P::summed_size(); }
  int64_t in_columns() const override { return P::in_columns(); }
  int64_t out_columns() const override { return P::out_columns(); }

  void send(int64_t n_atoms, const T *nodes, T *sent) const override
  {
    each_tile(n_atoms, [&](int64_t begin, int64_t end) {
      T *packed = scratch<T, 0>(TILE * in_size());
      for (int64_t atom = begin; atom < end; ++atom)
        P::template pack<n_in>(nodes + atom * in_columns(), packed + (atom - begin) * in_size());
      P::template mix_in<false>(weights.maps, int(end - begin), packed, sent + begin * in_size());
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
        P::template pack<n_in>(nodes + atom * in_columns(), packed + (atom - begin) * in_size());
      }
      mix_out(count, summed, packed, mixed + begin * mixed_size());
      for (int64_t atom = begin; atom < end; ++atom) {
        gate(mixed + atom * mixed_size(), gated);
        P::template unpack<n_kept>(gated, out + atom * out_columns());
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
        P::template pack<n_kept>(out_slopes + atom * out_columns(), given);
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
      P::template mix_in<true>(weights.transposed, count, given, total);
      for (int64_t atom = begin; atom < end; ++atom)
        P::template unpack<n_in>(total + (atom - begin) * in_size(), node_slopes + atom * in_columns());
    });
  }

 private:
  const M messages;

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
