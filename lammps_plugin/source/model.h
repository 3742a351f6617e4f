// SPDX-License-Identifier: GPL-2.0-or-later
// The exported model behind a wall: no header of torch is seen by LAMMPS's, nor the other way round.
#ifndef FISHER_MLIP_MODEL_H
#define FISHER_MLIP_MODEL_H

#include <memory>
#include <string>
#include <vector>

namespace fisher_mlip {

class Shells;

class Model {
 public:
  // Load a script with its manifest onto "cpu" or "cuda" (with the rank's place on its node).
  // The kernel is "fused", "torchscript", or "auto": fused where that can be.
  // Throws std::runtime_error with one sentence.
  Model(const std::string &path, const std::string &device, const std::string &kernel,
        int local_rank);
  ~Model();

  // Energies (eV) of the own atoms and slopes (n_edges, 3) (eV/Å) of their sum along the edges.
  void evaluate(const Shells &shells, std::vector<double> &energies, std::vector<double> &slopes);

  // Begin with the sampled heads over these shells; then the slopes of each of them in turn.
  void begin_samples(const Shells &shells);
  void slopes_of_sample(int sample, std::vector<double> &slopes);
  void end_samples();

  double cutoff = 0.0;              // Å
  int n_layers = 0;
  int n_samples = 0;
  std::string dtype;
  std::string weights_hash;         // the first letters of it
  std::string device_name;
  std::string kernel;               // which runs
  std::string why_not_fused;        // empty where it is fused, or was not asked for
  std::vector<int> elements;        // atomic numbers, ascending

 private:
  struct Torch;
  std::unique_ptr<Torch> torch;

  void choose_kernel(const std::string &path, const std::string &wanted, const std::string &fused);
  void take_fused(const std::string &fused);
  std::vector<double> energies_of_a_pair();    // of two atoms half a cutoff apart, eV
  void read_manifest(const std::string &path, const std::string &text);
};

void set_threads(int n_threads);
int get_threads();

// Have glibc keep the memory of large tensors, which it otherwise maps from the kernel and unmaps
// again in every operation: a third of a step.
void keep_large_blocks();

}    // namespace fisher_mlip

#endif
