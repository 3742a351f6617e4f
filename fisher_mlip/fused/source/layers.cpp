// The layers of one degree and one type; compiled once for each of both.
#include "layer.h"

namespace fused {

using Number = NUMBER;

template <>
std::unique_ptr<AnyLayer<Number>> make_layer<Number, LARGEST>(
    int in, int out, const LayerInputs<Number> &inputs)
{
  constexpr int L = LARGEST;
  if (in == 0 && out == 0) return std::make_unique<Layer<Number, 0, 0>>(inputs);
  if (in == 0 && out == L) return std::make_unique<Layer<Number, 0, L>>(inputs);
  if (in == L && out == L) return std::make_unique<Layer<Number, L, L>>(inputs);
  if (in == L && out == 0) return std::make_unique<Layer<Number, L, 0>>(inputs);
  return nullptr;
}

}    // namespace fused
