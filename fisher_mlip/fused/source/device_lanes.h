// What stands for lanes.h on a GPU, where each lane of a vector is a thread of its own.
#pragma once

#define FUSED_INLINE __forceinline__

namespace std {
__forceinline__ double sqrt(double x) { return ::sqrt(x); }
}    // namespace std

namespace fused {

typedef long long int64_t;

template <typename T> inline constexpr int WIDTH = 64 / static_cast<int>(sizeof(T));
template <typename T> using Lanes = T;
// From a pointer that has been moved to the thread's own lane.
template <typename T> FUSED_INLINE T load(const T *from) { return *from; }

template <int K> struct Index {
  constexpr operator int() const { return K; }
};

// Call f with 0, 1, ... N-1 as types, so that each is a constant to the compiler.
template <int N, int K = 0, typename F> FUSED_INLINE void unroll(const F &f)
{
  if constexpr (K < N) {
    f(Index<K>{});
    unroll<N, K + 1>(f);
  }
}

// Of v, a number of places for each thread of a group of W: the sum over the group's threads of the
// place that is the thread's own.
template <typename T, int W> FUSED_INLINE T sum_of_own(T *v, int lane, unsigned group)
{
  unroll<W == 16 ? 4 : 3>([&](auto STEP) {
    constexpr int half = (W / 2) >> STEP;
    unroll<half>([&](auto K) {
      const bool upper = lane & half;
      const T kept = upper ? v[K + half] : v[K], given = upper ? v[K] : v[K + half];
      v[K] = kept + __shfl_xor_sync(group, given, half);
    });
  });
  return v[0];
}

FUSED_INLINE float exponential(float x) { return expf(x); }
FUSED_INLINE double exponential(double x) { return exp(x); }
template <typename T> FUSED_INLINE T sigmoid(T x) { return T(1) / (T(1) + exponential(-x)); }

}    // namespace fused
