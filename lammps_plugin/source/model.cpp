// SPDX-License-Identifier: GPL-2.0-or-later
#include "model.h"

#include "manifest.h"
#include "shells.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/cuda.h>
#include <torch/script.h>

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace fisher_mlip {

namespace {

constexpr const char *MANIFEST = "manifest.json";
constexpr const char *FUSED = "fused.pt";
constexpr double SAME = 1e-4;    // eV, or relative where energies are larger

// The operators that a fused script is made of register themselves when their library is loaded.
std::string load_operators()
{
  if (dlopen(FISHER_MLIP_OPERATORS, RTLD_NOW | RTLD_LOCAL)) return "";
  const char *reason = dlerror();
  return std::string("the fused operators are not there: ") + (reason ? reason : "?");
}

torch::Device device_for(const std::string &name, int local_rank)
{
  if (name == "cpu") return {torch::kCPU};
  const auto count = static_cast<int>(torch::cuda::device_count());
  if (count == 0)
    throw std::runtime_error("'device cuda' needs a GPU that torch sees, found none: 'device cpu'");
  return {torch::kCUDA, static_cast<torch::DeviceIndex>(local_rank % count)};
}

torch::Tensor whole_numbers(const std::vector<int64_t> &values, const torch::Device &device)
{
  const auto count = static_cast<int64_t>(values.size());
  return torch::tensor(at::ArrayRef<int64_t>(values.data(), count), torch::kInt64).to(device);
}

std::string first_line(const std::string &reason)
{
  const auto start = reason.find_first_not_of(" \n");
  const std::string words = start == std::string::npos ? "" : reason.substr(start);
  return words.substr(0, words.find('\n'));
}

std::runtime_error cannot_load(const std::string &path, const std::string &reason)
{
  return std::runtime_error("torch cannot load '" + path + "' (expected a model.lmp.pt of " +
                            "'fisher-mlip export --target lammps'): " + first_line(reason));
}

}    // namespace

struct Model::Torch {
  torch::jit::Module script;
  torch::Device device{torch::kCPU};
  torch::Tensor vectors, deviations;

  // The arguments of the script's methods; the vectors want a gradient.
  std::vector<c10::IValue> inputs(const Shells &shells)
  {
    const int64_t n_edges = shells.n_edges();
    vectors = torch::empty({n_edges, 3}, torch::kFloat64);
    std::copy(shells.vectors.begin(), shells.vectors.end(), vectors.data_ptr<double>());
    vectors = vectors.to(device).set_requires_grad(true);
    return {whole_numbers(shells.species, device), vectors,
            whole_numbers(shells.senders, device), whole_numbers(shells.receivers, device),
            c10::List<int64_t>(shells.atoms_within), c10::List<int64_t>(shells.edges_within)};
  }

  void slopes_of(const torch::Tensor &sum, bool keep, std::vector<double> &slopes) const
  {
    slopes.assign(3 * vectors.size(0), 0.0);
    if (slopes.empty() || !sum.requires_grad()) return;
    const auto found = torch::autograd::grad({sum}, {vectors}, {}, keep, false, true)[0];
    if (!found.defined()) return;
    const auto here = found.to(torch::kCPU, torch::kFloat64).contiguous();
    std::copy_n(here.data_ptr<double>(), here.numel(), slopes.data());
  }
};

Model::Model(const std::string &path, const std::string &device, const std::string &wanted,
             int local_rank) :
    device_name(device), torch(new Torch)
{
  if (!std::ifstream(path).good()) throw std::runtime_error("there is no file '" + path + "'");
  std::unordered_map<std::string, std::string> extra{{MANIFEST, ""}, {FUSED, ""}};
  torch->device = device_for(device, local_rank);
  try {
    torch->script = torch::jit::load(path, torch->device, extra);
    torch->script.eval();
  } catch (const c10::Error &failure) {
    throw cannot_load(path, failure.what_without_backtrace());
  } catch (const std::exception &failure) {
    throw cannot_load(path, failure.what());
  }
  read_manifest(path, extra[MANIFEST]);
  choose_kernel(path, wanted, extra[FUSED]);
  if (torch->device.is_cuda()) device_name = torch->device.str();
}

Model::~Model() = default;

void Model::choose_kernel(const std::string &path, const std::string &wanted,
                          const std::string &fused)
{
  kernel = "torchscript";
  if (wanted == "torchscript") return;
  if (fused.empty()) why_not_fused = "the model was exported without: export it again";
  else why_not_fused = load_operators();
  if (why_not_fused.empty()) take_fused(fused);
  if (wanted == "fused" && !why_not_fused.empty())
    throw std::runtime_error("'kernel fused' cannot be with '" + path + "': " + why_not_fused);
}

void Model::take_fused(const std::string &fused)
{
  // On a GPU the operators are compiled where they first run: they are tried beside the script.
  const bool on_gpu = torch->device.is_cuda();
  const torch::jit::Module script = torch->script;
  try {
    const auto expected = on_gpu ? energies_of_a_pair() : std::vector<double>{};
    std::istringstream content(fused);
    torch->script = torch::jit::load(content, torch->device);
    torch->script.eval();
    const auto found = on_gpu ? energies_of_a_pair() : std::vector<double>{};
    for (std::size_t k = 0; k < found.size(); k++)
      if (!(std::abs(found[k] - expected[k]) <= SAME * std::max(1.0, std::abs(expected[k]))))
        why_not_fused = "they give other energies on this GPU than the script";
  } catch (const c10::Error &failure) {
    why_not_fused = "they do not run here: " + first_line(failure.what_without_backtrace());
  } catch (const std::exception &failure) {
    why_not_fused = std::string("they do not run here: ") + first_line(failure.what());
  }
  if (why_not_fused.empty()) kernel = "fused";
  else torch->script = script;
}

std::vector<double> Model::energies_of_a_pair()
{
  const double half = 0.5 * cutoff;
  Shells pair;
  pair.species = {0, static_cast<int64_t>(elements.size()) - 1};
  pair.senders = {1, 0};
  pair.receivers = {0, 1};
  pair.vectors = {half, 0.0, 0.0, -half, 0.0, 0.0};
  pair.atoms_within.assign(n_layers + 1, 2);
  pair.edges_within.assign(n_layers, 2);
  std::vector<double> energies, slopes;
  evaluate(pair, energies, slopes);
  return energies;
}

void Model::read_manifest(const std::string &path, const std::string &text)
{
  const Manifest manifest = parse_manifest(path, text);
  cutoff = manifest.cutoff;
  n_layers = manifest.n_layers;
  n_samples = manifest.n_samples;
  dtype = manifest.dtype;
  weights_hash = manifest.weights_hash.substr(0, 12);
  elements = manifest.elements;
}

void Model::evaluate(const Shells &shells, std::vector<double> &energies,
                     std::vector<double> &slopes)
{
  // As it is: the optimizer fuses what it has seen after some calls, which changes last bits.
  const torch::jit::GraphOptimizerEnabledGuard unoptimized(false);
  const auto found = torch->script.forward(torch->inputs(shells)).toTensor();
  torch->slopes_of(found.sum(), false, slopes);
  const auto here = found.detach().to(torch::kCPU, torch::kFloat64).contiguous();
  energies.assign(here.data_ptr<double>(), here.data_ptr<double>() + here.numel());
}

void Model::begin_samples(const Shells &shells)
{
  const torch::jit::GraphOptimizerEnabledGuard unoptimized(false);
  const auto method = torch->script.get_method("sampled_deviations");
  torch->deviations = method(torch->inputs(shells)).toTensor().sum(0);
}

void Model::slopes_of_sample(int sample, std::vector<double> &slopes)
{
  const torch::jit::GraphOptimizerEnabledGuard unoptimized(false);
  torch->slopes_of(torch->deviations[sample], true, slopes);
}

void Model::end_samples()
{
  torch->deviations = torch::Tensor();
}

void set_threads(int n_threads)
{
  at::set_num_threads(n_threads);
}

int get_threads()
{
  return at::get_num_threads();
}

void keep_large_blocks()
{
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 1 << 28);
#endif
}

}    // namespace fisher_mlip
