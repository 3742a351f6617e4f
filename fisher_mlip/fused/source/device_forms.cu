// Quadratic forms of features on a GPU, in double: a thread for each atom and channel.
#include "lanes.h"

namespace fused {

using T = NUMBER;

// Adds one degree's form (channels, padded): the thread's part of the energy, and its slopes.
template <int COMPONENTS>
FUSED_INLINE double of_degree(int channels, int padded, int channel, double linear, const T *nodes,
                              const double *form, T *slopes)
{
  double made[COMPONENTS]{};
  for (int other = 0; other < channels; ++other) {
    const double factor = form[int64_t(other) * padded + channel];
    unroll<COMPONENTS>([&](auto M) { made[M] += factor * double(nodes[other * COMPONENTS + M]); });
  }
  double energy = 0;
  unroll<COMPONENTS>([&](auto M) {
    const double value = double(nodes[channel * COMPONENTS + M]);
    energy += (made[M] + linear) * value;
    slopes[channel * COMPONENTS + M] = T(2.0 * made[M] + linear);
  });
  return energy;
}

// energies (n_atoms, channels), which are to be summed, and slopes (n_atoms, columns).
extern "C" __global__ void forms(int n_atoms, int channels, int padded, int max_degree, const T *nodes,
                                 const int64_t *species, const double *forms, const double *linear,
                                 double *energies, T *slopes)
{
  const int64_t k = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, atom = k / channels;
  const int channel = k % channels;
  if (atom >= n_atoms) return;
  const int64_t row = atom * channels * (max_degree + 1) * (max_degree + 1);
  const double *form = forms + species[atom] * (max_degree + 1) * int64_t(channels) * padded;
  const double of_scalar = linear[species[atom] * channels + channel];
  double energy = 0;
  for (int degree = 0; degree <= max_degree; ++degree) {
    const int64_t place = row + int64_t(channels) * degree * degree;
    const T *from = nodes + place;
    const double *own = form + int64_t(degree) * channels * padded;
    T *to = slopes + place;
    switch (degree) {
      case 0: energy += of_degree<1>(channels, padded, channel, of_scalar, from, own, to); break;
      case 1: energy += of_degree<3>(channels, padded, channel, 0.0, from, own, to); break;
      case 2: energy += of_degree<5>(channels, padded, channel, 0.0, from, own, to); break;
      case 3: energy += of_degree<7>(channels, padded, channel, 0.0, from, own, to); break;
    }
  }
  energies[k] = energy;
}

}    // namespace fused
