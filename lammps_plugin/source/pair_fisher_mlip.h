// SPDX-License-Identifier: GPL-2.0-or-later
// pair_style fisher_mlip: a model of `fisher-mlip export --target lammps`, domain-decomposed.
#ifndef LMP_PAIR_FISHER_MLIP_H
#define LMP_PAIR_FISHER_MLIP_H

#include "pair.h"
#include "shells.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fisher_mlip {
class Model;
}

namespace LAMMPS_NS {

class PairFisherMlip : public Pair {
 public:
  explicit PairFisherMlip(class LAMMPS *);
  ~PairFisherMlip() override;

  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void compute(int, int) override;
  void *extract(const char *, int &) override;
  void *extract_peratom(const char *, int &) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;
  double memory_usage() override;

 private:
  void allocate();
  std::unique_ptr<fisher_mlip::Model> load_model(const std::string &);
  std::vector<int> species_of(int, char **, const std::vector<int> &);
  void set_pairs();
  void prepare_process() const;
  void require_all_pairs() const;
  void require_own_pairs() const;
  void require_ghosts();
  void compare_masses() const;
  bool knows_images() const;
  void find_images();
  void build_shells();
  void run_model(const std::function<void()> &);
  void add_forces(const std::vector<double> &);
  void add_energies(const std::vector<double> &);
  void add_virial(const std::vector<double> &);
  void compute_uncertainty();
  void add_sample(const std::vector<double> &);

  std::unique_ptr<fisher_mlip::Model> model;
  fisher_mlip::Shells shells;
  std::vector<int> species_of_type;    // -1: not the model's
  std::vector<int> species_of_atom;
  std::vector<int> first_image;        // by atom
  std::vector<double> energies, slopes;
  std::string device, kernel;
  int threads;              // 0: OMP_NUM_THREADS, or 1
  double energy_unit;       // eV in the input's units

  int uncertainty_flag;     // set by `fix pair` in the steps that want it
  bool has_uncertainty;
  std::vector<double> uncertainty;       // by atom
  std::vector<double> sample_forces;     // (own and ghost atoms, 3), of one sampled head
};

}    // namespace LAMMPS_NS

#endif
