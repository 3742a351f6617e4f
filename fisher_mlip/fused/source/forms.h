// v' A v of one atom's channels, summed over the components of a degree, and its slopes.
#pragma once

#include "lanes.h"

#include <cstdint>
#include <vector>

namespace fused {

// In double: a solved head is a small difference of large terms.
class FormsOfAtom {
 public:
  // channels of each degree up to max_degree; padded: channels, to a multiple of WIDTH<double>.
  FormsOfAtom(int channels, int max_degree, int padded) :
      channels(channels), max_degree(max_degree), padded(padded),
      values(size_t(7) * padded), turned(size_t(7) * padded)
  {
  }

  // The sum of all forms (max_degree + 1, channels, padded) of nodes, an atom's features as e3nn
  // lays them out, and what is linear in its scalars (channels,); adds the slopes if they are wanted.
  template <typename T>
  double evaluate(const T *nodes, const double *forms, const double *linear, T *slopes)
  {
    double energy = 0.0;
    for (int c = 0; c < channels; ++c) energy += linear[c] * double(nodes[c]);
    if (slopes)
      for (int c = 0; c < channels; ++c) slopes[c] = T(linear[c]);
    for (int degree = 0; degree <= max_degree; ++degree) {
      const int64_t place = int64_t(channels) * degree * degree;
      const double *form = forms + int64_t(degree) * channels * padded;
      T *own = slopes ? slopes + place : nullptr;
      switch (degree) {
        case 0: energy += of_degree<1>(nodes + place, form, own); break;
        case 1: energy += of_degree<3>(nodes + place, form, own); break;
        case 2: energy += of_degree<5>(nodes + place, form, own); break;
        case 3: energy += of_degree<7>(nodes + place, form, own); break;
      }
    }
    return energy;
  }

 private:
  static constexpr int W = WIDTH<double>;
  int channels, max_degree, padded;
  std::vector<double> values, turned;    // (components, padded); beyond the channels values are zero

  template <int COMPONENTS, typename T>
  double of_degree(const T *nodes, const double *form, T *slopes)
  {
    for (int m = 0; m < COMPONENTS; ++m)
      for (int c = 0; c < channels; ++c) values[m * padded + c] = double(nodes[c * COMPONENTS + m]);
    Lanes<double> total{};
    for (int start = 0; start < padded; start += W) {
      Lanes<double> made[COMPONENTS] = {};
      for (int c = 0; c < channels; ++c) {
        const Lanes<double> row = load(form + int64_t(c) * padded + start);
        for (int m = 0; m < COMPONENTS; ++m) made[m] += row * values[m * padded + c];
      }
      for (int m = 0; m < COMPONENTS; ++m) {
        total += made[m] * load(&values[m * padded + start]);
        store(&turned[m * padded + start], made[m]);
      }
    }
    if (slopes)
      for (int m = 0; m < COMPONENTS; ++m)
        for (int c = 0; c < channels; ++c) {
          T &slope = slopes[c * COMPONENTS + m];
          const double own = 2.0 * turned[m * padded + c];
          slope = COMPONENTS == 1 ? T(double(slope) + own) : T(own);
        }
    double sum = 0.0;
    for (int k = 0; k < W; ++k) sum += total[k];
    return sum;
  }
};

}    // namespace fused
