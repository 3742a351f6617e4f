// The loops over edges. What an edge contributes is made, used and forgotten: nothing of it is
// stored but its slopes along harmonics and distance.
#pragma once

#include "couplings.h"
#include "radial.h"

namespace fused {

template <typename T, int IN, int OUT, typename Radial> struct Messages {
  using C = Couplings<IN, OUT>;
  using Edge = typename Radial::Edge;
  static constexpr int W = WIDTH<T>;
  static constexpr int n_in = (IN + 1) * (IN + 1);
  static constexpr int n_used = n_harmonics_used<IN, OUT>();

  Edges edges;
  EdgeValues<T> values;
  Radial radial;
  int n_blocks;
  int64_t n_receivers;

  int64_t sent_size() const { return int64_t(n_blocks) * n_in * W; }
  int64_t summed_size() const { return int64_t(n_blocks) * C::n_out * W; }

  // Coefficients of the couplings times the edge's harmonics, where they are not one.
  FUSED_INLINE static void couple(const T *harmonics, T *factors)
  {
    unroll<C::n_terms>([&](auto I) __attribute__((always_inline)) {
      constexpr Term term = C::terms[I];
      if constexpr (term.value != 1.0 && term.value != -1.0)
        factors[I] = static_cast<T>(term.value) * harmonics[term.harmonic];
    });
  }

  // sum + coefficient * harmonic * lanes, of term I.
  template <int I>
  FUSED_INLINE static Lanes<T> add_term(Lanes<T> sum, const T *harmonics, const T *factors,
                                        Lanes<T> lanes)
  {
    constexpr Term term = C::terms[I];
    if constexpr (term.value == 1.0) return sum + harmonics[term.harmonic] * lanes;
    else if constexpr (term.value == -1.0) return sum - harmonics[term.harmonic] * lanes;
    else return sum + factors[I] * lanes;
  }

  // Adds the messages to one atom: (n_blocks, n_out, W) from sent (n_atoms, n_blocks, n_in, W).
  void receive(int64_t atom, const T *sent, T *summed) const
  {
    for (int k = edges.receiver_starts[atom]; k < edges.receiver_starts[atom + 1]; ++k) {
      const int64_t edge = edges.by_receiver[k];
      const T distance = values.distances[edge];
      if (radial.ends_before(distance)) continue;
      const Edge functions = radial.at(edge, distance);
      T factors[C::n_terms];
      const T *harmonics = values.harmonics + edge * values.n_harmonics;
      couple(harmonics, factors);
      const T *from = sent + edges.senders[edge] * sent_size();
      for (int block = 0; block < n_blocks; ++block)
        receive_block(from + block * n_in * W, functions, block, harmonics, factors,
                      summed + block * C::n_out * W);
    }
  }

  FUSED_INLINE void receive_block(const T *from, const Edge &functions, int block,
                                  const T *harmonics, const T *factors, T *summed) const
  {
    Lanes<T> sent[n_in];
    unroll<n_in>([&](auto I) __attribute__((always_inline)) { sent[I] = load(from + I * W); });
    unroll<C::n_paths>([&](auto P) __attribute__((always_inline)) {
      const Lanes<T> weight = functions.value(int64_t(block) * C::n_paths + P);
      constexpr int first = C::path_starts[P], last = C::path_starts[P + 1];
      unroll<last - first>([&](auto O) __attribute__((always_inline)) {
        constexpr int out = first + O, begin = C::out_starts[out], end = C::out_starts[out + 1];
        Lanes<T> made{};
        unroll<end - begin>([&](auto I) __attribute__((always_inline)) {
          constexpr Term term = C::terms[begin + I];
          made = add_term<begin + I>(made, harmonics, factors, sent[term.in]);
        });
        store(summed + out * W, load(summed + out * W) + weight * made);
      });
    });
  }

  // The slopes of one sender: adds to sent_slopes (n_blocks, n_in, W) and to its edges' slopes,
  // from summed_slopes (n_receivers, n_blocks, n_out, W).
  template <bool WITH_SENT>
  void send_back(int64_t atom, const T *sent, const T *summed_slopes, T *sent_slopes,
                 const EdgeSlopes<T> &slopes) const
  {
    const T *own = sent + atom * sent_size();
    for (int k = edges.sender_starts[atom]; k < edges.sender_starts[atom + 1]; ++k) {
      const int64_t edge = edges.by_sender[k];
      const T distance = values.distances[edge];
      if (radial.ends_before(distance) || edges.receivers[edge] >= n_receivers) continue;
      const Edge functions = radial.at(edge, distance);
      const T *harmonics = values.harmonics + edge * values.n_harmonics;
      T factors[C::n_terms];
      if constexpr (WITH_SENT) couple(harmonics, factors);
      const T *given = summed_slopes + edges.receivers[edge] * summed_size();
      Lanes<T> along[n_used + 1]{};    // and outward
      for (int block = 0; block < n_blocks; ++block)
        send_back_block<WITH_SENT>(own + block * n_in * W, given + block * C::n_out * W, functions,
                                   block, harmonics, factors, sent_slopes + block * n_in * W,
                                   along);
      store_sums(along, slopes.harmonics + edge * values.n_harmonics, slopes.distances + edge);
    }
  }

  FUSED_INLINE static void store_sums(const Lanes<T> *along, T *harmonics, T *distance)
  {
    T parts[(n_used + W) / W * W];
    unroll<(n_used + W) / W>([&](auto K) __attribute__((always_inline)) {
      constexpr int count = n_used + 1 - K * W < W ? n_used + 1 - K * W : W;
      store(parts + K * W, sums<T, count>(along + K * W));
    });
    for (int m = 0; m < n_used; ++m) harmonics[m] = parts[m];
    *distance = parts[n_used];
  }

  template <bool WITH_SENT>
  FUSED_INLINE void send_back_block(const T *own, const T *given, const Edge &functions,
                                    int block, const T *harmonics, const T *factors,
                                    T *sent_slopes, Lanes<T> *along) const
  {
    Lanes<T> back[n_in];
    if constexpr (WITH_SENT)
      unroll<n_in>([&](auto I) __attribute__((always_inline)) {
        back[I] = load(sent_slopes + I * W);
      });
    unroll<C::n_paths>([&](auto P) __attribute__((always_inline)) {
      const int64_t place = int64_t(block) * C::n_paths + P;
      const Lanes<T> weight = functions.value(place), steep = functions.slope(place);
      constexpr int first = C::path_harmonics[P];
      constexpr int width = C::path_widths[P];
      Lanes<T> made[width]{};
      unroll<C::out_starts[C::path_starts[P + 1]] - C::out_starts[C::path_starts[P]]>(
          [&](auto I) __attribute__((always_inline)) {
            constexpr Term term = C::terms[C::out_starts[C::path_starts[P]] + I];
            const Lanes<T> left = load(own + term.in * W), right = load(given + term.out * W);
            if constexpr (term.value == 1.0)
              made[term.harmonic - first] += left * right;
            else if constexpr (term.value == -1.0)
              made[term.harmonic - first] -= left * right;
            else
              made[term.harmonic - first] += (static_cast<T>(term.value) * left) * right;
          });
      Lanes<T> of_weight{};
      unroll<width>([&](auto M) __attribute__((always_inline)) {
        along[first + M] += weight * made[M];
        of_weight += harmonics[first + M] * made[M];
      });
      along[n_used] += steep * of_weight;
      if constexpr (WITH_SENT) {
        constexpr int begin = C::path_starts[P], end = C::path_starts[P + 1];
        unroll<end - begin>([&](auto O) __attribute__((always_inline)) {
          constexpr int out = begin + O, from = C::out_starts[out], to = C::out_starts[out + 1];
          const Lanes<T> weighted = weight * load(given + out * W);
          unroll<to - from>([&](auto I) __attribute__((always_inline)) {
            constexpr Term term = C::terms[from + I];
            back[term.in] = add_term<from + I>(back[term.in], harmonics, factors, weighted);
          });
        });
      }
    });
    if constexpr (WITH_SENT)
      unroll<n_in>([&](auto I) __attribute__((always_inline)) {
        store(sent_slopes + I * W, back[I]);
      });
  }
};

}    // namespace fused
