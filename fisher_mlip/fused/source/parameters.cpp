// From a network's parameters to what the layers in training read, and back.
#include "lanes.h"
#include "operators.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace fused {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

template <typename T> Tensor flat_of(const variable_list &parts, int64_t size, const Tensor &like)
{
  Tensor flat = at::empty({size}, like.options());
  T *to = flat.data_ptr<T>();
  for (const Tensor &part : parts) {
    const Tensor whole = part.contiguous();
    to = std::copy_n(whole.data_ptr<T>(), whole.numel(), to);
  }
  return flat;
}

template <typename T>
void pick_numbers(int64_t n, const T *from, const int32_t *index, const T *scale, T *to)
{
  for (int64_t k = 0; k < n; ++k) to[k] = from[index[k]] * scale[k];
}

int64_t total_of(const variable_list &parts)
{
  int64_t total = 0;
  for (const Tensor &part : parts) total += part.numel();
  return total;
}

struct Pick : torch::autograd::Function<Pick> {
  static variable_list forward(AutogradContext *ctx, at::TensorList parameters, const Tensor &index,
                               const Tensor &scale, const Tensor &place, const Tensor &place_scale,
                               const std::vector<int64_t> &sizes)
  {
    const variable_list parts(parameters.begin(), parameters.end());
    TORCH_CHECK(total_of(parts) == place.size(0), "expected parameters of ", place.size(0),
                " numbers, found ", total_of(parts));
    variable_list made;
    FUSED_BY_TYPE(scale, {
      const Tensor flat = flat_of<T>(parts, place.size(0), scale);
      int64_t start = 0;
      for (const int64_t size : sizes) {
        made.push_back(at::empty({size}, scale.options()));
        pick_numbers(size, flat.data_ptr<T>(), index.data_ptr<int32_t>() + start,
                     scale.data_ptr<T>() + start, made.back().data_ptr<T>());
        start += size;
      }
    });
    variable_list saved{place, place_scale, index};
    for (const Tensor &part : parts) saved.push_back(part);
    ctx->save_for_backward(saved);
    return made;
  }

  static variable_list backward(AutogradContext *ctx, variable_list slopes)
  {
    const auto saved = ctx->get_saved_variables();
    const Tensor &place = saved[0], &scale = saved[1];
    variable_list found;
    FUSED_BY_TYPE(scale, {
      const Tensor flat = flat_of<T>(slopes, saved[2].size(0), scale);
      int64_t start = 0;
      for (size_t k = 3; k < saved.size(); ++k) {
        found.push_back(at::empty_like(saved[k], at::MemoryFormat::Contiguous));
        pick_numbers(found.back().numel(), flat.data_ptr<T>(), place.data_ptr<int32_t>() + start,
                     scale.data_ptr<T>() + start, found.back().data_ptr<T>());
        start += found.back().numel();
      }
    });
    found.resize(found.size() + 5);
    return found;
  }
};

// `bessel_basis` with its slopes, (n_edges, 2, n), by turning a vector of length one.
template <typename T> void bessel(double r, double cutoff, int64_t n, T *values, T *slopes)
{
  const double wave = M_PI / cutoff, norm = std::sqrt(2.0 / cutoff) / r;
  const double cosine = std::cos(wave * r), sine = std::sin(wave * r);
  double x = cosine, y = sine;
  for (int64_t k = 0; k < n; ++k) {
    values[k] = T(norm * y);
    slopes[k] = T(norm * (double(k + 1) * wave * x - y / r));
    const double turned = x * cosine - y * sine;
    y = x * sine + y * cosine, x = turned;
  }
}

// `smooth_envelope` with its slope.
template <typename T> void envelope(double r, double cutoff, double scale, T *both)
{
  const double u = std::min(r / cutoff, 1.0 - 1e-6), gap = 1.0 / (1.0 - u * u);
  const double value = r < cutoff ? scale * std::exp(1.0 - gap) : 0.0;
  both[0] = T(value), both[1] = T(-2.0 * value * gap * gap * u / cutoff);
}

template <typename T> FUSED_INLINE Lanes<T> load_some(const T *from, int64_t n)
{
  if (n >= WIDTH<T>) return load(from);
  Lanes<T> lanes{};
  __builtin_memcpy(&lanes, from, n * sizeof(T));
  return lanes;
}
template <typename T> FUSED_INLINE void store_some(T *to, Lanes<T> lanes, int64_t n)
{
  if (n >= WIDTH<T>) store(to, lanes);
  else __builtin_memcpy(to, &lanes, n * sizeof(T));
}

// The hidden layer's functions h of an edge with their slopes, times the envelope, (2, n) of what
// goes into them, (2, n); h = x sigmoid(x).
template <typename T> void hidden(int64_t n, const T *x, const T *d, const T *fade, T *values, T *slopes)
{
  for (int64_t k = 0; k < n; k += WIDTH<T>) {
    const Lanes<T> given = load_some(x + k, n - k), part = sigmoid<T>(given), made = given * part;
    const Lanes<T> steep = load_some(d + k, n - k) * (part + made * (T(1) - part));
    store_some(values + k, made * fade[0], n - k);
    store_some(slopes + k, steep * fade[0] + made * fade[1], n - k);
  }
}

// The slopes of what went in, in its place.
template <typename T>
void hidden_back(int64_t n, T *x, T *d, const T *fade, const T *of_values, const T *of_slopes)
{
  for (int64_t k = 0; k < n; k += WIDTH<T>) {
    const Lanes<T> given = load_some(x + k, n - k), part = sigmoid<T>(given);
    const Lanes<T> change = part * (T(1) - part), first = part + given * change;
    const Lanes<T> second = change * (T(2) + given * (T(1) - T(2) * part));
    const Lanes<T> g = load_some(of_values + k, n - k), h = load_some(of_slopes + k, n - k);
    const Lanes<T> of_steep = h * fade[0];
    const Lanes<T> of_x = (g * fade[0] + h * fade[1]) * first + of_steep * second * load_some(d + k, n - k);
    store_some(x + k, of_x, n - k), store_some(d + k, of_steep * first, n - k);
  }
}

template <typename T, typename F> void each_edge(int64_t n_edges, F f)
{
  at::parallel_for(0, n_edges, 256, [&](int64_t begin, int64_t end) {
    for (int64_t edge = begin; edge < end; ++edge) f(edge);
  });
}

// The radial functions of every layer: distances -> Bessel functions -> a hidden layer -> rows.
struct RadialRows : torch::autograd::Function<RadialRows> {
  static variable_list forward(AutogradContext *ctx, const Tensor &distances, at::TensorList into,
                               at::TensorList out, const Tensor &scale, double cutoff)
  {
    const int64_t n_edges = distances.size(0), width = into[0].size(0), n_basis = into[0].size(1);
    const int64_t n_layers = int64_t(into.size()), all = n_layers * width;
    const auto options = distances.options();
    Tensor basis = at::empty({2 * n_edges, n_basis}, options), fade = at::empty({n_edges, 2}, options);
    FUSED_BY_TYPE(distances, {
      const T *r = distances.data_ptr<T>();
      const double factor = scale.item<double>();
      each_edge<T>(n_edges, [&, b = basis.data_ptr<T>(), c = fade.data_ptr<T>()](int64_t edge) {
        T *own = b + 2 * edge * n_basis;
        bessel(r[edge], cutoff, n_basis, own, own + n_basis);
        envelope(r[edge], cutoff, factor, c + 2 * edge);
      });
    });
    const Tensor given = at::mm(basis, at::cat(into).t());    // (2 n_edges, all)
    variable_list saved{basis, fade, given}, made;
    for (int64_t layer = 0; layer < n_layers; ++layer) {
      const Tensor matrix = out[layer].reshape({-1, width});
      Tensor own = at::empty({2 * n_edges, width}, options);
      FUSED_BY_TYPE(distances, {
        const T *from = given.data_ptr<T>() + layer * width;
        each_edge<T>(n_edges, [&, c = fade.data_ptr<T>(), to = own.data_ptr<T>()](int64_t edge) {
          const T *x = from + 2 * edge * all;
          T *values = to + 2 * edge * width;
          hidden(width, x, x + all, c + 2 * edge, values, values + width);
        });
      });
      made.push_back(at::mm(own, matrix.t()).view({n_edges, 2, -1}));
      saved.push_back(own), saved.push_back(matrix);
    }
    ctx->save_for_backward(saved);
    return made;
  }

  static variable_list backward(AutogradContext *ctx, variable_list slopes)
  {
    const auto saved = ctx->get_saved_variables();
    const Tensor &basis = saved[0], &fade = saved[1];
    const int64_t n_edges = fade.size(0), n_layers = int64_t(slopes.size());
    const int64_t all = saved[2].size(1), width = all / n_layers;
    Tensor given = saved[2].clone();
    variable_list of_out;
    for (int64_t layer = 0; layer < n_layers; ++layer) {
      const Tensor &own = saved[3 + 2 * layer], &matrix = saved[4 + 2 * layer];
      const Tensor of_rows = slopes[layer].reshape({2 * n_edges, -1});
      of_out.push_back(at::mm(of_rows.t(), own).flatten());
      const Tensor of_own = at::mm(of_rows, matrix);
      FUSED_BY_TYPE(fade, {
        T *from = given.data_ptr<T>() + layer * width;
        each_edge<T>(n_edges, [&, c = fade.data_ptr<T>(), g = of_own.data_ptr<T>()](int64_t edge) {
          T *x = from + 2 * edge * all;
          const T *of_values = g + 2 * edge * width;
          hidden_back(width, x, x + all, c + 2 * edge, of_values, of_values + width);
        });
      });
    }
    const Tensor none;
    variable_list found{none};
    for (const Tensor &of_into : at::mm(given.t(), basis).split(width)) found.push_back(of_into);
    found.insert(found.end(), of_out.begin(), of_out.end());
    found.insert(found.end(), {none, none});
    return found;
  }
};

}    // namespace

std::vector<Tensor> pick(std::vector<Tensor> parameters, const Tensor &index, const Tensor &scale,
                         const Tensor &place, const Tensor &place_scale, std::vector<int64_t> sizes)
{
  return Pick::apply(at::TensorList(parameters), index, scale, place, place_scale, sizes);
}

std::vector<Tensor> radial_rows(const Tensor &distances, std::vector<Tensor> into,
                                std::vector<Tensor> out, const Tensor &scale, double cutoff)
{
  return RadialRows::apply(distances, at::TensorList(into), at::TensorList(out), scale, cutoff);
}

}    // namespace fused
