// Linear maps of features on a GPU, those of all degrees at once: tiles in shared memory.
#include "lanes.h"
#include "device_mix.h"

namespace fused {

using T = NUMBER;
constexpr int PANEL = 2 * WIDTH<T>;
// Each thread makes 4 rows of so many neighboring columns.
constexpr int OWN_ROWS = 4, OWN_COLUMNS = MIX_ROWS * PANEL / MIX_THREADS / OWN_ROWS;
constexpr int GROUPS = PANEL / OWN_COLUMNS;

struct Tiles {
  T rows[MIX_DEPTH][MIX_ROWS + 4], matrix[MIX_DEPTH][PANEL];
};

FUSED_INLINE void add_term(const MixTerm<T> &term, int n_atoms, int n_rows, int first_row, int panel,
                           int width, Tiles &tiles, T (&sums)[OWN_ROWS][OWN_COLUMNS])
{
  const int row = threadIdx.x / GROUPS * OWN_ROWS, column = threadIdx.x % GROUPS * OWN_COLUMNS;
  const T *matrix = term.matrix + int64_t(panel) * PANEL * term.n_inputs;
  for (int start = 0; start < term.n_inputs; start += MIX_DEPTH) {
    for (int k = threadIdx.x; k < MIX_ROWS * MIX_DEPTH; k += MIX_THREADS) {
      const int r = first_row + k / MIX_DEPTH, input = start + k % MIX_DEPTH;
      const int atom = r % n_atoms;
      const bool is_there = r < n_rows && atom < term.in_atoms && input < term.n_inputs;
      const int64_t place = int64_t(r / n_atoms) * term.in_atoms + atom;
      tiles.rows[k % MIX_DEPTH][k / MIX_DEPTH] =
          is_there ? term.rows[place * term.n_inputs + input] : T(0);
    }
    for (int k = threadIdx.x; k < MIX_DEPTH * PANEL; k += MIX_THREADS) {
      const int input = start + k / PANEL, at = k % PANEL;
      tiles.matrix[k / PANEL][at] = input < term.n_inputs && at < width
          ? matrix[int64_t(input) * width + at]
          : T(0);
    }
    __syncthreads();
    unroll<MIX_DEPTH>([&](auto K) {
      T left[OWN_ROWS], right[OWN_COLUMNS];
      unroll<OWN_ROWS>([&](auto I) { left[I] = tiles.rows[K][row + I]; });
      unroll<OWN_COLUMNS>([&](auto J) { right[J] = tiles.matrix[K][column + J]; });
      unroll<OWN_ROWS>([&](auto I) {
        unroll<OWN_COLUMNS>([&](auto J) { sums[I][J] += left[I] * right[J]; });
      });
    });
    __syncthreads();
  }
}

// A block for each tile of rows (x) and each panel of columns of each job (y).
extern "C" __global__ void __launch_bounds__(MIX_THREADS) mix(MixJobs<T> all)
{
  __shared__ Tiles tiles;
  int panel = blockIdx.y, index = 0;
  while (panel >= (all.jobs[index].n_columns + PANEL - 1) / PANEL)
    panel -= (all.jobs[index++].n_columns + PANEL - 1) / PANEL;
  const MixJob<T> &job = all.jobs[index];
  const int n_rows = job.n_components * all.n_atoms, first_row = blockIdx.x * MIX_ROWS;
  if (first_row >= n_rows) return;
  const int width = min(PANEL, job.n_columns - panel * PANEL);
  T sums[OWN_ROWS][OWN_COLUMNS]{};
  for (int k = 0; k < 2; ++k)
    add_term(job.terms[k], all.n_atoms, n_rows, first_row, panel, width, tiles, sums);
  const int row = first_row + threadIdx.x / GROUPS * OWN_ROWS;
  const int column = threadIdx.x % GROUPS * OWN_COLUMNS;
  unroll<OWN_ROWS>([&](auto I) {
    unroll<OWN_COLUMNS>([&](auto J) {
      if (row + I < n_rows && column + J < width)
        job.out[int64_t(row + I) * job.n_columns + panel * PANEL + column + J] = sums[I][J];
    });
  });
}

}    // namespace fused
