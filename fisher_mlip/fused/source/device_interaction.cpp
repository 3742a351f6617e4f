// One layer on a GPU.
#include "couplings.h"
#include "device.h"
#include "device_layer.h"
#include "device_mix.h"
#include "device_operators.h"
#include "device_sources.h"

namespace fused {

using at::Tensor;

namespace {

// What is known of a layer's messages: how many paths there are to each degree.
template <int IN, int OUT> std::vector<int64_t> paths_by_degree()
{
  std::vector<int64_t> counts(OUT + 1, 0);
  for (int degree : Couplings<IN, OUT>::path_degrees) ++counts[degree];
  return counts;
}

std::vector<int64_t> path_counts(const Shape &shape)
{
  const std::pair<int64_t, int64_t> degrees{shape.in, shape.out};
#define FUSED_DEGREES(IN, OUT) \
  if (degrees == std::pair<int64_t, int64_t>{IN, OUT}) return paths_by_degree<IN, OUT>();
  FUSED_DEGREES(0, 0)
  FUSED_DEGREES(0, 1) FUSED_DEGREES(1, 1) FUSED_DEGREES(1, 0)
  FUSED_DEGREES(0, 2) FUSED_DEGREES(2, 2) FUSED_DEGREES(2, 0)
  FUSED_DEGREES(0, 3) FUSED_DEGREES(3, 3) FUSED_DEGREES(3, 0)
#undef FUSED_DEGREES
  TORCH_CHECK(false, "expected a layer between degrees 0 to 3, found one from ", shape.in, " to ",
              shape.out);
}

template <typename T> class DeviceInteraction {
 public:
  DeviceInteraction(const DeviceInputs &inputs, const Tensor &like, int64_t n_atoms) :
      inputs(inputs), shape(inputs.shape), like(like), n_atoms(n_atoms)
  {
  }

  Tensor forward(const Tensor &nodes, DeviceTrace &trace) const
  {
    const Tensor packed = empty({n_in, n_atoms, padded});
    move("pack", nodes, packed);
    trace.sent = at::empty_like(packed);
    mix(each_degree(shape.in, [&](int64_t l) {
          return MixJob<T>{{into(inputs.maps, l, rows(packed, l, 0)), {}}, rows(trace.sent, l, 0),
                           int(2 * l + 1), int(padded)};
        }),
        n_atoms);
    const Tensor summed = empty({n_messages() * shape.n_made * padded});
    run_messages("receive", shape.n_made, {trace.sent, summed});
    trace.scalars = empty({shape.n_made, (shape.out + 1) * padded});
    trace.gated = empty({n_kept - 1, shape.n_made, padded});
    mix(each_degree(shape.out, [&](int64_t l) {
          MixTerm<T> own{};
          if (l <= shape.in)
            own = {rows(packed, l, 0), matrix(inputs.maps, self_start(l)), int(padded), int(n_atoms)};
          const MixTerm<T> messages{message_rows(summed, l), matrix(inputs.maps, messages_start(l)),
                                    int(paths[l] * padded), int(shape.n_made)};
          return MixJob<T>{{messages, own}, mixed_rows(trace.scalars, trace.gated, l),
                           int(2 * l + 1), int(mixed_width(l))};
        }),
        shape.n_made);
    const Tensor out = empty({shape.n_made, shape.channels * n_kept});
    run_gate("gate", {trace.scalars, trace.gated, out});
    return out;
  }

  std::vector<Tensor> backward(const DeviceTrace &trace, const Tensor &out_slopes, bool of_nodes) const
  {
    const Tensor scalars = at::empty_like(trace.scalars), gated = at::empty_like(trace.gated);
    run_gate("gate_back", {trace.scalars, trace.gated, out_slopes, scalars, gated});
    const Tensor summed = empty({n_messages() * shape.n_made * padded});
    mix(each_degree(shape.out, [&](int64_t l) {
          const MixTerm<T> given{mixed_rows(scalars, gated, l),
                                 matrix(inputs.transposed, messages_start(l)), int(mixed_width(l)),
                                 int(shape.n_made)};
          return MixJob<T>{{given, {}}, message_rows(summed, l), int(2 * l + 1),
                           int(paths[l] * padded)};
        }),
        shape.n_made);
    const int64_t degree = std::max(shape.in, shape.out), n_sums = (degree + 1) * (degree + 1) + 1;
    const Tensor found = at::zeros({n_blocks, inputs.distances.size(0), n_sums}, like.options());
    Tensor of_features;
    if (of_nodes) {
      const Tensor sent_slopes = at::empty_like(trace.sent), own = at::empty_like(trace.sent);
      run_messages("send_back", n_atoms, {trace.sent, summed, sent_slopes, found});
      mix(each_degree(shape.in, [&](int64_t l) {
            MixTerm<T> given{};
            if (l <= shape.out)
              given = {mixed_rows(scalars, gated, l), matrix(inputs.transposed, self_start(l)),
                       int(mixed_width(l)), int(shape.n_made)};
            return MixJob<T>{{into(inputs.transposed, l, rows(sent_slopes, l, 0)), given},
                             rows(own, l, 0), int(2 * l + 1), int(padded)};
          }),
          n_atoms);
      of_features = empty({n_atoms, shape.channels * n_in});
      move("unpack", own, of_features);
    } else {
      run_messages("send_back_edges", n_atoms, {trace.sent, summed, found});
    }
    const Tensor of_edges = n_blocks == 1 ? found.select(0, 0) : found.sum(0);
    Tensor of_harmonics = of_edges.narrow(1, 0, n_sums - 1);
    const int64_t unused = inputs.harmonics.size(1) - (n_sums - 1);
    if (unused) of_harmonics = at::constant_pad_nd(of_harmonics, {0, unused});
    return {of_features, of_harmonics, of_edges.select(1, n_sums - 1)};
  }

 private:
  const DeviceInputs &inputs;
  const Shape &shape;
  const Tensor &like;
  const int64_t n_atoms;
  const int64_t n_blocks = (shape.channels + WIDTH<T> - 1) / WIDTH<T>, padded = n_blocks * WIDTH<T>;
  const int64_t n_in = (shape.in + 1) * (shape.in + 1), n_kept = (shape.out + 1) * (shape.out + 1);
  const std::vector<int64_t> paths = path_counts(shape);

  Tensor empty(at::IntArrayRef sizes) const { return at::empty(sizes, like.options()); }
  int64_t n_messages() const { return messages_before(shape.out + 1); }
  int64_t messages_before(int64_t degree) const
  {
    int64_t count = 0;
    for (int64_t l = 0; l < degree; ++l) count += (2 * l + 1) * paths[l];
    return count;
  }

  // Where the rows of a degree begin, of (components, n, padded) from the component `first` on.
  T *rows(const Tensor &packed, int64_t degree, int64_t first) const
  {
    return packed.data_ptr<T>() + (degree * degree - first) * packed.size(1) * padded;
  }
  T *message_rows(const Tensor &flat, int64_t degree) const
  {
    return flat.data_ptr<T>() + messages_before(degree) * shape.n_made * padded;
  }
  // What the maps make of a degree: scalars and gates, or what is gated.
  T *mixed_rows(const Tensor &scalars, const Tensor &gated, int64_t degree) const
  {
    return degree == 0 ? scalars.data_ptr<T>() : rows(gated, degree, 1);
  }
  int64_t mixed_width(int64_t degree) const { return degree == 0 ? (shape.out + 1) * padded : padded; }

  // Where a map begins in the flat array of all, whose order is that of `layer_maps`.
  static const T *matrix(const Tensor &maps, int64_t start) { return maps.data_ptr<T>() + start; }
  int64_t messages_start(int64_t degree) const
  {
    int64_t start = (shape.in + 1) * padded * padded;
    for (int64_t l = 0; l < degree; ++l) start += paths[l] * padded * mixed_width(l);
    return start;
  }
  int64_t self_start(int64_t degree) const
  {
    int64_t start = messages_start(shape.out + 1);
    for (int64_t l = 0; l < degree; ++l) start += padded * mixed_width(l);
    return start;
  }
  MixTerm<T> into(const Tensor &maps, int64_t degree, const T *from) const
  {
    return {from, matrix(maps, degree * padded * padded), int(padded), int(n_atoms)};
  }

  template <typename F> static std::vector<MixJob<T>> each_degree(int64_t last, F job_of)
  {
    std::vector<MixJob<T>> jobs;
    for (int64_t degree = 0; degree <= last; ++degree) jobs.push_back(job_of(degree));
    return jobs;
  }
  void mix(const std::vector<MixJob<T>> &jobs, int64_t n_rows) const
  {
    MixJobs<T> all{};
    int64_t panels = 0, most = 0;
    for (const MixJob<T> &job : jobs) {
      all.jobs[all.n_jobs++] = job;
      panels += (job.n_columns + 2 * WIDTH<T> - 1) / (2 * WIDTH<T>);
      most = std::max(most, job.n_components * n_rows);
    }
    all.n_atoms = int(n_rows);
    const int64_t tiles = (most + MIX_ROWS - 1) / MIX_ROWS;
    launch(like, unit_for(like, MIX_SOURCE), "mix", tiles * MIX_THREADS, {&all}, {}, panels);
  }

  void move(const char *kernel, const Tensor &from, const Tensor &to) const
  {
    const int atoms = int(n_atoms), components = int(n_in), channels = int(shape.channels);
    const int width = int(padded);
    launch(like, unit_for(like, GATE_SOURCE), kernel, n_in * n_atoms * padded,
           {&atoms, &components, &channels, &width}, {from, to});
  }
  void run_gate(const char *kernel, const std::vector<Tensor> &tensors) const
  {
    const int atoms = int(shape.n_made), degree = int(shape.out), channels = int(shape.channels);
    const int width = int(padded);
    launch(like, unit_for(like, GATE_SOURCE), kernel, shape.n_made * padded,
           {&atoms, &degree, &channels, &width}, tensors);
  }
  void run_messages(const char *kernel, int64_t atoms, const std::vector<Tensor> &tensors) const
  {
    const auto at = [&](int k) { return inputs.order[k].data_ptr<int32_t>(); };
    const Tensor &table = inputs.table;
    const DeviceLayer<T> layer{
        int(n_atoms), int(shape.n_made), int(inputs.distances.size(0)), int(n_blocks),
        int(inputs.harmonics.size(1)), at(0), at(1), at(2), at(3), at(4), at(5),
        inputs.harmonics.data_ptr<T>(), inputs.distances.data_ptr<T>(),
        {table.data_ptr<T>(), table.size(0), table.stride(0), T(inputs.cutoff),
         T(double(table.size(0) - 1) / inputs.cutoff)}};
    const std::string degrees = " -DDEGREE_IN=" + std::to_string(shape.in) +
        " -DDEGREE_OUT=" + std::to_string(shape.out);
    launch(like, unit_for(like, MESSAGES_SOURCE, degrees), kernel, atoms * padded, {&layer}, tensors);
  }
};

}    // namespace

Tensor device_interaction(const DeviceInputs &inputs, const Tensor &nodes, DeviceTrace &trace)
{
  FUSED_BY_TYPE(nodes, {
    return DeviceInteraction<T>(inputs, nodes, nodes.size(0)).forward(nodes, trace);
  });
}

std::vector<Tensor> device_interaction_back(const DeviceInputs &inputs, const DeviceTrace &trace,
                                            const Tensor &out_slopes, bool of_nodes)
{
  FUSED_BY_TYPE(trace.sent, {
    return DeviceInteraction<T>(inputs, trace.sent, trace.sent.size(1))
        .backward(trace, out_slopes, of_nodes);
  });
}

}    // namespace fused
