// One message-passing layer in training: numbers with their tangents forward, and back to node
// features, radial functions and maps.
#pragma once

#include "dual_messages.h"
#include "layout.h"
#include "outer.h"

namespace fused {

template <typename T, int IN, int OUT>
class DualLayer final : public AnyDualLayer<T>, private Layout<T, IN, OUT, 2> {
 public:
  using P = Layout<T, IN, OUT, 2>;
  using P::in_size, P::kept_size, P::weights, P::each_tile;
  using P::W, P::STRIDE, P::n_in, P::n_kept, P::n_mixed;

  explicit DualLayer(const DualInputs<T> &inputs) : P{inputs.weights}, messages{inputs} {}

  int64_t sent_size() const override { return in_size(); }
  int64_t mixed_size() const override { return P::mixed_size(); }
  int64_t summed_size() const override { return P::summed_size(); }
  int64_t in_columns() const override { return P::in_columns(); }
  int64_t out_columns() const override { return P::out_columns(); }

  void forward(const T *nodes, const DualTrace<T> &trace, T *out) const override
  {
    each_tile(n_atoms(), [&](int64_t begin, int64_t end) {
      T *own = trace.own + begin * in_size();
      for (int64_t atom = begin; atom < end; ++atom)
        P::template pack<n_in>(nodes + atom * in_columns(), trace.own + atom * in_size());
      P::template mix_in<false>(weights.maps, int(end - begin), own, trace.sent + begin * in_size());
    });
    each_tile(n_atoms(), [&](int64_t begin, int64_t end) {
      T *summed = trace.summed + begin * summed_size();
      T *gated = scratch<T, 0>(kept_size());
      std::fill(summed, trace.summed + end * summed_size(), T(0));
      for (int64_t atom = begin; atom < end; ++atom)
        messages.receive(atom, trace.sent, trace.summed + atom * summed_size());
      P::mix_out(int(end - begin), summed, trace.own + begin * in_size(),
                 trace.mixed + begin * mixed_size());
      for (int64_t atom = begin; atom < end; ++atom) {
        gate(trace.mixed + atom * mixed_size(), gated);
        P::template unpack<n_kept>(gated, out + atom * out_columns());
      }
    });
  }

  void backward(const DualTrace<T> &trace, const T *out_slopes, T *node_slopes, T *row_slopes,
                T *map_slopes) const override
  {
    const auto rows = [&](int64_t size) {
      return std::make_unique_for_overwrite<T[]>(size_t(n_atoms() * size));
    };
    const auto of_own = rows(in_size()), of_sent = rows(in_size());
    const auto of_summed = rows(summed_size()), of_mixed = rows(mixed_size());
    const DualTrace<T> slopes{of_own.get(), of_sent.get(), of_summed.get(), of_mixed.get()};
    receive_back(trace, out_slopes, slopes);
    send_back(trace, slopes, node_slopes, row_slopes);
    maps_back(trace, slopes, map_slopes);
  }

 private:
  const DualMessages<T, IN, OUT> messages;

  int64_t n_atoms() const { return messages.inputs.n_atoms; }

  void receive_back(const DualTrace<T> &trace, const T *out_slopes, const DualTrace<T> &slopes) const
  {
    each_tile(n_atoms(), [&](int64_t begin, int64_t end) {
      T *given = scratch<T, 0>(kept_size());
      // Degrees that no map of the own features reaches stay zero.
      std::fill(slopes.own + begin * in_size(), slopes.own + end * in_size(), T(0));
      for (int64_t atom = begin; atom < end; ++atom) {
        P::template pack<n_kept>(out_slopes + atom * out_columns(), given);
        gate_back(trace.mixed + atom * mixed_size(), given, slopes.mixed + atom * mixed_size());
      }
      P::mix_out_back(int(end - begin), slopes.mixed + begin * mixed_size(),
                      slopes.summed + begin * summed_size(), slopes.own + begin * in_size());
    });
  }

  void send_back(const DualTrace<T> &trace, const DualTrace<T> &slopes, T *node_slopes,
                 T *row_slopes) const
  {
    each_tile(n_atoms(), [&](int64_t begin, int64_t end) {
      std::fill(slopes.sent + begin * in_size(), slopes.sent + end * in_size(), T(0));
      for (int64_t atom = begin; atom < end; ++atom)
        messages.send_back(atom, trace.sent, slopes.summed, slopes.sent + atom * in_size(), row_slopes);
      P::template mix_in<true>(weights.transposed, int(end - begin), slopes.sent + begin * in_size(),
                               slopes.own + begin * in_size());
      for (int64_t atom = begin; atom < end; ++atom)
        P::template unpack<n_in>(slopes.own + atom * in_size(), node_slopes + atom * in_columns());
    });
  }

  // The sums over atoms are taken map by map, so that no number depends on the threads.
  void maps_back(const DualTrace<T> &trace, const DualTrace<T> &slopes, T *map_slopes) const
  {
    for (int degree = 0; degree <= IN; ++degree) {
      const auto places = P::blocks_of({degree * degree}, n_in);
      map_back(2 * degree + 1, {trace.own, in_size(), places.data()}, places.size(),
               {slopes.sent, in_size(), places.data()}, places.size(), map_slopes);
    }
    P::each_map([&](int degree, bool of_messages, const auto &from, const auto &to) {
      const AtomRows<T> rows{of_messages ? trace.summed : trace.own,
                             of_messages ? summed_size() : in_size(), from.data()};
      map_back(2 * degree + 1, rows, from.size(), {slopes.mixed, mixed_size(), to.data()}, to.size(),
               map_slopes);
    });
  }

  void map_back(int width, const AtomRows<T> &from, size_t n_segments, const AtomRows<T> &to,
                size_t n_blocks, T *&map_slopes) const
  {
    in_parallel(int64_t(n_segments), [&](int64_t first, int64_t last) {
      for (int64_t segment = first; segment < last; ++segment)
        outer_segment<T>(n_atoms(), 2 * width, W, from, int(segment), int(n_segments), to,
                         int(n_blocks), map_slopes);
    });
    map_slopes += n_segments * n_blocks * W * W;
  }

  void gate(const T *mixed, T *out) const
  {
    for (int block = 0; block < weights.n_blocks; ++block) {
      const T *from = mixed + block * n_mixed * STRIDE;
      T *to = out + block * n_kept * STRIDE;
      const Lanes<T> scalars = load(from), part = sigmoid<T>(scalars);
      store(to, scalars * part);
      store(to + W, load(from + W) * (part + scalars * (part * (T(1) - part))));
      unroll<OUT>([&](auto K) __attribute__((always_inline)) {
        constexpr int degree = K + 1;
        const Lanes<T> open = sigmoid<T>(load(from + degree * STRIDE));
        const Lanes<T> opening = open * (T(1) - open) * load(from + degree * STRIDE + W);
        for (int m = degree * degree; m < (degree + 1) * (degree + 1); ++m) {
          const T *gated = from + (OUT + m) * STRIDE;
          store(to + m * STRIDE, open * load(gated));
          store(to + m * STRIDE + W, opening * load(gated) + open * load(gated + W));
        }
      });
    }
  }

  void gate_back(const T *mixed, const T *given, T *slopes) const
  {
    for (int block = 0; block < weights.n_blocks; ++block) {
      const T *value = mixed + block * n_mixed * STRIDE, *from = given + block * n_kept * STRIDE;
      T *to = slopes + block * n_mixed * STRIDE;
      scalars_back(value, from, to);
      unroll<OUT>([&](auto K) __attribute__((always_inline)) {
        constexpr int degree = K + 1;
        const Lanes<T> open = sigmoid<T>(load(value + degree * STRIDE));
        const Lanes<T> first = open * (T(1) - open), second = first * (T(1) - T(2) * open);
        const Lanes<T> speed = load(value + degree * STRIDE + W), opening = first * speed;
        Lanes<T> of_open{}, of_opening{};
        for (int m = degree * degree; m < (degree + 1) * (degree + 1); ++m) {
          const T *gated = value + (OUT + m) * STRIDE;
          const Lanes<T> g = load(from + m * STRIDE), h = load(from + m * STRIDE + W);
          store(to + (OUT + m) * STRIDE, open * g + opening * h);
          store(to + (OUT + m) * STRIDE + W, open * h);
          of_open += g * load(gated) + h * load(gated + W);
          of_opening += h * load(gated);
        }
        store(to + degree * STRIDE, of_open * first + of_opening * second * speed);
        store(to + degree * STRIDE + W, of_opening * first);
      });
    }
  }

  FUSED_INLINE static void scalars_back(const T *value, const T *from, T *to)
  {
    const Lanes<T> x = load(value), part = sigmoid<T>(x), change = part * (T(1) - part);
    const Lanes<T> first = part + x * change;
    const Lanes<T> second = change * (T(2) + x * (T(1) - T(2) * part));
    const Lanes<T> g = load(from), h = load(from + W);
    store(to, g * first + h * load(value + W) * second);
    store(to + W, h * first);
  }
};

}    // namespace fused
