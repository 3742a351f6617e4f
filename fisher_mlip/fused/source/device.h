// Kernels on a GPU: compiled when they are first needed, by the NVRTC that torch brings.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

namespace fused {

// A source and what is defined in it.
struct Unit {
  const char *source;
  std::string options;    // "-DNAME=VALUE ...", each after a space
};

// A source for the numbers that a tensor has.
inline Unit unit_for(const at::Tensor &numbers, const char *source, const std::string &more = "")
{
  TORCH_CHECK(numbers.scalar_type() == at::kFloat || numbers.scalar_type() == at::kDouble,
              "expected float32 or float64, found ", numbers.scalar_type());
  const char *number = numbers.scalar_type() == at::kFloat ? " -DNUMBER=float" : " -DNUMBER=double";
  return {source, number + more};
}

// Runs a kernel of a unit on a tensor's device, in torch's current stream, by at least n_threads in
// blocks of 128, and that n_rows times. Its arguments are values, of which the addresses are given,
// and the addresses in tensors after them.
void launch(const at::Tensor &on, const Unit &unit, const char *kernel, int64_t n_threads,
            const std::vector<const void *> &values, const std::vector<at::Tensor> &tensors,
            int64_t n_rows = 1);

}    // namespace fused
