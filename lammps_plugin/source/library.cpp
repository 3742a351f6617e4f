// SPDX-License-Identifier: GPL-2.0-or-later
// What the plugin finds in this library once somebody asks for the style.
#include "pair_fisher_mlip.h"

extern "C" __attribute__((visibility("default"))) void *fisher_mlip_make_pair(void *lmp)
{
  return static_cast<LAMMPS_NS::Pair *>(
      new LAMMPS_NS::PairFisherMlip(static_cast<LAMMPS_NS::LAMMPS *>(lmp)));
}
