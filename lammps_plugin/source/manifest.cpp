// SPDX-License-Identifier: GPL-2.0-or-later
#include "manifest.h"

#include "json.h"

#include <array>
#include <stdexcept>

namespace fisher_mlip {

namespace {

constexpr const char *FORMAT = "fisher-mlip lammps 1";
constexpr std::array SYMBOLS = {
    "",   "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si",
    "P",  "S",  "Cl", "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni", "Cu",
    "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo", "Tc", "Ru",
    "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I",  "Xe", "Cs", "Ba", "La", "Ce", "Pr",
    "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W",
    "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac",
    "Th", "Pa", "U",  "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf",
    "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"};

}    // namespace

Manifest parse_manifest(const std::string &path, const std::string &text)
{
  const std::string advice = "'fisher-mlip export CHECKPOINT --target lammps' makes one";
  if (text.empty())
    throw std::runtime_error("'" + path + "' has no manifest, expected a model.lmp.pt: " + advice);
  try {
    const auto content = LAMMPS_NS::json::parse(text);
    const auto format = content.at("format").get<std::string>();
    if (format != FORMAT)
      throw std::runtime_error("expected the format '" + std::string(FORMAT) + "' of '" + path +
                               "', found '" + format + "': " + advice);
    return {content.at("cutoff").get<double>(), content.at("num_iterations").get<int>(),
            content.at("sampled_heads").get<int>(), content.at("dtype").get<std::string>(),
            content.at("weights_hash").get<std::string>(),
            content.at("elements").get<std::vector<int>>()};
  } catch (const LAMMPS_NS::json::exception &failure) {
    throw std::runtime_error("the manifest of '" + path + "' is damaged: " + failure.what());
  }
}

int atomic_number(const std::string &symbol)
{
  for (std::size_t z = 1; z < SYMBOLS.size(); z++)
    if (symbol == SYMBOLS[z]) return static_cast<int>(z);
  return 0;
}

std::string symbol_of(int atomic_number)
{
  const auto z = static_cast<std::size_t>(atomic_number);
  return z < SYMBOLS.size() ? SYMBOLS[z] : "?";
}

double mass_of(int atomic_number)
{
  return atomic_number == 1 ? 1.008 : 2.0 * atomic_number * (1.0 + atomic_number / 300.0);
}

}    // namespace fisher_mlip
