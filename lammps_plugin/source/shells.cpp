// SPDX-License-Identifier: GPL-2.0-or-later
#include "shells.h"

#include "lmptype.h"
#include "neigh_list.h"

namespace fisher_mlip {

void Shells::build(const double *const *x, const std::vector<int> &species_of_atom,
                   const std::vector<int> &first_image, int n_own,
                   const LAMMPS_NS::NeighList &list, double cutoff, int n_layers)
{
  for (auto *numbers : {&species, &senders, &receivers, &atoms_within, &edges_within})
    numbers->clear();
  atoms.clear();
  vectors.clear();
  place.assign(species_of_atom.size(), -1);
  for (int i = 0; i < n_own; i++)
    if (species_of_atom[i] >= 0) place_of(i, first_image[i], species_of_atom[i]);
  atoms_within.push_back(n_atoms());
  int first = 0;
  for (int shell = 0; shell < n_layers; shell++) {
    const int last = n_atoms();
    for (int receiver = first; receiver < last; receiver++)
      add_edges_of(receiver, x, species_of_atom, first_image, list, cutoff * cutoff);
    first = last;
    atoms_within.push_back(n_atoms());
    edges_within.push_back(n_edges());
  }
}

void Shells::add_edges_of(int receiver, const double *const *x,
                          const std::vector<int> &species_of_atom,
                          const std::vector<int> &first_image, const LAMMPS_NS::NeighList &list,
                          double cutoff2)
{
  const int i = atoms[receiver];
  const int *neighbors = list.firstneigh[i];
  const int n_neighbors = list.numneigh[i];
  for (int k = 0; k < n_neighbors; k++) {
    const int j = neighbors[k] & NEIGHMASK;
    if (species_of_atom[j] < 0) continue;
    const double vector[3] = {x[j][0] - x[i][0], x[j][1] - x[i][1], x[j][2] - x[i][2]};
    const double square = vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2];
    if (square >= cutoff2) continue;
    senders.push_back(place_of(j, first_image[j], species_of_atom[j]));
    receivers.push_back(receiver);
    vectors.insert(vectors.end(), vector, vector + 3);
  }
}

int64_t Shells::place_of(int atom, int first_image, int species_of_it)
{
  if (place[first_image] < 0) {
    place[first_image] = n_atoms();
    atoms.push_back(atom);
    species.push_back(species_of_it);
  }
  return place[first_image];
}

double Shells::bytes() const
{
  const auto longs = species.capacity() + senders.capacity() + receivers.capacity() +
      place.capacity() + atoms_within.capacity() + edges_within.capacity();
  return sizeof(int64_t) * longs + sizeof(double) * vectors.capacity() +
      sizeof(int) * atoms.capacity();
}

}    // namespace fisher_mlip
