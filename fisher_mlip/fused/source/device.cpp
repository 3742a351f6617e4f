// CUDA's driver and its compiler, as torch has them: nothing of CUDA is needed to build this file.
#include "device.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <sstream>
#include <utility>
#include <vector>

namespace fused {

namespace {

// The functions of CUDA's driver API and of NVRTC that are used here, by their documented signatures.
struct Cuda {
  int (*cuCtxGetCurrent)(void **);
  int (*cuCtxSetCurrent)(void *);
  int (*cuDeviceGet)(int *, int);
  int (*cuDevicePrimaryCtxRetain)(void **, int);
  int (*cuDeviceGetAttribute)(int *, int, int);
  int (*cuModuleLoadData)(void **, const void *);
  int (*cuModuleGetFunction)(void **, void *, const char *);
  int (*cuLaunchKernel)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                        void *, void **, void **);
  int (*cuGetErrorString)(int, const char **);
  int (*nvrtcCreateProgram)(void **, const char *, const char *, int, const char *const *,
                            const char *const *);
  int (*nvrtcCompileProgram)(void *, int, const char *const *);
  int (*nvrtcGetCUBINSize)(void *, size_t *);
  int (*nvrtcGetCUBIN)(void *, char *);
  int (*nvrtcGetProgramLogSize)(void *, size_t *);
  int (*nvrtcGetProgramLog)(void *, char *);
  int (*nvrtcDestroyProgram)(void **);

  Cuda()
  {
    // It names both libraries as what it needs, and a search in it goes through them.
    void *library = dlopen("libcaffe2_nvrtc.so", RTLD_LAZY | RTLD_LOCAL);
    TORCH_CHECK(library, "expected a torch with CUDA's run-time compiler: ", dlerror());
    const auto find = [&](auto &function, const char *name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      TORCH_CHECK(function, "expected CUDA's function ", name, ", found none");
    };
    find(cuCtxGetCurrent, "cuCtxGetCurrent");
    find(cuCtxSetCurrent, "cuCtxSetCurrent");
    find(cuDeviceGet, "cuDeviceGet");
    find(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain");
    find(cuDeviceGetAttribute, "cuDeviceGetAttribute");
    find(cuModuleLoadData, "cuModuleLoadData");
    find(cuModuleGetFunction, "cuModuleGetFunction");
    find(cuLaunchKernel, "cuLaunchKernel");
    find(cuGetErrorString, "cuGetErrorString");
    find(nvrtcCreateProgram, "nvrtcCreateProgram");
    find(nvrtcCompileProgram, "nvrtcCompileProgram");
    find(nvrtcGetCUBINSize, "nvrtcGetCUBINSize");
    find(nvrtcGetCUBIN, "nvrtcGetCUBIN");
    find(nvrtcGetProgramLogSize, "nvrtcGetProgramLogSize");
    find(nvrtcGetProgramLog, "nvrtcGetProgramLog");
    find(nvrtcDestroyProgram, "nvrtcDestroyProgram");
  }

  void check(int status, const char *what) const
  {
    if (status == 0) return;
    const char *words = nullptr;
    cuGetErrorString(status, &words);
    TORCH_CHECK(false, "CUDA could not ", what, ": ", words ? words : "unknown error");
  }
};

const Cuda &cuda()
{
  static const Cuda only;
  return only;
}

// The context that torch uses on its device, current in this thread; one that is current stays so.
void *own_context(int device)
{
  void *context = nullptr;
  cuda().check(cuda().cuCtxGetCurrent(&context), "name its context");
  if (context) return context;
  cuda().check(cuda().cuDevicePrimaryCtxRetain(&context, device), "open its device");
  cuda().check(cuda().cuCtxSetCurrent(context), "use its device");
  return context;
}

std::string architecture(int device)
{
  constexpr int MAJOR = 75, MINOR = 76;    // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
  int major = 0, minor = 0;
  cuda().check(cuda().cuDeviceGetAttribute(&major, MAJOR, device), "tell its device's kind");
  cuda().check(cuda().cuDeviceGetAttribute(&minor, MINOR, device), "tell its device's kind");
  return "--gpu-architecture=sm_" + std::to_string(major) + std::to_string(minor);
}

std::vector<char> compiled(const Unit &unit, int device)
{
  std::vector<std::string> words{architecture(device), "--std=c++17",
                                 "--device-as-default-execution-space"};
  std::istringstream given(unit.options);
  for (std::string word; given >> word;) words.push_back(word);
  std::vector<const char *> options;
  for (const auto &word : words) options.push_back(word.c_str());
  void *program = nullptr;
  TORCH_CHECK(
      cuda().nvrtcCreateProgram(&program, unit.source, "fused.cu", 0, nullptr, nullptr) == 0,
      "CUDA could not begin to compile the fused operators");
  const int status = cuda().nvrtcCompileProgram(program, int(options.size()), options.data());
  size_t size = 0;
  std::vector<char> made;
  if (status != 0) {
    cuda().nvrtcGetProgramLogSize(program, &size);
    std::string log(size, ' ');
    cuda().nvrtcGetProgramLog(program, log.data());
    cuda().nvrtcDestroyProgram(&program);
    TORCH_CHECK(false, "CUDA could not compile the fused operators: ", log.substr(0, 2000));
  }
  cuda().nvrtcGetCUBINSize(program, &size);
  made.resize(size);
  cuda().nvrtcGetCUBIN(program, made.data());
  cuda().nvrtcDestroyProgram(&program);
  return made;
}

// Modules and kernels live as long as their context: the process.
void *kernel_of(const Unit &unit, const char *name, int index)
{
  using Key = std::pair<void *, std::string>;
  static std::mutex mutex;
  static std::map<Key, void *> modules, kernels;
  int device = 0;
  cuda().check(cuda().cuDeviceGet(&device, index), "find its device");
  void *context = own_context(device);
  const auto place = reinterpret_cast<std::uintptr_t>(unit.source);
  const std::string of_module = std::to_string(place) + unit.options;
  const std::lock_guard<std::mutex> lock(mutex);
  void *&kernel = kernels[{context, of_module + " " + name}];
  if (kernel) return kernel;
  void *&module = modules[{context, of_module}];
  if (!module) {
    const std::vector<char> binary = compiled(unit, device);
    cuda().check(cuda().cuModuleLoadData(&module, binary.data()), "load the fused operators");
  }
  cuda().check(cuda().cuModuleGetFunction(&kernel, module, name), "find a kernel");
  return kernel;
}

}    // namespace

void launch(const at::Tensor &on, const Unit &unit, const char *kernel, int64_t n_threads,
            const std::vector<const void *> &values, const std::vector<at::Tensor> &tensors,
            int64_t n_rows)
{
  if (n_threads == 0) return;
  constexpr unsigned THREADS = 128;
  const c10::DeviceGuard guard(on.device());
  const c10::impl::VirtualGuardImpl device(on.device().type());
  void *stream = device.getStream(on.device()).native_handle();
  std::vector<void *> places, given;
  for (const void *value : values) given.push_back(const_cast<void *>(value));
  for (const at::Tensor &tensor : tensors) places.push_back(tensor.data_ptr());
  for (void *&place : places) given.push_back(&place);
  void *function = kernel_of(unit, kernel, on.device().index());
  const auto blocks = static_cast<unsigned>((n_threads + THREADS - 1) / THREADS);
  cuda().check(cuda().cuLaunchKernel(function, blocks, unsigned(n_rows), 1, THREADS, 1, 1, 0, stream,
                                     given.data(), nullptr),
               kernel);
}

}    // namespace fused
