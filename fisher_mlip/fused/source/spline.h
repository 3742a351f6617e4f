// Radial functions from a table: quintic Hermite interpolation, twice differentiable.
#pragma once

#include "lanes.h"
#include "table.h"

namespace fused {

// The weights of f, h f' and h^2 f''/2 at both knots of an interval, and their slopes.
template <typename T> struct SplineBasis {
  T value[6], slope[6];

  // t from 0 to 1 in an interval of length 1 / inverse.
  FUSED_INLINE SplineBasis(T t, T inverse)
  {
    const T t2 = t * t, t3 = t2 * t, t4 = t3 * t, t5 = t4 * t;
    value[3] = 10 * t3 - 15 * t4 + 6 * t5;
    value[0] = 1 - value[3];
    value[1] = t - 6 * t3 + 8 * t4 - 3 * t5;
    value[4] = -4 * t3 + 7 * t4 - 3 * t5;
    value[2] = t2 - 3 * t3 + 3 * t4 - t5;
    value[5] = t3 - 2 * t4 + t5;
    slope[3] = inverse * (30 * t2 - 60 * t3 + 30 * t4);
    slope[0] = -slope[3];
    slope[1] = inverse * (1 - 18 * t2 + 32 * t3 - 15 * t4);
    slope[4] = inverse * (-12 * t2 + 28 * t3 - 15 * t4);
    slope[2] = inverse * (2 * t - 9 * t2 + 12 * t3 - 5 * t4);
    slope[5] = inverse * (3 * t2 - 8 * t3 + 5 * t4);
  }
};

// Sets the knot before a distance below the cutoff, and returns the place between it and the next.
template <typename T>
FUSED_INLINE T find_knot(const Table<T> &table, T distance, const T *&knot)
{
  const T scaled = distance * table.knots_per_length;
  const int64_t last = table.n_knots - 2;
  const int64_t interval = scaled < static_cast<T>(last) ? static_cast<int64_t>(scaled) : last;
  knot = table.data + interval * table.knot_size;
  return scaled - static_cast<T>(interval);
}

// The functions of one path and one block of channels, at `place` within a knot.
template <typename T>
FUSED_INLINE Lanes<T> interpolate(const T *knot, int64_t knot_size, int64_t place, const T *basis)
{
  const T *left = knot + place, *right = left + knot_size;
  constexpr int W = WIDTH<T>;
  Lanes<T> a = basis[0] * load(left), b = basis[3] * load(right);
  a += basis[1] * load(left + W), b += basis[4] * load(right + W);
  a += basis[2] * load(left + 2 * W), b += basis[5] * load(right + 2 * W);
  return a + b;
}

}    // namespace fused
