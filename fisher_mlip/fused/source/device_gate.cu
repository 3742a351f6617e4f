// Gates, and features between e3nn's layout and the device's: a thread for each number or channel.
#include "lanes.h"

namespace fused {

using T = NUMBER;

FUSED_INLINE int64_t own_thread() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }

// Where a component of degree l, l^2 + m, of a channel lies in an atom's row of e3nn's.
FUSED_INLINE int place_in_row(int channels, int channel, int component)
{
  const int l = component < 1 ? 0 : component < 4 ? 1 : component < 9 ? 2 : 3;
  return channels * l * l + channel * (2 * l + 1) + component - l * l;
}

// packed (n_components, n_atoms, padded) of rows (n_atoms, channels * n_components).
extern "C" __global__ void pack(int n_atoms, int n_components, int channels, int padded, const T *rows,
                                T *packed)
{
  const int64_t k = own_thread();
  if (k >= int64_t(n_components) * n_atoms * padded) return;
  const int channel = k % padded;
  const int64_t atom = k / padded % n_atoms;
  const int component = k / padded / n_atoms;
  packed[k] = channel < channels ? rows[atom * channels * n_components +
                                        place_in_row(channels, channel, component)]
                                 : T(0);
}

extern "C" __global__ void unpack(int n_atoms, int n_components, int channels, int padded,
                                  const T *packed, T *rows)
{
  const int64_t k = own_thread();
  if (k >= int64_t(n_components) * n_atoms * padded) return;
  const int channel = k % padded;
  if (channel >= channels) return;
  const int64_t atom = k / padded % n_atoms;
  const int component = k / padded / n_atoms;
  rows[atom * channels * n_components + place_in_row(channels, channel, component)] = packed[k];
}

// out (n_atoms, channels * (degree + 1)^2) of scalars and gates (n_atoms, degree + 1, padded) and of
// what is gated ((degree + 1)^2 - 1, n_atoms, padded).
extern "C" __global__ void gate(int n_atoms, int degree, int channels, int padded, const T *scalars,
                                const T *gated, T *out)
{
  const int64_t k = own_thread(), atom = k / padded;
  const int channel = k % padded, n_components = (degree + 1) * (degree + 1);
  if (atom >= n_atoms || channel >= channels) return;
  const T *own = scalars + atom * (degree + 1) * padded + channel;
  T *row = out + atom * channels * n_components;
  row[channel] = own[0] * sigmoid(own[0]);
  for (int l = 1; l <= degree; ++l) {
    const T open = sigmoid(own[l * padded]);
    for (int m = l * l; m < (l + 1) * (l + 1); ++m) {
      const int64_t place = ((m - 1) * int64_t(n_atoms) + atom) * padded + channel;
      row[place_in_row(channels, channel, m)] = open * gated[place];
    }
  }
}

extern "C" __global__ void gate_back(int n_atoms, int degree, int channels, int padded,
                                     const T *scalars, const T *gated, const T *out_slopes,
                                     T *scalar_slopes, T *gated_slopes)
{
  const int64_t k = own_thread(), atom = k / padded;
  const int channel = k % padded, n_components = (degree + 1) * (degree + 1);
  if (atom >= n_atoms) return;
  const bool is_there = channel < channels;
  const int64_t start = atom * (degree + 1) * padded + channel;
  const T *row = out_slopes + atom * channels * n_components;
  const T scalar = scalars[start], part = sigmoid(scalar);
  scalar_slopes[start] =
      is_there ? row[channel] * part * (T(1) + scalar * (T(1) - part)) : T(0);
  for (int l = 1; l <= degree; ++l) {
    const T open = sigmoid(scalars[start + l * padded]);
    T of_gate = 0;
    for (int m = l * l; m < (l + 1) * (l + 1); ++m) {
      const int64_t place = ((m - 1) * int64_t(n_atoms) + atom) * padded + channel;
      const T given = is_there ? row[place_in_row(channels, channel, m)] : T(0);
      gated_slopes[place] = open * given;
      of_gate += gated[place] * given;
    }
    scalar_slopes[start + l * padded] = of_gate * open * (T(1) - open);
  }
}

}    // namespace fused
