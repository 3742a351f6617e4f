// Radial functions by knot.
#pragma once

namespace fused {

// n_knots of them up to the cutoff: each (n_blocks, n_paths, 3, WIDTH).
template <typename T> struct Table {
  const T *data;
  long long n_knots, knot_size;
  T cutoff, knots_per_length;
};

}    // namespace fused
