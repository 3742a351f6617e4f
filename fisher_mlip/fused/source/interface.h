// What the operators ask of a layer, whatever its degrees.
#pragma once

#include "table.h"

#include <cstdint>
#include <functional>
#include <memory>

namespace fused {

// Edges in two orders: by the atom that receives and by the atom that sends.
struct Edges {
  const int32_t *senders, *receivers;              // by edge
  const int32_t *by_receiver, *receiver_starts;    // edges of receiver i: by_receiver[starts[i]..]
  const int32_t *by_sender, *sender_starts;
};

template <typename T> struct EdgeValues {
  const T *harmonics, *distances;    // (n_edges, n_harmonics), (n_edges,)
  int n_harmonics;
};

template <typename T> struct EdgeSlopes {
  T *harmonics, *distances;
};

// Flat arrays of maps, and of the same transposed; packing.py says how they are ordered.
template <typename T> struct LayerWeights {
  const T *maps, *transposed;
  int channels, n_blocks;
};

template <typename T> struct LayerInputs {
  LayerWeights<T> weights;
  Table<T> table;
  const T *rows;    // (n_edges, 2, n_blocks, n_paths, WIDTH) instead of the table, or null
  Edges edges;
  EdgeValues<T> values;
  int64_t n_receivers;    // those whose messages are summed: the first atoms
};

// Runs f(begin, end) on ranges that together are 0 to n, on several threads.
void in_parallel(int64_t n, const std::function<void(int64_t, int64_t)> &f);

// A layer, forward and back. Sizes are those of one atom's row.
template <typename T> class AnyLayer {
 public:
  virtual ~AnyLayer() = default;
  virtual int64_t sent_size() const = 0;
  virtual int64_t mixed_size() const = 0;
  virtual int64_t summed_size() const = 0;
  virtual int64_t in_columns() const = 0;
  virtual int64_t out_columns() const = 0;

  // sent (n_atoms, sent_size) of nodes (n_atoms, in_columns).
  virtual void send(int64_t n_atoms, const T *nodes, T *sent) const = 0;
  // mixed (n_receivers, mixed_size), before the gate, and out (n_receivers, out_columns).
  virtual void receive(const T *nodes, const T *sent, T *mixed, T *out) const = 0;
  // summed_slopes (n_receivers, summed_size) and, where it is given, own_slopes (n_receivers,
  // sent_size) of out_slopes (n_receivers, out_columns).
  virtual void receive_back(const T *mixed, const T *out_slopes, T *summed_slopes,
                            T *own_slopes) const = 0;
  // Slopes of the edges and, where own_slopes (n_atoms, sent_size) is given, which is used up,
  // node_slopes (n_atoms, in_columns).
  virtual void send_back(int64_t n_atoms, const T *sent, const T *summed_slopes, T *own_slopes,
                         T *node_slopes, const EdgeSlopes<T> &slopes) const = 0;
};

// A layer in training: every number comes with its tangent along one direction of the positions,
// nodes as (n_atoms, 2, columns). Nothing is differentiated by positions.
template <typename T> struct DualInputs {
  LayerWeights<T> weights;
  Edges edges;
  const T *harmonics, *turns, *speeds;    // of edges: harmonics, their tangents, those of distances
  int n_harmonics;
  const T *rows;    // (n_edges, 2, n_blocks, n_paths, WIDTH): radial functions and their slopes
  int64_t n_atoms;
};

// What the forward pass leaves for the backward one, a row for each atom.
template <typename T> struct DualTrace {
  T *own, *sent, *summed, *mixed;
};

template <typename T> class AnyDualLayer {
 public:
  virtual ~AnyDualLayer() = default;
  virtual int64_t sent_size() const = 0;
  virtual int64_t mixed_size() const = 0;
  virtual int64_t summed_size() const = 0;
  virtual int64_t in_columns() const = 0;
  virtual int64_t out_columns() const = 0;

  virtual void forward(const T *nodes, const DualTrace<T> &trace, T *out) const = 0;
  // Slopes of the nodes, the rows (every number of them is set) and the maps.
  virtual void backward(const DualTrace<T> &trace, const T *out_slopes, T *node_slopes,
                        T *row_slopes, T *map_slopes) const = 0;
};

template <typename T, int DEGREE>
std::unique_ptr<AnyDualLayer<T>> make_dual_layer(int in, int out, const DualInputs<T> &inputs);

// The layers of harmonics up to DEGREE: from 0 to it, between it, and from it to 0.
template <typename T, int DEGREE>
std::unique_ptr<AnyLayer<T>> make_layer(int in, int out, const LayerInputs<T> &inputs);

}    // namespace fused
