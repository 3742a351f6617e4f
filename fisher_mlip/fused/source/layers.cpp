// The layers of one degree and one type; compiled once for each of both.
#include "layer.h"

namespace fused {

using Number = NUMBER;
constexpr int L = LARGEST;

namespace {

template <int IN, int OUT>
std::unique_ptr<AnyLayer<Number>> make(const LayerInputs<Number> &inputs)
{
  if (!inputs.rows)
    return std::make_unique<Layer<Number, IN, OUT, FromTable<Number>>>(
        inputs, FromTable<Number>{inputs.table});
  const int64_t size = int64_t(inputs.weights.n_blocks) * Couplings<IN, OUT>::n_paths * WIDTH<Number>;
  return std::make_unique<Layer<Number, IN, OUT, FromRows<Number>>>(
      inputs, FromRows<Number>{inputs.rows, size});
}

}    // namespace

template <>
std::unique_ptr<AnyLayer<Number>> make_layer<Number, L>(int in, int out,
                                                        const LayerInputs<Number> &inputs)
{
  if (in == 0 && out == 0) return make<0, 0>(inputs);
  if (in == 0 && out == L) return make<0, L>(inputs);
  if (in == L && out == L) return make<L, L>(inputs);
  if (in == L && out == 0) return make<L, 0>(inputs);
  return nullptr;
}

}    // namespace fused
