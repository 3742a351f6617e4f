// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef FISHER_MLIP_MANIFEST_H
#define FISHER_MLIP_MANIFEST_H

#include <string>
#include <vector>

namespace fisher_mlip {

struct Manifest {
  double cutoff;                // Å
  int n_layers, n_samples;
  std::string dtype, weights_hash;
  std::vector<int> elements;    // atomic numbers, ascending
};

// Read what `fisher-mlip export --target lammps` wrote into the archive of a model.
// Throws std::runtime_error with one sentence.
Manifest parse_manifest(const std::string &path, const std::string &text);

// The atomic number of a chemical symbol, 0 if there is no such element.
int atomic_number(const std::string &symbol);
std::string symbol_of(int atomic_number);

// About, 2 Z (1 + Z/300): within 13 % from helium to lawrencium; of hydrogen it is right.
double mass_of(int atomic_number);

}    // namespace fisher_mlip

#endif
