// The loops over edges of a layer in training: numbers with their tangents, and back to the
// features and to the radial functions of each edge.
#pragma once

#include "couplings.h"
#include "interface.h"
#include "lanes.h"

namespace fused {

// The degree of the term's input, from its place among the components.
constexpr int degree_at(int component)
{
  int degree = 0;
  while ((degree + 1) * (degree + 1) <= component) ++degree;
  return degree;
}

template <typename T, int IN, int OUT> struct DualMessages {
  using C = Couplings<IN, OUT>;
  static constexpr int W = WIDTH<T>;
  static constexpr int n_in = (IN + 1) * (IN + 1);
  static constexpr int IN_BLOCK = n_in * 2 * W, OUT_BLOCK = C::n_out * 2 * W;

  DualInputs<T> inputs;

  int n_blocks() const { return inputs.weights.n_blocks; }
  int64_t row_size() const { return int64_t(n_blocks()) * C::n_paths * W; }

  // What one edge has: the terms' coefficients times harmonics, and times their tangents.
  struct Edge {
    T factors[C::n_terms], turns[C::n_terms], speed;
    const T *values, *slopes;    // of its radial functions
  };

  FUSED_INLINE Edge edge_at(int64_t edge) const
  {
    Edge made;
    const T *harmonics = inputs.harmonics + edge * inputs.n_harmonics;
    const T *turns = inputs.turns + edge * inputs.n_harmonics;
    unroll<C::n_terms>([&](auto I) __attribute__((always_inline)) {
      constexpr Term term = C::terms[I];
      made.factors[I] = static_cast<T>(term.value) * harmonics[term.harmonic];
      made.turns[I] = static_cast<T>(term.value) * turns[term.harmonic];
    });
    made.speed = inputs.speeds[edge];
    made.values = inputs.rows + 2 * edge * row_size();
    made.slopes = made.values + row_size();
    return made;
  }

  // Adds the messages to one atom: (n_blocks, n_out, 2, W) from sent (n_atoms, n_blocks, n_in, 2, W).
  void receive(int64_t atom, const T *sent, T *summed) const
  {
    const Edges &edges = inputs.edges;
    for (int k = edges.receiver_starts[atom]; k < edges.receiver_starts[atom + 1]; ++k) {
      const int64_t edge = edges.by_receiver[k];
      const Edge own = edge_at(edge);
      const T *from = sent + edges.senders[edge] * n_blocks() * IN_BLOCK;
      for (int block = 0; block < n_blocks(); ++block)
        receive_block(from + block * IN_BLOCK, own, block, summed + block * OUT_BLOCK);
    }
  }

  FUSED_INLINE static void receive_block(const T *from, const Edge &edge, int block, T *summed)
  {
    Lanes<T> sent[n_in], tangent[n_in];
    unroll<n_in>([&](auto I) __attribute__((always_inline)) {
      sent[I] = load(from + 2 * I * W), tangent[I] = load(from + (2 * I + 1) * W);
    });
    unroll<C::n_paths>([&](auto P) __attribute__((always_inline)) {
      const int64_t place = (int64_t(block) * C::n_paths + P) * W;
      const Lanes<T> weight = load(edge.values + place);
      const Lanes<T> change = edge.speed * load(edge.slopes + place);
      constexpr int first = C::path_starts[P], last = C::path_starts[P + 1];
      unroll<last - first>([&](auto O) __attribute__((always_inline)) {
        constexpr int out = first + O, begin = C::out_starts[out], end = C::out_starts[out + 1];
        Lanes<T> made{}, moved{};
        unroll<end - begin>([&](auto I) __attribute__((always_inline)) {
          constexpr int term = begin + I, in = C::terms[term].in;
          made += edge.factors[term] * sent[in];
          moved += edge.factors[term] * tangent[in];
          moved += edge.turns[term] * sent[in];
        });
        T *to = summed + 2 * out * W;
        store(to, load(to) + weight * made);
        store(to + W, load(to + W) + change * made + weight * moved);
      });
    });
  }

  // The slopes of one sender: adds to sent_slopes (n_blocks, n_in, 2, W) and sets those of its
  // edges' rows, from summed_slopes (n_atoms, n_blocks, n_out, 2, W).
  void send_back(int64_t atom, const T *sent, const T *summed_slopes, T *sent_slopes,
                 T *row_slopes) const
  {
    const Edges &edges = inputs.edges;
    const T *own = sent + atom * n_blocks() * IN_BLOCK;
    for (int k = edges.sender_starts[atom]; k < edges.sender_starts[atom + 1]; ++k) {
      const int64_t edge = edges.by_sender[k];
      const Edge functions = edge_at(edge);
      const T *given = summed_slopes + int64_t(edges.receivers[edge]) * n_blocks() * OUT_BLOCK;
      T *of_values = row_slopes + 2 * edge * row_size();
      for (int block = 0; block < n_blocks(); ++block)
        send_back_block(own + block * IN_BLOCK, given + block * OUT_BLOCK, functions, block,
                        sent_slopes + block * IN_BLOCK, of_values, of_values + row_size());
    }
  }

  // With A what couples to the receiver's numbers and B to the tangents' of a path, and g, h the
  // slopes of both: p = A'g + B'h and q = A'h give everything, without the messages themselves.
  FUSED_INLINE static void send_back_block(const T *own, const T *given, const Edge &edge,
                                           int block, T *sent_slopes, T *of_values, T *of_slopes)
  {
    Lanes<T> back[2 * n_in];
    unroll<2 * n_in>([&](auto I) __attribute__((always_inline)) {
      back[I] = load(sent_slopes + I * W);
    });
    unroll<C::n_paths>([&](auto P) __attribute__((always_inline)) {
      constexpr int degree = degree_at(C::terms[C::out_starts[C::path_starts[P]]].in);
      constexpr int first = degree * degree, width = 2 * degree + 1;
      Lanes<T> p[width]{}, q[width]{};
      constexpr int begin = C::path_starts[P], end = C::path_starts[P + 1];
      unroll<end - begin>([&](auto O) __attribute__((always_inline)) {
        constexpr int out = begin + O, from = C::out_starts[out], to = C::out_starts[out + 1];
        const Lanes<T> g = load(given + 2 * out * W), h = load(given + (2 * out + 1) * W);
        unroll<to - from>([&](auto I) __attribute__((always_inline)) {
          constexpr int term = from + I, in = C::terms[term].in - first;
          p[in] += edge.factors[term] * g;
          q[in] += edge.factors[term] * h;
          p[in] += edge.turns[term] * h;
        });
      });
      const int64_t place = (int64_t(block) * C::n_paths + P) * W;
      const Lanes<T> weight = load(edge.values + place);
      const Lanes<T> change = edge.speed * load(edge.slopes + place);
      Lanes<T> of_weight{}, of_change{};
      unroll<width>([&](auto M) __attribute__((always_inline)) {
        constexpr int in = first + M;
        const Lanes<T> sent = load(own + 2 * in * W), tangent = load(own + (2 * in + 1) * W);
        of_weight += p[M] * sent;
        of_weight += q[M] * tangent;
        of_change += q[M] * sent;
        back[2 * in] += weight * p[M];
        back[2 * in] += change * q[M];
        back[2 * in + 1] += weight * q[M];
      });
      store(of_values + place, of_weight);
      store(of_slopes + place, edge.speed * of_change);
    });
    unroll<2 * n_in>([&](auto I) __attribute__((always_inline)) {
      store(sent_slopes + I * W, back[I]);
    });
  }
};

}    // namespace fused
