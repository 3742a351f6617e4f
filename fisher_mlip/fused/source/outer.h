// The slopes of a map: sums over many rows of the products of what it is given and what is asked
// of its results.
#pragma once

#include "lanes.h"

#include <vector>

namespace fused {

// Rows of some atoms, of which each has `width`, `stride` apart; channels as `Rows` has them.
template <typename T> struct AtomRows {
  const T *start;
  int64_t atom_size;
  const int *segments;
};

template <typename T, int K, int V>
FUSED_INLINE void outer_group(int64_t n_atoms, int width, int stride, const AtomRows<T> &from,
                              int lane, const AtomRows<T> &to, T *slopes)
{
  constexpr int W = WIDTH<T>;
  Lanes<T> sums[K][V]{};
  const int at = from.segments[0] + lane;
  for (int64_t atom = 0; atom < n_atoms; ++atom) {
    const T *left = from.start + atom * from.atom_size + at;
    const T *right = to.start + atom * to.atom_size;
    for (int m = 0; m < width; ++m, left += stride, right += stride) {
      Lanes<T> column[V];
      for (int v = 0; v < V; ++v) column[v] = load(right + to.segments[v]);
      for (int k = 0; k < K; ++k)
        for (int v = 0; v < V; ++v) sums[k][v] += left[k] * column[v];
    }
  }
  for (int k = 0; k < K; ++k)
    for (int v = 0; v < V; ++v) store(slopes + (k * V + v) * W, sums[k][v]);
}

// Sets the slopes of one segment's rows of a map, laid out as `multiply` reads its weights; of the
// n_segments * WIDTH rows of each panel they are those from row segment * WIDTH on.
template <typename T>
void outer_segment(int64_t n_atoms, int width, int stride, AtomRows<T> from, int segment,
                   int n_segments, AtomRows<T> to, int n_blocks, T *slopes)
{
  constexpr int W = WIDTH<T>, K = 8;
  from.segments += segment;
  for (int block = 0; block < n_blocks; block += 2, to.segments += 2) {
    const int n_columns = n_blocks - block < 2 ? 1 : 2;
    T *panel = slopes + (int64_t(block) * n_segments + int64_t(n_columns) * segment) * W * W;
    for (int lane = 0; lane < W; lane += K, panel += K * n_columns * W) {
      if (n_columns == 2) outer_group<T, K, 2>(n_atoms, width, stride, from, lane, to, panel);
      else outer_group<T, K, 1>(n_atoms, width, stride, from, lane, to, panel);
    }
  }
}

}    // namespace fused
