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
};

/// kernel<<<blocks, threads, shared_bytes, stream>>>(arguments...); an error stays for cudaGetLastError.
template <class... Parameters, class... Arguments>
void launch(const LaunchShape& shape, void (*kernel)(Parameters...), Arguments&&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(shape.blocks, shape.blocks_y, shape.blocks_z);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = shape.stream;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...);
}

}  // namespace kernels
}  // namespace gapbench
