// SPDX-License-Identifier: GPL-2.0-or-later
// Which atoms and edges a rank's own energies depend on, in the order that the model takes them.
#ifndef FISHER_MLIP_SHELLS_H
#define FISHER_MLIP_SHELLS_H

#include <cstdint>
#include <vector>

namespace LAMMPS_NS {
class NeighList;
}

namespace fisher_mlip {

// Shell 0 are the rank's own atoms, shell h those that h edges and no fewer lead to. An edge belongs
// to the shell of its receiver: layer k of L needs those up to shell L - k, no others are made.
//
// Images of one atom have the same features. The first that is reached stands for all of them, so
// that a ghost of an own atom costs nothing: one rank alone has no ghosts to evaluate.
class Shells {
 public:
  // Build from positions x (Å), species of every own and ghost atom (-1: not the model's), the first
  // image of the atom that each of them is, and a full neighbor list that has rows of ghosts.
  void build(const double *const *x, const std::vector<int> &species_of_atom,
             const std::vector<int> &first_image, int n_own, const LAMMPS_NS::NeighList &list,
             double cutoff, int n_layers);

  int n_atoms() const { return static_cast<int>(atoms.size()); }
  int n_edges() const { return static_cast<int>(senders.size()); }
  double bytes() const;

  std::vector<int> atoms;               // place in LAMMPS's arrays
  std::vector<int64_t> species;         // by place here
  std::vector<int64_t> senders, receivers;    // places here
  std::vector<double> vectors;          // (n_edges, 3), Å, from receiver to sender
  std::vector<int64_t> atoms_within;    // up to each shell, n_layers + 1 of them
  std::vector<int64_t> edges_within;    // n_layers of them

 private:
  void add_edges_of(int receiver, const double *const *x, const std::vector<int> &species_of_atom,
                    const std::vector<int> &first_image, const LAMMPS_NS::NeighList &list,
                    double cutoff2);
  int64_t place_of(int atom, int first_image, int species_of_it);

  std::vector<int64_t> place;    // by first image, -1: not in a shell
};

}    // namespace fisher_mlip

#endif
