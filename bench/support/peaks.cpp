// What one thread of the machine attains: float32 multiply-adds in registers, the SGEMM of LibTorch's BLAS, and a copy. Linked
// into the program whose benchmarks are compared with them.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "bench/support/input.h"
#include "measures/numerics/clones.h"
#if GAPBENCH_WITH_TORCH
#include <ATen/Parallel.h>
#endif

namespace {

using namespace gapbench;

constexpr int chains = 12, lanes = 16;
constexpr std::int64_t steps = 100000;

GAPBENCH_CLONES void multiply_adds(float factor, float* out) {
  using Vector = float __attribute__((vector_size(lanes * 4)));
  Vector x[chains];
  for (int c = 0; c < chains; ++c)
    x[c] = Vector{} + static_cast<float>(c);  // different, or the compiler keeps one
  for (std::int64_t s = 0; s < steps; ++s)
    for (int c = 0; c < chains; ++c) x[c] = x[c] * factor + factor;
  Vector sum = {};
  for (int c = 0; c < chains; ++c) sum += x[c];
  for (int i = 0; i < lanes; ++i) out[i] = sum[i];
}

void peak_fma(benchmark::State& state) {
  float factor = 0.999f, out[lanes];
  for (auto _ : state) {
    benchmark::DoNotOptimize(factor);
    multiply_adds(factor, out);
    benchmark::DoNotOptimize(out);
  }
  state.counters["flops"] = benchmark::Counter(2.0 * static_cast<double>(steps) * chains * lanes,
                                               benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(peak_fma)->Unit(benchmark::kMicrosecond);

#if GAPBENCH_WITH_TORCH
// the Fortran interface of the BLAS inside LibTorch
extern "C" void sgemm_(const char* ta, const char* tb, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc);

void peak_sgemm(benchmark::State& state) {
  at::set_num_threads(1);
  const int n = static_cast<int>(state.range(0));
  const std::vector<float> a = bench::hashed_values(std::int64_t{n} * n), b = a;
  std::vector<float> c(a.size());
  const float one = 1, zero = 0;
  for (auto _ : state) {
    sgemm_("N", "T", &n, &n, &n, &one, a.data(), &n, b.data(), &n, &zero, c.data(), &n);
    benchmark::DoNotOptimize(c.data());
    benchmark::ClobberMemory();
  }
  state.counters["flops"] =
      benchmark::Counter(2.0 * n * n * n, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(peak_sgemm)->ArgName("n")->Arg(1024)->Unit(benchmark::kMicrosecond);
#endif

void peak_copy(benchmark::State& state) {  // reads and writes of 64 MiB, beyond the caches
  const std::vector<float> from = bench::hashed_values(std::int64_t{1} << 24);
  std::vector<float> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size() * sizeof(float));
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * 2 * static_cast<std::int64_t>(from.size() * sizeof(float)));
}
BENCHMARK(peak_copy)->Unit(benchmark::kMicrosecond);

}  // namespace
