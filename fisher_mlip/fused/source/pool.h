// Memory of large tensors, kept between calls.
//
// glibc maps every large block anew from the kernel and unmaps it after use; in a process that is
// the user's own nobody has told it not to, and the page faults cost a third of a step.
#pragma once

#include <ATen/ATen.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace fused {

class Pool {
 public:
  // Never destroyed: tensors may outlive whatever is destroyed at the end of a process.
  static Pool &only()
  {
    static Pool *pool = new Pool;
    return *pool;
  }

  // At least `bytes`; `capacity` is what to give it back with.
  void *take(size_t bytes, size_t &capacity)
  {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = free.lower_bound(bytes);
    if (found != free.end() && found->first <= 2 * bytes) {
      void *block = found->second;
      capacity = found->first;
      free.erase(found);
      return block;
    }
    // Some more, for the edges that a step has more than the one before.
    capacity = (bytes + bytes / 8 + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    void *block = std::aligned_alloc(ALIGNMENT, capacity);
    if (!block) throw std::bad_alloc();
    return block;
  }

  void give(void *block, size_t capacity)
  {
    const std::lock_guard<std::mutex> lock(mutex);
    free.emplace(capacity, block);
    if (free.size() <= MOST) return;
    std::free(free.begin()->second);
    free.erase(free.begin());
  }

 private:
  static constexpr size_t ALIGNMENT = 64, MOST = 48;
  std::mutex mutex;
  std::multimap<size_t, void *> free;
};

// A tensor with anything in it.
inline at::Tensor kept_tensor(at::IntArrayRef sizes, const at::TensorOptions &options)
{
  constexpr size_t SMALL = 1 << 17;    // glibc's own threshold is no lower
  size_t bytes = options.dtype().itemsize();
  for (const int64_t size : sizes) bytes *= static_cast<size_t>(size);
  if (bytes < SMALL) return at::empty(sizes, options);
  size_t capacity = 0;
  void *block = Pool::only().take(bytes, capacity);
  return at::from_blob(
      block, sizes, [capacity](void *given) { Pool::only().give(given, capacity); }, options);
}

}    // namespace fused
