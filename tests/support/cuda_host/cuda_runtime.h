// CUDA for tests without a device: the part of the runtime API and of the device language that our kernels use, on the CPU.
// With this folder first on the include path g++ compiles the .cu files and their tests.
//
// A thread of a block is a fibre; blocks run one after another, those of a cooperative launch up to each barrier of the grid
// (cooperative_groups.h). A warp runs until all its threads wait at a barrier of the
// block. Each block takes its warps and their lanes in another order (forward, backward, shuffled), each launch its blocks, so
// that what misses a barrier or depends on the launch differs from the reference or from itself.
//
// Ends the program with a message: a barrier or warp function that some of its threads do not reach, or reach at another line;
// a write beside a block of memory or beyond the dynamic shared memory; more shared memory or threads than a device has; a
// stack overflow. Fresh device and shared memory holds NaN. Asynchronous copies arrive when they are waited for, not before.
// The .cu files are compiled with -fsanitize=undefined: misaligned vector loads and indices beyond arrays end the program too.
// Not seen: reads of foreign device memory that holds numbers, races between blocks, weak memory order.
#pragma once

#include <math.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __shared__ thread_local  // of the one thread that runs blocks

// ---- types

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
constexpr float2 make_float2(float x, float y) {
  return {x, y};
}
constexpr float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
constexpr double2 make_double2(double x, double y) {
  return {x, y};
}
constexpr int2 make_int2(int x, int y) {
  return {x, y};
}
constexpr uint2 make_uint2(unsigned x, unsigned y) {
  return {x, y};
}
constexpr uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

// ---- runtime

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorCooperativeLaunchTooLarge = 720
};
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount = 16, cudaDevAttrMaxSharedMemoryPerBlockOptin = 97 };
enum cudaLaunchAttributeID { cudaLaunchAttributeCooperative = 2 };
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  union {
    int cooperative;
  } val;
};
using cudaStream_t = struct CUstream_st*;
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};

cudaError_t cudaMalloc(void** data, std::size_t bytes);
template <class T>
cudaError_t cudaMalloc(T** data, std::size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(data), bytes);
}
cudaError_t cudaFree(void* data);
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemset(void* to, int value, std::size_t bytes);
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t) {
  return cudaMemcpy(to, from, bytes, kind);
}
inline cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t) {
  return cudaMemset(to, value, bytes);
}
cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t error);
inline cudaError_t cudaGetDeviceCount(int* devices) {
  *devices = 1;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() {
  return cudaSuccess;
}

namespace cuda_host {

constexpr unsigned multiprocessors = 3;  // few, so that grids of blocks that wait for each other stay small
unsigned blocks_of_one(unsigned threads, std::size_t dynamic_bytes);  // of them, on a multiprocessor
void grid_barrier(const std::source_location& where);

cudaError_t allow_dynamic_shared(const void* kernel, int bytes);
cudaError_t run(const cudaLaunchConfig_t& config, const void* kernel, const std::function<void()>& body);

// The device functions that wait.
bool barrier(bool value, const char* name, const std::source_location& where, int* count = nullptr);
std::uint64_t exchange(unsigned mask, std::uint64_t value, int from_lane, const char* name,
                       const std::source_location& where);
unsigned ballot(unsigned mask, bool value, const char* name, const std::source_location& where);
void copy_later(void* to, const void* from, std::size_t bytes);
void commit_copies();
void wait_for_copies(std::size_t newest_left);

template <class T>
T shuffle(unsigned mask, T value, int from_lane, const std::source_location& where) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(mask, bits, from_lane, "a shuffle", where);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline int lane() {
  return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32);
}

}  // namespace cuda_host

inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value =
      attribute == cudaDevAttrMultiProcessorCount ? static_cast<int>(cuda_host::multiprocessors) : 227 * 1024;
  return cudaSuccess;
}
template <class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void (*)(P...), int threads,
                                                          std::size_t dynamic_bytes) {
  *blocks = static_cast<int>(cuda_host::blocks_of_one(static_cast<unsigned>(threads), dynamic_bytes));
  return cudaSuccess;
}
template <class... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute, int bytes) {
  return cuda_host::allow_dynamic_shared(reinterpret_cast<const void*>(kernel), bytes);
}
template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
  const std::tuple<std::decay_t<P>...> values(std::forward<A>(arguments)...);
  return cuda_host::run(*config, reinterpret_cast<const void*>(kernel), [&] { std::apply(kernel, values); });
}

// ---- device functions

using CudaHostWhere = std::source_location;

inline void __syncthreads(CudaHostWhere where = CudaHostWhere::current()) {
  cuda_host::barrier(false, "__syncthreads", where);
}
inline int __syncthreads_or(int value, CudaHostWhere where = CudaHostWhere::current()) {
  return cuda_host::barrier(value != 0, "__syncthreads_or", where);
}
inline int __syncthreads_and(int value, CudaHostWhere where = CudaHostWhere::current()) {
  return !cuda_host::barrier(value == 0, "__syncthreads_and", where);
}
inline int __syncthreads_count(int value, CudaHostWhere where = CudaHostWhere::current()) {
  int count = 0;
  cuda_host::barrier(value != 0, "__syncthreads_count", where, &count);
  return count;
}
inline void __syncwarp(unsigned mask = ~0u, CudaHostWhere where = CudaHostWhere::current()) {
  cuda_host::exchange(mask, 0, cuda_host::lane(), "__syncwarp", where);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32,
              CudaHostWhere where = CudaHostWhere::current()) {
  const int lane = cuda_host::lane();
  return cuda_host::shuffle(mask, value, (lane & -width) + (from & (width - 1)), where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  CudaHostWhere where = CudaHostWhere::current()) {
  const int lane = cuda_host::lane(), from = lane ^ bits;
  return cuda_host::shuffle(mask, value, from < (lane & -width) + width ? from : lane, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32,
                   CudaHostWhere where = CudaHostWhere::current()) {
  const int lane = cuda_host::lane(), from = lane + static_cast<int>(by);
  return cuda_host::shuffle(mask, value, from < (lane & -width) + width ? from : lane, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32,
                 CudaHostWhere where = CudaHostWhere::current()) {
  const int lane = cuda_host::lane(), from = lane - static_cast<int>(by);
  return cuda_host::shuffle(mask, value, from >= (lane & -width) ? from : lane, where);
}
inline unsigned __ballot_sync(unsigned mask, int value, CudaHostWhere where = CudaHostWhere::current()) {
  return cuda_host::ballot(mask, value != 0, "__ballot_sync", where);
}
inline int __any_sync(unsigned mask, int value, CudaHostWhere where = CudaHostWhere::current()) {
  return cuda_host::ballot(mask, value != 0, "__any_sync", where) != 0;
}
inline int __all_sync(unsigned mask, int value, CudaHostWhere where = CudaHostWhere::current()) {
  return cuda_host::ballot(mask, value == 0, "__all_sync", where) == 0;
}
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
T atomicAdd(T* at, std::type_identity_t<T> value) {
  const T old = *at;
  *at = old + value;
  return old;
}
template <class T>
T atomicExch(T* at, std::type_identity_t<T> value) {
  return std::exchange(*at, value);
}
template <class T>
T atomicMax(T* at, std::type_identity_t<T> value) {
  return std::exchange(*at, std::max(*at, value));
}
template <class T>
T atomicMin(T* at, std::type_identity_t<T> value) {
  return std::exchange(*at, std::min(*at, value));
}
template <class T>
T atomicOr(T* at, std::type_identity_t<T> value) {
  return std::exchange(*at, *at | value);
}

template <class A, class B>
constexpr auto min(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(a) : static_cast<T>(b);
}
template <class A, class B>
constexpr auto max(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(b) : static_cast<T>(a);
}
template <class T>
T __ldg(const T* at) {
  return *at;
}
inline long long __double_as_longlong(double x) {
  return std::bit_cast<long long>(x);
}
inline double __longlong_as_double(long long x) {
  return std::bit_cast<double>(x);
}
inline double __hiloint2double(int high, int low) {
  return std::bit_cast<double>(std::uint64_t{static_cast<std::uint32_t>(high)} << 32 |
                               static_cast<std::uint32_t>(low));
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
  return std::popcount(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
inline int __clzll(long long x) {
  return std::countl_zero(static_cast<unsigned long long>(x));
}
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
// As far off as the hardware's may be: 2^-22 for x in [1/2, 2], else two units in the last place; up or down by a bit of x.
inline float __log2f(float x) {
  const double exact = std::log2(static_cast<double>(x));
  const double off = std::max(0x1p-22, x >= 0.5f && x <= 2 ? 0.0 : 0x1p-22 * std::abs(exact));
  return static_cast<float>(std::bit_cast<unsigned>(x) & 1 ? exact + off : exact - off);
}
// Two units in the last place off.
inline float __fdividef(float x, float y) {
  return x / y * (1 + 0x1p-22f);
}
inline float rsqrtf(float x) {
  return 1 / std::sqrt(x);
}
inline double rsqrt(double x) {
  return 1 / std::sqrt(x);
}
inline void sincospi(double x, double* sine, double* cosine) {
  const double turns = x - 2 * std::nearbyint(x / 2);  // in [-1, 1]
  const double quarter = std::nearbyint(2 * turns);    // in -2 .. 2
  const double rest = (turns - quarter / 2) * 3.14159265358979323846;
  const double s = std::sin(rest), c = std::cos(rest);
  switch (static_cast<int>(quarter) & 3) {
    case 0:
      *sine = s, *cosine = c;
      break;
    case 1:
      *sine = c, *cosine = -s;
      break;
    case 2:
      *sine = -s, *cosine = -c;
      break;
    default:
      *sine = -c, *cosine = s;
  }
}
