// What the kernel of linear maps is given, as the host and the device have it.
#pragma once

namespace fused {

// Rows (components, in_atoms, n_inputs) and a matrix (n_inputs, columns) in panels of 2 WIDTH columns.
// Rows of atoms beyond in_atoms are zero.
template <typename T> struct MixTerm {
  const T *rows, *matrix;
  int n_inputs, in_atoms;
};

// out (components, n_atoms, n_columns): the sum of two terms, of which the second may have no inputs.
template <typename T> struct MixJob {
  MixTerm<T> terms[2];
  T *out;
  int n_components, n_columns;
};

constexpr int MOST_JOBS = 4;    // one for each degree

template <typename T> struct MixJobs {
  MixJob<T> jobs[MOST_JOBS];
  int n_jobs, n_atoms;
};

constexpr int MIX_ROWS = 64, MIX_DEPTH = 16, MIX_THREADS = 128;

}    // namespace fused
