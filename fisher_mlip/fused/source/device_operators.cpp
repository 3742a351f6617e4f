// Operators of edges and of heads on a GPU.
#include "device.h"
#include "device_operators.h"
#include "device_sources.h"

#include <torch/csrc/autograd/custom_function.h>

#include <mutex>
#include <optional>

namespace fused {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

struct PairVectors : torch::autograd::Function<PairVectors> {
  static Tensor forward(AutogradContext *ctx, const Tensor &given, const Tensor &senders,
                        const Tensor &receivers, const Tensor &shifts, const Tensor &box)
  {
    const Tensor x = given.contiguous();
    const int n_pairs = int(senders.size(0));
    const Tensor vectors = at::empty({n_pairs, 3}, x.options());
    launch(x, unit_for(x, EDGES_SOURCE), "pair_vectors", n_pairs, {&n_pairs},
           {x, senders, receivers, shifts.contiguous(), box.contiguous(), vectors});
    ctx->save_for_backward({senders, receivers});
    ctx->saved_data["n_atoms"] = x.size(0);
    return vectors;
  }
  static variable_list backward(AutogradContext *ctx, variable_list slopes)
  {
    const auto saved = ctx->get_saved_variables();
    const Tensor given = slopes[0].contiguous(), none;
    const Tensor found = at::zeros({ctx->saved_data["n_atoms"].toInt(), 3}, given.options());
    const int n_pairs = int(given.size(0));
    launch(given, unit_for(given, EDGES_SOURCE), "pair_vectors_back", n_pairs, {&n_pairs},
           {saved[0], saved[1], given, found});
    return {found, none, none, none, none};
  }
};

struct CoreEnergies : torch::autograd::Function<CoreEnergies> {
  static Tensor forward(AutogradContext *ctx, const Tensor &given, const Tensor &species,
                        const Tensor &senders, const Tensor &receivers, const Tensor &tables,
                        double reach, double inner)
  {
    const Tensor vectors = given.contiguous(), slopes = at::empty_like(vectors);
    const Tensor energies = at::zeros({species.size(0)}, vectors.options().dtype(at::kDouble));
    const int n_edges = int(vectors.size(0)), n_species = int(tables.size(1));
    launch(vectors, unit_for(vectors, EDGES_SOURCE), "core", n_edges,
           {&n_edges, &n_species, &reach, &inner},
           {vectors, species, senders, receivers, tables, energies, slopes});
    ctx->save_for_backward({slopes, receivers});
    return energies;
  }
  static variable_list backward(AutogradContext *ctx, variable_list given)
  {
    const auto saved = ctx->get_saved_variables();
    const Tensor weights = given[0].index_select(0, saved[1]).to(saved[0].scalar_type());
    const Tensor none;
    return {saved[0] * weights.unsqueeze(1), none, none, none, none, none, none};
  }
};

// What the edges were ordered to last: a list is kept for many steps.
class LastOrder {
 public:
  std::vector<Tensor> of(const Tensor &senders, const Tensor &receivers, int64_t n_atoms)
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!known || !known->is_of(senders, receivers, n_atoms))
      known.emplace(Known{Ends(senders), Ends(receivers), n_atoms,
                          sorted(senders, receivers, n_atoms)});
    return known->order;
  }

 private:
  // A tensor as it was: not kept alive by this, and not another at the same address.
  struct Ends {
    c10::weak_intrusive_ptr<at::TensorImpl> tensor;
    uint32_t version;
    explicit Ends(const Tensor &given) : tensor(given.getIntrusivePtr()), version(version_of(given)) {}
    static uint32_t version_of(const Tensor &given)
    {
      return given.is_inference() ? 0 : uint32_t(given._version());
    }
    bool is(const Tensor &given) const
    {
      return tensor.lock().get() == given.unsafeGetTensorImpl() && version == version_of(given);
    }
  };
  struct Known {
    Ends senders, receivers;
    int64_t n_atoms;
    std::vector<Tensor> order;
    bool is_of(const Tensor &from, const Tensor &to, int64_t count) const
    {
      return n_atoms == count && senders.is(from) && receivers.is(to);
    }
  };
  std::mutex mutex;
  std::optional<Known> known;

  static std::vector<Tensor> sorted(const Tensor &senders, const Tensor &receivers, int64_t n_atoms)
  {
    std::vector<Tensor> made{senders.to(at::kInt).contiguous(), receivers.to(at::kInt).contiguous()};
    const Tensor bounds = at::arange(n_atoms + 1, made[0].options());
    for (int k : {1, 0}) {
      const auto [ends, order] = at::sort(made[k], /*stable=*/true, /*dim=*/0, /*descending=*/false);
      made.push_back(order.to(at::kInt));
      made.push_back(at::searchsorted(ends, bounds, /*out_int32=*/true));
    }
    return made;
  }
};

}    // namespace

void device_geometry(int degree, const Tensor &vectors, Tensor &values, Tensor &distances)
{
  const int n_edges = int(vectors.size(0));
  launch(vectors, unit_for(vectors, EDGES_SOURCE), "geometry", n_edges, {&n_edges, &degree},
         {vectors, values, distances});
}

void device_geometry_back(int degree, const Tensor &vectors, const Tensor &distances,
                          const Tensor &harmonic_slopes, const Tensor &distance_slopes, Tensor &slopes)
{
  const int n_edges = int(vectors.size(0));
  launch(vectors, unit_for(vectors, EDGES_SOURCE), "geometry_back", n_edges, {&n_edges, &degree},
         {vectors, distances, harmonic_slopes, distance_slopes, slopes});
}

std::vector<Tensor> device_edge_order(const Tensor &senders, const Tensor &receivers, int64_t n_atoms)
{
  // Never destroyed: at the end of a process torch may be gone before it.
  static LastOrder *last = new LastOrder;
  return last->of(senders, receivers, n_atoms);
}

std::tuple<Tensor, Tensor, Tensor> device_pairs(const Tensor &positions, const Tensor &senders,
                                                const Tensor &receivers, const Tensor &cell_shifts,
                                                const Tensor &box)
{
  return {PairVectors::apply(positions, senders, receivers, cell_shifts, box), senders, receivers};
}

std::tuple<Tensor, Tensor> device_forms(const Tensor &nodes, const Tensor &species, const Tensor &forms,
                                        const Tensor &linear)
{
  const int n_atoms = int(nodes.size(0)), channels = int(forms.size(2)), padded = int(forms.size(3));
  const int max_degree = int(forms.size(1)) - 1;
  const Tensor slopes = at::empty_like(nodes), parts = at::empty({n_atoms, channels}, forms.options());
  launch(nodes, unit_for(nodes, FORMS_SOURCE), "forms", int64_t(n_atoms) * channels,
         {&n_atoms, &channels, &padded, &max_degree},
         {nodes, species.contiguous(), forms, linear, parts, slopes});
  return {parts.sum(1), slopes};
}

Tensor core_energies(const Tensor &vectors, const Tensor &species, const Tensor &senders,
                     const Tensor &receivers, const Tensor &tables, double reach, double inner)
{
  TORCH_CHECK(vectors.is_cuda(), "expected edges on a GPU");
  return CoreEnergies::apply(vectors, species, senders, receivers, tables, reach, inner);
}

}    // namespace fused
