// Sums of absolute cosines: CPU version and reference, on dense weights [rows, length] and on convolutions, slice by slice of
// each input channel; and what the machine attains in the same run: an SGEMM and a copy, one thread each.
//
// Counters  flops    multiply-adds count 2: rows (rows - 1) length per matrix
//           pairs    cosines formed per second
//           value    the sum, which run.py compares with the peers'
#include <benchmark/benchmark.h>

#include <cstring>
#include <numeric>

#include "bench/support/input.h"
#include "measures/kernels/weight_correlation.h"
#if GAPBENCH_WITH_TORCH
#include <ATen/Parallel.h>
#endif

namespace {

using namespace gapbench;
using kernels::CosineSum;
using kernels::RowBatches;

template <class Kernel>
void measure(benchmark::State& state, const RowBatches& in, const Kernel& kernel) {
  std::vector<CosineSum> out(static_cast<std::size_t>(in.batches));
  for (auto _ : state) {
    kernel(in, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  double value = 0, pairs = 0;
  for (const CosineSum& c : out) {
    value += c.sum;
    pairs += static_cast<double>(c.pairs);
  }
  const auto flops = static_cast<double>(in.batches * in.rows * (in.rows - 1) * in.length);
  state.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["pairs"] = benchmark::Counter(pairs, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["value"] = value;
  state.SetBytesProcessed(state.iterations() * in.batches * in.rows * in.length * 4);
}

const auto cpu = [](const RowBatches& in, CosineSum* out) { kernels::absolute_cosine_sums(in, out, 1); };
const auto reference = [](const RowBatches& in, CosineSum* out) {
  kernels::absolute_cosine_sums_ref(in, out);
};

template <class Kernel>
void dense(benchmark::State& state, const Kernel& kernel) {
  const std::int64_t rows = state.range(0), length = state.range(1);
  const std::vector<float> w = bench::hashed_values(rows * length);
  measure(state, {w.data(), 1, rows, length, length, 0}, kernel);
}

template <class Kernel>
void conv3x3(benchmark::State& state, const Kernel& kernel) {
  const std::int64_t outputs = state.range(0), inputs = state.range(1), positions = 9;
  const std::vector<float> w = bench::hashed_values(outputs * inputs * positions);
  measure(state, {w.data(), inputs, outputs, positions, inputs * positions, positions}, kernel);
}

void dense_sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "length"})->Unit(benchmark::kMicrosecond);
  b->Args({52, 784})->Args({256, 256})->Args({512, 2048})->Args({2048, 512});
}
void conv_sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"outputs", "inputs"})->Unit(benchmark::kMicrosecond);
  b->Args({16, 16})->Args({64, 64})->Args({256, 256});
}
BENCHMARK_CAPTURE(dense, cpu, cpu)->Apply(dense_sizes);
BENCHMARK_CAPTURE(dense, ref, reference)->Apply(dense_sizes);
BENCHMARK_CAPTURE(conv3x3, cpu, cpu)->Apply(conv_sizes);
BENCHMARK_CAPTURE(conv3x3, ref, reference)->Apply(conv_sizes);

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
