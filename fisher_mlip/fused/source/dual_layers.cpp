// The layers in training of one degree and one type; compiled once for each of both.
#include "dual_layer.h"

namespace fused {

using Number = NUMBER;
constexpr int L = LARGEST;

template <>
std::unique_ptr<AnyDualLayer<Number>> make_dual_layer<Number, L>(int in, int out,
                                                                 const DualInputs<Number> &inputs)
{
  if (in == 0 && out == 0) return std::make_unique<DualLayer<Number, 0, 0>>(inputs);
  if (in == 0 && out == L) return std::make_unique<DualLayer<Number, 0, L>>(inputs);
  if (in == L && out == L) return std::make_unique<DualLayer<Number, L, L>>(inputs);
  if (in == L && out == 0) return std::make_unique<DualLayer<Number, L, 0>>(inputs);
  return nullptr;
}

}    // namespace fused
