// Spherical harmonics of a unit vector as e3nn has them: real, component-normalized, degrees 0 to 3.
#pragma once

#include "lanes.h"

#include <cmath>

namespace fused {

constexpr int n_harmonics(int degree) { return (degree + 1) * (degree + 1); }

// A number and its slopes along x, y, z.
template <typename T> struct Slope {
  T value, x, y, z;
};
template <typename T> FUSED_INLINE Slope<T> operator+(Slope<T> a, Slope<T> b)
{
  return {a.value + b.value, a.x + b.x, a.y + b.y, a.z + b.z};
}
template <typename T> FUSED_INLINE Slope<T> operator-(Slope<T> a, Slope<T> b)
{
  return {a.value - b.value, a.x - b.x, a.y - b.y, a.z - b.z};
}
template <typename T> FUSED_INLINE Slope<T> operator*(Slope<T> a, Slope<T> b)
{
  return {a.value * b.value, a.x * b.value + a.value * b.x, a.y * b.value + a.value * b.y,
          a.z * b.value + a.value * b.z};
}
template <typename T> FUSED_INLINE Slope<T> operator*(T a, Slope<T> b)
{
  return {a * b.value, a * b.x, a * b.y, a * b.z};
}

// N is a number or a Slope; out has n_harmonics(degree) places.
template <typename T, typename N> FUSED_INLINE void harmonics(int degree, N x, N y, N z, N *out)
{
  const auto root = [](double square) { return static_cast<T>(std::sqrt(square)); };
  const auto set = [&](int place, int l, N value) { out[place] = root(2 * l + 1) * value; };
  if (degree < 1) return;
  set(1, 1, x), set(2, 1, y), set(3, 1, z);
  if (degree < 2) return;
  const N y2 = y * y, xz = x * x + z * z;
  const N first = root(3) * (x * z), last = root(0.75) * (z * z - x * x);
  set(4, 2, first), set(5, 2, root(3) * (x * y)), set(6, 2, y2 - T(0.5) * xz);
  set(7, 2, root(3) * (y * z)), set(8, 2, last);
  if (degree < 3) return;
  const N ring = T(4) * y2 - xz;
  set(9, 3, root(5.0 / 6) * (first * z + last * x)), set(10, 3, root(5) * (first * y));
  set(11, 3, root(0.375) * (ring * x)), set(12, 3, T(0.5) * (y * (T(2) * y2 - T(3) * xz)));
  set(13, 3, root(0.375) * (z * ring)), set(14, 3, root(5) * (last * y));
  set(15, 3, root(5.0 / 6) * (last * z - first * x));
}

}    // namespace fused
