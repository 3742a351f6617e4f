// The operator of a head: quadratic forms of an atom's features, by element.
#include "device_operators.h"
#include "forms.h"
#include "operators.h"
#include "pool.h"

#include <torch/csrc/autograd/custom_function.h>

namespace fused {

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t ATOMS_AT_ONCE = 64;

template <typename T>
void each_atom(const Tensor &nodes, const Tensor &species, const Tensor &forms, const Tensor &linear,
               Tensor &energies, T *slopes)
{
  const int64_t n_atoms = nodes.size(0), columns = nodes.size(1);
  const int64_t form_size = forms.stride(0), channels = forms.size(2);
  const int max_degree = int(forms.size(1)) - 1;
  const T *features = nodes.data_ptr<T>();
  const int64_t *kinds = species.data_ptr<int64_t>();
  const double *form = forms.data_ptr<double>(), *row = linear.data_ptr<double>();
  double *made = energies.data_ptr<double>();
  in_parallel((n_atoms + ATOMS_AT_ONCE - 1) / ATOMS_AT_ONCE, [&](int64_t first, int64_t last) {
    FormsOfAtom atom{int(channels), max_degree, int(forms.size(3))};
    for (int64_t i = first * ATOMS_AT_ONCE; i < std::min(n_atoms, last * ATOMS_AT_ONCE); ++i)
      made[i] = atom.evaluate(features + i * columns, form + kinds[i] * form_size,
                              row + kinds[i] * channels, slopes ? slopes + i * columns : nullptr);
  });
}

void check_forms(const Tensor &nodes, const Tensor &species, const Tensor &forms)
{
  const int64_t degrees = forms.size(1), columns = forms.size(2) * degrees * degrees;
  TORCH_CHECK(degrees <= 4 && nodes.size(1) == columns, "expected features of forms up to degree 3, ",
              columns, " columns, found ", nodes.size(1));
  TORCH_CHECK(forms.size(3) % WIDTH<double> == 0 && forms.size(3) >= forms.size(2),
              "expected forms padded with zeros to a multiple of ", WIDTH<double>);
  // A GPU is not waited for.
  if (!species.numel() || species.is_cuda()) return;
  TORCH_CHECK(species.min().item<int64_t>() >= 0 && species.max().item<int64_t>() < forms.size(0),
              "expected species of ", forms.size(0), " elements");
}

struct Forms : torch::autograd::Function<Forms> {
  static Tensor forward(AutogradContext *ctx, const Tensor &features, const Tensor &species,
                        const Tensor &forms, const Tensor &linear)
  {
    const Tensor nodes = features.contiguous();
    check_forms(nodes, species, forms);
    Tensor energies, slopes;
    if (nodes.is_cuda()) {
      std::tie(energies, slopes) = device_forms(nodes, species, forms, linear);
      ctx->save_for_backward({slopes});
      return energies;
    }
    energies = at::empty({nodes.size(0)}, nodes.options().dtype(at::kDouble));
    FUSED_BY_TYPE(nodes, {
      T *wanted = nullptr;
      if (features.requires_grad()) {
        slopes = kept_tensor(nodes.sizes(), nodes.options());
        wanted = slopes.data_ptr<T>();
      }
      each_atom<T>(nodes, species.contiguous(), forms, linear, energies, wanted);
    });
    ctx->save_for_backward({slopes});
    return energies;
  }

  static variable_list backward(AutogradContext *ctx, variable_list given)
  {
    const Tensor slopes = ctx->get_saved_variables()[0];
    const Tensor none;
    return {slopes * given[0].to(slopes.scalar_type()).unsqueeze(1), none, none, none};
  }
};

}    // namespace

Tensor quadratic_forms(const Tensor &nodes, const Tensor &species, const Tensor &forms,
                       const Tensor &linear)
{
  return Forms::apply(nodes, species, forms, linear);
}

}    // namespace fused
