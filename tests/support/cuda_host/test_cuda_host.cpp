// What the emulation of CUDA does for right kernels, and that it ends wrong ones, each in a process of its own.
#include <cooperative_groups.h>
#include <cuda_pipeline.h>
#include <cuda_runtime.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <numeric>
#include <string>
#include <vector>

#include "measures/kernels/cuda_launch.h"
#include "tests/support/device.h"

using gapbench::kernels::dynamic_shared;
using gapbench::kernels::launch;

namespace {

constexpr int threads = 96;

// Each block turns `threads` numbers around through shared memory.
template <bool Barrier>
__global__ void reverse(const int* in, int* out) {
  __shared__ int all[threads];
  const int i = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x) * threads;
  all[i] = in[block + i];
  if (Barrier) __syncthreads();
  out[block + i] = all[threads - 1 - i];
}

template <bool Barrier>
std::vector<int> reversed(int blocks) {
  std::vector<int> in(static_cast<std::size_t>(blocks * threads));
  std::iota(in.begin(), in.end(), 0);
  const DeviceBytes from(in), to(in.size() * sizeof(int));
  launch({static_cast<unsigned>(blocks), threads, nullptr}, reverse<Barrier>, from.as<int>(), to.as<int>());
  return to.read<int>();
}

__global__ void collectives(int* out) {
  const int i = static_cast<int>(threadIdx.x);
  int sum = i;
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  int before = i;  // sum of the lanes up to this
  for (unsigned hop = 1; hop < 32; hop *= 2) {
    const int other = __shfl_up_sync(~0u, before, hop);
    if (i % 32 >= static_cast<int>(hop)) before += other;
  }
  const int of_eight = __shfl_down_sync(~0u, i, 3u, 8), first = __shfl_sync(~0u, i, 0, 8);
  const unsigned odd = __ballot_sync(~0u, i % 2);
  int half = 0;
  if (i % 32 < 16) half = __shfl_xor_sync(0xFFFFu, i, 8);
  const int large = __syncthreads_count(i >= 90), any = __syncthreads_or(i == 3),
            all = __syncthreads_and(i >= 0);
  int* const mine = out + i * 9;
  const int values[9] = {sum, before, of_eight, first, static_cast<int>(odd), half, large, any, all};
  for (int k = 0; k < 9; ++k) mine[k] = values[k];
}

__global__ void unwritten(float* out) {
  __shared__ float fresh[2];
  __shared__ float copied[4];
  if (threadIdx.x == 0) {
    out[0] = fresh[1];
    fresh[1] = 1;  // the compiler knows what nobody writes
    __pipeline_memcpy_async(copied, out + 4, 16);
    __pipeline_commit();
    out[1] = copied[3];
    __pipeline_wait_prior(0);
    out[2] = copied[3];
  }
}

__global__ void half_a_barrier() {
  if (threadIdx.x < 40) __syncthreads();
}
__global__ void two_barriers() {
  if (threadIdx.x < 40)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void half_a_warp(int* out) {
  if (threadIdx.x % 32 < 7) *out = __shfl_xor_sync(~0u, 1, 1);
}
__global__ void foreign_mask(int* out) {
  if (threadIdx.x == 5) *out = __shfl_sync(1u, 1, 0);
}
__global__ void beside(int* out) {
  out[-1] = 7;
}
__global__ void beyond_shared() {
  dynamic_shared<int>()[blockDim.x] = 1;
}
__global__ void misaligned_copy(const float* in) {
  __shared__ float4 to[1];
  __pipeline_memcpy_async(to, in + 1, 16);
}

// Each block adds up what all blocks wrote in the round before, and keeps its own sum in shared memory.
__global__ void rounds(int* numbers, int* out) {
  __shared__ int kept;
  const int block = static_cast<int>(blockIdx.x), blocks = static_cast<int>(gridDim.x);
  if (threadIdx.x == 0) kept = block;
  __syncthreads();
  for (int round = 0; round < 3; ++round) {
    if (threadIdx.x == 1) numbers[round % 2 * blocks + block] = kept + 1;
    cooperative_groups::this_grid().sync();
    int sum = 0;
    for (int b = 0; b < blocks; ++b) sum += numbers[round % 2 * blocks + b];
    __syncthreads();
    if (threadIdx.x == 0) kept = sum * (block + 1);
    __syncthreads();
  }
  if (threadIdx.x == 0) out[block] = kept;
}
__global__ void half_a_grid() {
  if (blockIdx.x == 0) cooperative_groups::this_grid().sync();
}
__global__ void half_a_block() {
  if (threadIdx.x < 40) cooperative_groups::this_grid().sync();
}

// The message a child process ends with, by abort.
template <class Run>
std::string last_words(const Run& run) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    std::signal(SIGABRT, SIG_DFL);
    run();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char part[512];
  for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
  return text;
}

template <class... A>
std::string words_of(unsigned dynamic_ints, void (*kernel)(A...), std::type_identity_t<A>... arguments) {
  return last_words([&] { launch({2, threads, nullptr, dynamic_ints * sizeof(int)}, kernel, arguments...); });
}
std::string words_of_together(void (*kernel)()) {
  return last_words([&] { launch({2, threads, nullptr, 0, 1, 1, true}, kernel); });
}

void contains(const std::string& text, const char* part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("blocks with their barriers are right in any order of threads, without them not in all") {
  std::vector<int> expected;
  for (int b = 0; b < 8; ++b)
    for (int i = 0; i < threads; ++i) expected.push_back(b * threads + threads - 1 - i);
  for (int run = 0; run < 5; ++run) {
    CHECK(reversed<true>(8) == expected);
    CHECK(reversed<false>(8) != expected);
  }
}

TEST_CASE("warp and block functions") {
  const DeviceBytes out(threads * 9 * sizeof(int));
  for (int run = 0; run < 5; ++run) {
    launch({1, threads, nullptr}, collectives, out.as<int>());
    const std::vector<int> found = out.read<int>();
    bool same = true;
    for (int i = 0; i < threads; ++i) {
      const int warp = i / 32 * 32, lane = i % 32;
      const int expected[9] = {32 * warp + 496,
                               (lane + 1) * warp + lane * (lane + 1) / 2,
                               lane % 8 < 5 ? i + 3 : i,
                               i / 8 * 8,
                               static_cast<int>(0xAAAAAAAAu),
                               lane < 16 ? i ^ 8 : 0,
                               6,
                               1,
                               1};
      for (int k = 0; k < 9; ++k) same = same && found[static_cast<std::size_t>(i * 9 + k)] == expected[k];
    }
    CHECK(same);
  }
}

TEST_CASE("fresh shared memory is NaN, an asynchronous copy arrives when it is waited for") {
  const DeviceBytes out(std::vector<float>{0, 0, 0, 0, 1, 2, 3, 4});
  launch({1, threads, nullptr}, unwritten, out.as<float>());
  const std::vector<float> found = out.read<float>();
  CHECK(found[0] != found[0]);
  CHECK(found[1] != found[1]);
  CHECK(found[2] == 4);
}

TEST_CASE("blocks of a cooperative launch meet at barriers of the grid, their shared memory stays theirs") {
  const int blocks = 6;
  std::vector<int> expected(blocks);
  std::iota(expected.begin(), expected.end(), 0);
  for (int round = 0; round < 3; ++round) {
    const int sum = std::accumulate(expected.begin(), expected.end(), blocks);
    for (int b = 0; b < blocks; ++b) expected[static_cast<std::size_t>(b)] = sum * (b + 1);
  }
  for (int run = 0; run < 5; ++run) {
    const DeviceBytes numbers(2 * blocks * sizeof(int)), out(blocks * sizeof(int));
    launch({blocks, threads, nullptr, 0, 1, 1, true}, rounds, numbers.as<int>(), out.as<int>());
    CHECK(cudaGetLastError() == cudaSuccess);
    CHECK(out.read<int>() == expected);
  }
  const int most = gapbench::kernels::most_together(half_a_grid, threads, 1000);
  CHECK(most > 1);
  launch({static_cast<unsigned>(most) + 1, threads, nullptr, 1000, 1, 1, true}, half_a_grid);
  CHECK(cudaGetLastError() == cudaErrorCooperativeLaunchTooLarge);
}

TEST_CASE("wrong kernels end the program with a message") {
  void* block = nullptr;
  check(cudaMalloc(&block, 64));
  int* const out = static_cast<int*>(block);
  contains(words_of(0, half_a_barrier), "threads of a block wait at different places");
  contains(words_of(0, two_barriers), "threads of a block wait at different places");
  contains(words_of(0, half_a_warp, out), "has returned");
  contains(words_of(0, foreign_mask, out), "whose mask lacks it");
  contains(words_of(0, beside, out), "a write beside a block of device memory");
  contains(words_of(threads, beyond_shared), "a write beyond the dynamic shared memory");
  contains(words_of(0, misaligned_copy, static_cast<float*>(block)), "not aligned");
  contains(words_of_together(half_a_grid), "blocks of a grid have returned");
  contains(words_of_together(half_a_block), "threads of a block wait at different places");
  contains(words_of(0, half_a_grid), "not cooperative");
  check(cudaFree(block));
}

TEST_CASE("launches that no device takes are refused") {
  launch({1, threads, nullptr, 100 * 1024}, beyond_shared);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaSuccess);
  launch({1, 1025, nullptr}, half_a_barrier);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  CHECK(cudaFuncSetAttribute(beyond_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 300 * 1024) ==
        cudaErrorInvalidValue);
  cudaGetLastError();
}
