// Products of a few rows of channels with a matrix of weights.
#pragma once

#include "lanes.h"

namespace fused {

constexpr int LARGEST_GROUP = 6;    // rows times two columns of lanes fill the registers

// Where rows are read: channels come in blocks, `segments` their places after the row's start.
template <typename T> struct Rows {
  const T *const *starts;
  int count;
};

template <typename T, int R, int V, bool ADD>
FUSED_INLINE void multiply_group(const T *const *rows, const int *segments, int n_segments,
                                 const T *weights, T *const *outs, const int *places)
{
  constexpr int W = WIDTH<T>;
  Lanes<T> sums[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) sums[r][v] = ADD ? load(outs[r] + places[v]) : Lanes<T>{};
  for (int s = 0; s < n_segments; ++s) {
    const int at = segments[s];
    for (int lane = 0; lane < W; ++lane) {
      Lanes<T> column[V];
      for (int v = 0; v < V; ++v) column[v] = load(weights + v * W);
      for (int r = 0; r < R; ++r) {
        const T factor = rows[r][at + lane];
        for (int v = 0; v < V; ++v) sums[r][v] += factor * column[v];
      }
      weights += V * W;
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store(outs[r] + places[v], sums[r][v]);
}

template <typename T, int V, bool ADD>
void multiply_columns(const Rows<T> &rows, const int *segments, int n_segments, const T *weights,
                      T *const *outs, const int *places)
{
  int row = 0;
  for (; row + LARGEST_GROUP <= rows.count; row += LARGEST_GROUP)
    multiply_group<T, LARGEST_GROUP, V, ADD>(rows.starts + row, segments, n_segments, weights,
                                             outs + row, places);
  const T *const *rest = rows.starts + row;
  T *const *to = outs + row;
#define FUSED_REST(R) \
  case R: multiply_group<T, R, V, ADD>(rest, segments, n_segments, weights, to, places); break;
  switch (rows.count - row) {
    FUSED_REST(1) FUSED_REST(2) FUSED_REST(3) FUSED_REST(4) FUSED_REST(5)
  }
#undef FUSED_REST
}

// Sets outs to rows @ weights, or adds that to them. The weights (n_segments * WIDTH, n_blocks *
// WIDTH) come in panels of two blocks of columns, each row by row; block c of the columns goes to
// place c.
template <typename T, bool ADD>
void multiply(const Rows<T> &rows, const int *segments, int n_segments, const T *weights,
              int n_blocks, T *const *outs, const int *places)
{
  constexpr int W = WIDTH<T>;
  const int64_t panel = int64_t(n_segments) * W * W;
  int block = 0;
  for (; block + 2 <= n_blocks; block += 2)
    multiply_columns<T, 2, ADD>(rows, segments, n_segments, weights + block * panel, outs,
                                places + block);
  if (block < n_blocks)
    multiply_columns<T, 1, ADD>(rows, segments, n_segments, weights + block * panel, outs,
                                places + block);
}

}    // namespace fused
