// SPDX-License-Identifier: GPL-2.0-or-later
// What happens in a step: shells, the model, and what its slopes mean to LAMMPS.
#include "pair_fisher_mlip.h"

#include "model.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "update.h"

#include <cmath>
#include <cstring>
#include <exception>
#include <numeric>
#include <string>
#include <unordered_map>

using namespace LAMMPS_NS;

void PairFisherMlip::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  require_own_pairs();
  build_shells();
  // A rank without atoms has nothing to evaluate.
  if (shells.n_atoms() > 0) {
    run_model([this] { model->evaluate(shells, energies, slopes); });
    add_forces(slopes);
    add_energies(energies);
    if (vflag_either) add_virial(slopes);
  }
  // All ranks communicate, also those without atoms.
  has_uncertainty = uncertainty_flag != 0;
  if (has_uncertainty) compute_uncertainty();
}

// Have what torch throws end the run in words; LAMMPS's own errors are exceptions too.
void PairFisherMlip::run_model(const std::function<void()> &work)
{
  std::string reason;
  try {
    work();
    return;
  } catch (const std::exception &failure) {
    reason = failure.what();
  }
  error->one(FLERR, "pair_style fisher_mlip: the model failed at step {}: {}", update->ntimestep,
             reason.substr(0, reason.find('\n')));
}

// Which of the own and ghost atoms are one atom: those with the same ID.
void PairFisherMlip::find_images()
{
  const int n_all = atom->nlocal + atom->nghost;
  first_image.resize(n_all);
  std::iota(first_image.begin(), first_image.end(), 0);
  if (!knows_images()) return;
  std::unordered_map<tagint, int> seen;
  seen.reserve(2 * static_cast<std::size_t>(n_all));
  for (int i = 0; i < n_all; i++) {
    const auto [known, is_new] = seen.try_emplace(atom->tag[i], i);
    first_image[i] = known->second;
    // LAMMPS itself does not look whether IDs of a data file are unique.
    if (!is_new && (i < atom->nlocal || atom->type[i] != atom->type[known->second]))
      error->one(FLERR, "pair_style fisher_mlip: two atoms have the ID {}: expected unique IDs "
                        "(reset_atoms id makes them)", atom->tag[i]);
  }
}

void PairFisherMlip::build_shells()
{
  const int n_all = atom->nlocal + atom->nghost;
  species_of_atom.resize(n_all);
  for (int i = 0; i < n_all; i++) species_of_atom[i] = species_of_type[atom->type[i]];
  find_images();
  shells.build(atom->x, species_of_atom, first_image, atom->nlocal, *list, model->cutoff,
               model->n_layers);
}

// U depends on x through x_sender - x_receiver.
void PairFisherMlip::add_forces(const std::vector<double> &along)
{
  double **f = atom->f;
  for (int e = 0; e < shells.n_edges(); e++) {
    double *on_receiver = f[shells.atoms[shells.receivers[e]]];
    double *on_sender = f[shells.atoms[shells.senders[e]]];
    for (int d = 0; d < 3; d++) {
      const double pull = energy_unit * along[3 * e + d];
      on_receiver[d] += pull;
      on_sender[d] -= pull;
    }
  }
}

void PairFisherMlip::add_energies(const std::vector<double> &of_atoms)
{
  double sum = 0.0;
  for (std::size_t k = 0; k < of_atoms.size(); k++) {
    const double energy = energy_unit * of_atoms[k];
    sum += energy;
    if (eflag_atom) eatom[shells.atoms[k]] += energy;
  }
  // In every step, also in those that want no energy.
  if (!std::isfinite(sum))
    error->one(FLERR, "pair_style fisher_mlip: the energy at step {} is not finite: the run is "
                      "unstable", update->ntimestep);
  if (eflag_global) eng_vdwl += sum;
}

// The sum over edges of -r (x) dU/dr; an edge's share of it goes to its two atoms by halves.
// Of a whole rank it is symmetric, since energies do not change when all is turned; of an edge of a
// many-body potential it is not, and its symmetric part is taken.
void PairFisherMlip::add_virial(const std::vector<double> &along)
{
  static constexpr int ROW[6] = {0, 1, 2, 0, 0, 1}, COLUMN[6] = {0, 1, 2, 1, 2, 2};
  for (int e = 0; e < shells.n_edges(); e++) {
    const double *r = &shells.vectors[3 * e], *slope = &along[3 * e];
    const int i = shells.atoms[shells.receivers[e]], j = shells.atoms[shells.senders[e]];
    for (int k = 0; k < 6; k++) {
      const int a = ROW[k], b = COLUMN[k];
      const double share = -0.5 * energy_unit * (r[a] * slope[b] + r[b] * slope[a]);
      if (vflag_global) virial[k] += share;
      if (vflag_atom) {
        vatom[i][k] += 0.5 * share;
        vatom[j][k] += 0.5 * share;
      }
    }
  }
}

// The standard deviation of each atom's force over the sampled heads. A force is whole only after
// its parts on ghosts have come home, so that each head is communicated before it is squared.
void PairFisherMlip::compute_uncertainty()
{
  uncertainty.assign(atom->nmax, 0.0);
  if (shells.n_atoms() > 0) run_model([this] { model->begin_samples(shells); });
  for (int sample = 0; sample < model->n_samples; sample++) {
    sample_forces.assign(3 * static_cast<std::size_t>(atom->nlocal + atom->nghost), 0.0);
    if (shells.n_atoms() > 0) {
      run_model([this, sample] { model->slopes_of_sample(sample, slopes); });
      add_sample(slopes);
    }
    comm->reverse_comm(this);
    for (int i = 0; i < atom->nlocal; i++)
      for (int d = 0; d < 3; d++) uncertainty[i] += std::pow(sample_forces[3 * i + d], 2);
  }
  model->end_samples();
  for (int i = 0; i < atom->nlocal; i++)
    uncertainty[i] = energy_unit * std::sqrt(uncertainty[i] / model->n_samples);
}

void PairFisherMlip::add_sample(const std::vector<double> &along)
{
  for (int e = 0; e < shells.n_edges(); e++) {
    const auto i = 3 * shells.atoms[shells.receivers[e]], j = 3 * shells.atoms[shells.senders[e]];
    for (int d = 0; d < 3; d++) {
      sample_forces[i + d] += along[3 * e + d];
      sample_forces[j + d] -= along[3 * e + d];
    }
  }
}

int PairFisherMlip::pack_reverse_comm(int n, int first, double *buffer)
{
  std::copy_n(&sample_forces[3 * first], 3 * n, buffer);
  return 3 * n;
}

void PairFisherMlip::unpack_reverse_comm(int n, int *places, double *buffer)
{
  for (int k = 0; k < n; k++)
    for (int d = 0; d < 3; d++) sample_forces[3 * places[k] + d] += buffer[3 * k + d];
}

// `fix u all pair 100 fisher_mlip uncertainty 1`
void *PairFisherMlip::extract(const char *name, int &dim)
{
  dim = 0;
  if (std::strcmp(name, "uncertainty_flag") != 0 || !model) return nullptr;
  if (model->n_samples == 0)
    error->all(FLERR, "pair_style fisher_mlip: the model carries no sampled heads: expected one of "
                      "a finetuned model for its uncertainty");
  return &uncertainty_flag;
}

void *PairFisherMlip::extract_peratom(const char *name, int &columns)
{
  if (std::strcmp(name, "uncertainty") != 0) return nullptr;
  columns = 0;
  return has_uncertainty ? uncertainty.data() : nullptr;
}
