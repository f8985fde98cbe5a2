// What CUDA kernels share: how one is launched, the shared memory whose size the launch says, and sums over lanes. Calls of the runtime API
// alone, so that tests compile the same sources for the CPU (tests/support/cuda_host).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

namespace gapbench {
namespace kernels {

extern __shared__ float4 dynamic_shared_memory[];

/// The block's dynamic shared memory, aligned to 16 bytes.
template <class T>
__device__ T* dynamic_shared() {
  return reinterpret_cast<T*>(dynamic_shared_memory);
}

/// Sum over neighbouring lanes, `width` of them, a power of two up to 32; all of them get it. Whole warps call it.
template <class T>
__device__ T sum_of_lanes(T x, int width = 32) {
  for (int step = width / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

struct LaunchShape {
  unsigned blocks, threads;
  cudaStream_t stream;
  std::size_t shared_bytes = 0;
  unsigned blocks_y = 1, blocks_z = 1;
  bool together = false;
};

/// Of the current device, or of a small one where none answers.
inline int device_attribute(cudaDeviceAttr attribute, int otherwise) {
  int device = 0, value = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&value, attribute, device) != cudaSuccess)
    return otherwise;
  return value;
}
inline int multiprocessors() {
  return device_attribute(cudaDevAttrMultiProcessorCount, 16);
}
inline std::size_t most_shared_bytes() {
  return static_cast<std::size_t>(device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, 96 * 1024));
}

/// Blocks of a launch `together` that the current device has room for.
template <class... Parameters>
int most_together(void (*kernel)(Parameters...), unsigned threads, std::size_t shared_bytes) {
  int blocks = 0;
  if (cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, static_cast<int>(threads),
                                                    shared_bytes) != cudaSuccess)
    return 0;
  return blocks * multiprocessors();
}

/// kernel<<<blocks, threads, shared_bytes, stream>>>(arguments...); an error stays for cudaGetLastError. `together`: all blocks
/// are on the device at the same time, and may wait for each other (a cooperative launch).
template <class... Parameters, class... Arguments>
void launch(const LaunchShape& shape, void (*kernel)(Parameters...), Arguments&&... arguments) {
  cudaLaunchConfig_t config{};
  cudaLaunchAttribute cooperative;
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  config.attrs = &cooperative;
  config.numAttrs = shape.together ? 1 : 0;
  config.gridDim = dim3(shape.blocks, shape.blocks_y, shape.blocks_z);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = shape.stream;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...);
}

}  // namespace kernels
}  // namespace gapbench
