// SPDX-License-Identifier: GPL-2.0-or-later
// What LAMMPS asks of a pair style before the first step: options, the model, lists, ghosts.
//
// Each rank evaluates the energies of its own atoms as a function of the edges among them and the
// ghosts around them; the ghosts reach n_layers cutoffs beyond its domain. Forces on ghosts go back
// to their owners in LAMMPS's ordinary reverse communication: no communication between layers.
#include "pair_fisher_mlip.h"

#include "manifest.h"
#include "model.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

using namespace LAMMPS_NS;

// The tests build the style once with a layer missing, which their comparison must catch.
#ifndef FISHER_MLIP_MISSING_LAYERS
#define FISHER_MLIP_MISSING_LAYERS 0
#endif

namespace {

int rank_on_node(MPI_Comm world)
{
  MPI_Comm node;
  int rank = 0;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  MPI_Comm_rank(node, &rank);
  MPI_Comm_free(&node);
  return rank;
}

}    // namespace

PairFisherMlip::PairFisherMlip(LAMMPS *lmp) :
    Pair(lmp), device("cpu"), kernel("auto"), threads(0), energy_unit(1.0), uncertainty_flag(0),
    has_uncertainty(false)
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  ghostneigh = 1;
  no_virial_fdotr_compute = 1;
  centroidstressflag = CENTROID_NOTAVAIL;
  comm_reverse = 3;
}

PairFisherMlip::~PairFisherMlip()
{
  if (copymode || !allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
  memory->destroy(cutghost);
}

void PairFisherMlip::allocate()
{
  allocated = 1;
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  memory->create(cutghost, n, n, "pair:cutghost");
  std::fill_n(&setflag[0][0], n * n, 0);
  std::fill_n(&cutsq[0][0], n * n, 0.0);
  std::fill_n(&cutghost[0][0], n * n, 0.0);
}

// pair_style fisher_mlip [device cpu|cuda] [threads N] [kernel auto|fused|torchscript]
void PairFisherMlip::settings(int narg, char **arg)
{
  for (int i = 0; i < narg; i += 2) {
    const std::string key = arg[i];
    if (i + 1 == narg) error->all(FLERR, "pair_style fisher_mlip: expected a value after '{}'", key);
    const std::string value = arg[i + 1];
    if (key == "device") {
      if (value != "cpu" && value != "cuda")
        error->all(FLERR, "pair_style fisher_mlip: expected device cpu or cuda, found '{}'", value);
      device = value;
    } else if (key == "threads") {
      threads = utils::inumeric(FLERR, value, false, lmp);
      if (threads < 1)
        error->all(FLERR, "pair_style fisher_mlip: expected threads of 1 or more, found {}", value);
    } else if (key == "kernel") {
      if (value != "auto" && value != "fused" && value != "torchscript")
        error->all(FLERR, "pair_style fisher_mlip: expected kernel auto, fused or torchscript, "
                   "found '{}'", value);
      kernel = value;
    } else {
      error->all(FLERR, "pair_style fisher_mlip: expected device, threads or kernel, found '{}'",
                 key);
    }
  }
  const std::string units = update->unit_style;
  if (units != "metal" && units != "real")
    error->all(FLERR, "pair_style fisher_mlip: expected units metal or real, found '{}'", units);
  energy_unit = units == "real" ? utils::get_conversion_factor(utils::ENERGY, utils::METAL2REAL) : 1.0;
}

// pair_coeff * * model.lmp.pt C H O
void PairFisherMlip::coeff(int narg, char **arg)
{
  if (!allocated) allocate();
  if (narg != 3 + atom->ntypes)
    error->all(FLERR,
               "pair_coeff of fisher_mlip: expected '* * model.lmp.pt' and an element for each of "
               "the {} atom types, found {} words", atom->ntypes, narg);
  prepare_process();
  // Whoever catches the error of a second pair_coeff goes on with what the first one said.
  auto given = load_model(arg[2]);
  species_of_type = species_of(narg - 3, arg + 3, given->elements);
  model = std::move(given);
  set_pairs();
  if (comm->me == 0)
    utils::logmesg(lmp, "fisher_mlip: '{}', cutoff {} Å, {} layers, {}, {}, threads per rank {}, "
                   "kernel {}{}, weights {}\n", arg[2], model->cutoff, model->n_layers,
                   model->dtype, model->device_name, fisher_mlip::get_threads(), model->kernel,
                   model->why_not_fused.empty() ? "" : " (" + model->why_not_fused + ")",
                   model->weights_hash);
}

// A rank that fails alone, for want of a GPU or of the file on its node, would leave the others
// waiting: all of them learn of it and end with its sentence.
std::unique_ptr<fisher_mlip::Model> PairFisherMlip::load_model(const std::string &path)
{
  std::unique_ptr<fisher_mlip::Model> given;
  std::string failure;
  const int local_rank = rank_on_node(world);
  try {
    given = std::make_unique<fisher_mlip::Model>(path, device, kernel, local_rank);
  } catch (const std::exception &thrown) {
    failure = thrown.what();
  }
  const int mine = failure.empty() ? comm->nprocs : comm->me;
  int first = 0;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return given;
  int length = static_cast<int>(failure.size());
  MPI_Bcast(&length, 1, MPI_INT, first, world);
  failure.resize(length);
  MPI_Bcast(failure.data(), length, MPI_CHAR, first, world);
  error->all(FLERR, "pair_style fisher_mlip: {}", failure);
  return given;
}

void PairFisherMlip::prepare_process() const
{
  int wanted = threads;
  if (wanted == 0) {
    const char *given = std::getenv("OMP_NUM_THREADS");
    wanted = given ? std::max(1, std::atoi(given)) : 1;
  }
  fisher_mlip::set_threads(wanted);
  fisher_mlip::keep_large_blocks();
}

std::vector<int> PairFisherMlip::species_of(int n, char **symbols, const std::vector<int> &known)
{
  std::vector<int> found_species(n + 1, -1);
  for (int type = 1; type <= n; type++) {
    const std::string symbol = symbols[type - 1];
    if (symbol == "NULL" && std::string(force->pair_style).rfind("hybrid", 0) == 0) continue;
    if (symbol == "NULL")
      error->all(FLERR, "pair_coeff of fisher_mlip: NULL is for pair_style hybrid: expected an "
                        "element for each atom type");
    const auto found = std::find(known.begin(), known.end(), fisher_mlip::atomic_number(symbol));
    if (found == known.end()) {
      std::string names;
      for (const int z : known) names += " " + fisher_mlip::symbol_of(z);
      error->all(FLERR, "pair_coeff of fisher_mlip: the model knows the elements{}, found '{}'",
                 names, symbol);
    }
    found_species[type] = static_cast<int>(found - known.begin());
  }
  return found_species;
}

void PairFisherMlip::set_pairs()
{
  const int n = atom->ntypes;
  for (int i = 1; i <= n; i++)
    for (int j = i; j <= n; j++)
      setflag[i][j] = species_of_type[i] >= 0 && species_of_type[j] >= 0;
}

void PairFisherMlip::init_style()
{
  if (!force->newton_pair)
    error->all(FLERR, "pair_style fisher_mlip: expected 'newton on', found it off: the forces on "
                      "ghost atoms would be lost");
  require_all_pairs();
  require_ghosts();
  compare_masses();
  neighbor->add_request(this, NeighConst::REQ_FULL | NeighConst::REQ_GHOST);
}

// A model of all atoms cannot do without a pair that a list leaves out.
void PairFisherMlip::require_all_pairs() const
{
  // Bonds of molecule templates are not counted.
  if (atom->nbonds > 0 || atom->molecular == Atom::TEMPLATE)
    for (int k = 1; k <= 3; k++)
      if (force->special_lj[k] != 1.0)
        error->all(FLERR, "pair_style fisher_mlip: the model has the bonds' energies in it, and "
                          "special_bonds leaves pairs of bonded atoms out or scales them: expected "
                          "'special_bonds lj/coul 1.0 1.0 1.0'");
  // Neighbor::exclude is not set before the first run.
  if (neighbor->nex_type > 0 || neighbor->nex_group > 0 || neighbor->nex_mol > 0)
    error->all(FLERR, "pair_style fisher_mlip: expected a list with all pairs, found a "
                      "'neigh_modify exclude'");
  const std::string style = force->pair_style;
  if (style.rfind("hybrid/molecular", 0) == 0)
    error->all(FLERR, "pair_style fisher_mlip: expected hybrid or hybrid/overlay, found '{}', "
                      "which takes the pairs of one molecule away from the model", style);
}

// Elements in another order than the types' run, and explode.
void PairFisherMlip::compare_masses() const
{
  if (!atom->mass || comm->me != 0) return;
  for (int type = 1; type <= atom->ntypes; type++) {
    if (species_of_type[type] < 0 || !atom->mass_setflag[type]) continue;
    const int z = model->elements[species_of_type[type]];
    const double mass = fisher_mlip::mass_of(z);
    // Tells carbon from oxygen, and of deuterium too.
    if (atom->mass[type] > 1.25 * mass || 1.25 * atom->mass[type] < mass)
      error->warning(FLERR, "fisher_mlip: atom type {} has the mass {} and is said to be {} ({}): "
                            "are the elements of pair_coeff in the order of the types?",
                     type, atom->mass[type], fisher_mlip::symbol_of(z), mass);
  }
}

bool PairFisherMlip::knows_images() const
{
  return atom->tag_enable != 0;
}

void PairFisherMlip::require_ghosts()
{
  // One rank owns an image of every ghost and needs none for its own sake.
  const bool is_alone = comm->nprocs == 1 && knows_images();
  const int layers = is_alone ? 1 : model->n_layers - FISHER_MLIP_MISSING_LAYERS;
  const double needed = layers * model->cutoff + neighbor->skin;
  if (comm->mode != Comm::SINGLE)
    error->all(FLERR, "pair_style fisher_mlip: expected 'comm_modify mode single', found another");
  if (comm->cutghostuser >= needed) return;
  // Force::init comes before Comm::init, so that this is heeded.
  comm->cutghostuser = needed;
  if (comm->me == 0)
    utils::logmesg(lmp, "fisher_mlip: ghost atoms within {} Å ({} layers of {} Å, and the skin)\n",
                   needed, layers, model->cutoff);
}

// What a list skips is known once it has been built.
void PairFisherMlip::require_own_pairs() const
{
  if (!list->iskip) return;
  const int n = atom->ntypes;
  for (int i = 1; i <= n; i++)
    for (int j = 1; j <= n; j++) {
      const bool is_mine = species_of_type[i] >= 0 && species_of_type[j] >= 0;
      if (is_mine && (list->iskip[i] || list->ijskip[i][j]))
        error->all(FLERR, "pair_style hybrid: the pairs of types {} and {} belong to another style, "
                          "but a model needs all pairs of its types: expected hybrid/overlay, or "
                          "NULL for one of them in the pair_coeff of fisher_mlip", i, j);
    }
}

double PairFisherMlip::init_one(int i, int j)
{
  cutghost[i][j] = cutghost[j][i] = model->cutoff;
  return model->cutoff;
}

double PairFisherMlip::memory_usage()
{
  const auto doubles = energies.capacity() + slopes.capacity() + uncertainty.capacity() +
      sample_forces.capacity();
  return Pair::memory_usage() + shells.bytes() + sizeof(double) * doubles;
}
