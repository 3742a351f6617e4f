// What a layer's kernels are given, as the host and the device have it.
#pragma once

#include "table.h"

namespace fused {

// Features lie as (components, n_atoms, padded): padded channels, a multiple of WIDTH. Messages lie by
// their degree l: (2 l + 1, n_receivers, paths to l, padded).
template <typename T> struct DeviceLayer {
  int n_atoms, n_receivers, n_edges, n_blocks, n_harmonics;
  const int *senders, *receivers, *by_receiver, *receiver_starts, *by_sender, *sender_starts;
  const T *harmonics, *distances;
  Table<T> table;
};

}    // namespace fused
