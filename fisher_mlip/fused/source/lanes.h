// Vectors of channels: 64 bytes at a time, whatever the processor makes of them.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define FUSED_INLINE inline __attribute__((always_inline))

namespace fused {

template <typename T> inline constexpr int WIDTH = 64 / static_cast<int>(sizeof(T));

template <typename T> struct LanesOf {
  typedef T type __attribute__((vector_size(64)));
};
template <typename T> using Lanes = typename LanesOf<T>::type;

template <typename T> FUSED_INLINE Lanes<T> load(const T *from)
{
  Lanes<T> lanes;
  __builtin_memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

template <typename T> FUSED_INLINE void store(T *to, Lanes<T> lanes)
{
  __builtin_memcpy(to, &lanes, sizeof lanes);
}

// One step of `sums`: halves of `a` and of `b` added to each other, those of a first. HALF lanes
// apart, within groups of 2 * HALF.
template <typename T, int HALF> FUSED_INLINE Lanes<T> fold(Lanes<T> a, Lanes<T> b)
{
  using Whole = std::conditional_t<std::is_same_v<T, float>, int32_t, int64_t>;
  Lanes<Whole> near, far;
  for (int k = 0; k < WIDTH<T>; ++k) {
    const int within = k % (2 * HALF), from = within < HALF ? k : k - HALF + WIDTH<T>;
    near[k] = from, far[k] = from + HALF;
  }
  return __builtin_shuffle(a, b, near) + __builtin_shuffle(a, b, far);
}

// The sum over the lanes of each of N vectors, N <= WIDTH, to the first N places of one vector.
template <typename T, int N> FUSED_INLINE Lanes<T> sums(const Lanes<T> *lanes)
{
  constexpr int W = WIDTH<T>;
  // Place k of the result comes of vector `reversed bits of k`: each step interleaves.
  Lanes<T> kept[W];
  for (int k = 0; k < W; ++k) kept[k] = k < N ? lanes[k] : Lanes<T>{};
  const auto step = [&](auto HALF) __attribute__((always_inline)) {
    for (int k = 0; k < HALF; ++k) kept[k] = fold<T, HALF>(kept[k], kept[k + HALF]);
  };
  if constexpr (W == 16) step(std::integral_constant<int, 8>{});
  step(std::integral_constant<int, 4>{});
  step(std::integral_constant<int, 2>{});
  step(std::integral_constant<int, 1>{});
  return kept[0];
}

// Call f with 0, 1, ... N-1 as types, so that each is a constant to the compiler.
template <int N, typename F> FUSED_INLINE void unroll(F &&f)
{
  [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, I>{}), ...);
  }(std::make_integer_sequence<int, N>{});
}

// e^x by x = n ln 2 + r and the Taylor series of e^r, |r| < 0.35, to the last digit or two.
template <typename T> FUSED_INLINE Lanes<T> exponential(Lanes<T> x)
{
  constexpr bool is_float = std::is_same_v<T, float>;
  using Whole = std::conditional_t<is_float, int32_t, int64_t>;
  constexpr T largest = is_float ? T(87) : T(708);
  constexpr T round = is_float ? T(12582912.0) : T(6755399441055744.0);    // 1.5 * 2^mantissa
  constexpr T high = is_float ? T(0.693359375) : T(0.693147180369123816490);
  constexpr T low = is_float ? T(-2.12194440e-4) : T(1.90821492927058770002e-10);
  constexpr int degree = is_float ? 7 : 13;
  x = x > largest ? (Lanes<T>{} + largest) : x;
  x = x < -largest ? (Lanes<T>{} - largest) : x;
  const Lanes<T> n = (x * T(1.44269504088896340736) + round) - round;
  const Lanes<T> r = (x - n * high) - n * low;
  Lanes<T> series = Lanes<T>{} + T(1);
  for (int k = degree; k > 0; --k) series = series * r * (T(1) / T(k)) + T(1);
  const auto power = __builtin_convertvector(n, Lanes<Whole>);
  constexpr Whole bias = is_float ? 127 : 1023, mantissa = is_float ? 23 : 52;
  const Lanes<Whole> bits = (power + bias) << mantissa;
  Lanes<T> scale;
  __builtin_memcpy(&scale, &bits, sizeof scale);
  return series * scale;
}

template <typename T> FUSED_INLINE Lanes<T> sigmoid(Lanes<T> x)
{
  return T(1) / (T(1) + exponential<T>(-x));
}

}    // namespace fused
