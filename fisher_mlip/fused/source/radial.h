// Where the radial functions of an edge come from: a table, or rows of each edge's own.
#pragma once

#include "spline.h"

namespace fused {

// Interpolated: the form of a network that is evaluated.
template <typename T> struct FromTable {
  Table<T> table;

  struct Edge {
    const T *knot;
    int64_t knot_size;
    SplineBasis<T> basis;

    FUSED_INLINE Lanes<T> value(int64_t place) const
    {
      return interpolate(knot, knot_size, place * 3 * WIDTH<T>, basis.value);
    }
    FUSED_INLINE Lanes<T> slope(int64_t place) const
    {
      return interpolate(knot, knot_size, place * 3 * WIDTH<T>, basis.slope);
    }
  };

  // A NaN goes on, and comes out.
  FUSED_INLINE bool ends_before(T distance) const { return distance >= table.cutoff; }
  FUSED_INLINE Edge at(int64_t, T distance) const
  {
    const T *knot;
    const T place = find_knot(table, distance, knot);
    return {knot, table.knot_size, SplineBasis<T>(place, table.knots_per_length)};
  }
};

// Given: the form of a network in training, whose table would be new at every step.
template <typename T> struct FromRows {
  const T *rows;        // (n_edges, 2, size): values, slopes
  int64_t size = 0;     // n_blocks * n_paths * WIDTH

  struct Edge {
    const T *values, *slopes;
    FUSED_INLINE Lanes<T> value(int64_t place) const { return load(values + place * WIDTH<T>); }
    FUSED_INLINE Lanes<T> slope(int64_t place) const { return load(slopes + place * WIDTH<T>); }
  };

  FUSED_INLINE bool ends_before(T) const { return false; }
  FUSED_INLINE Edge at(int64_t edge, T) const
  {
    const T *own = rows + 2 * edge * size;
    return {own, own + size};
  }
};

}    // namespace fused
