// Sums of absolute cosines: CPU version and reference, on dense weights [rows, length] and on convolutions, slice by slice of
// each input channel. One thread.
//
// Counters  flops    multiply-adds count 2: rows (rows - 1) length per matrix
//           pairs    cosines formed per second
//           value    the sum, which run.py compares with the peers'
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/support/input.h"
#include "measures/kernels/weight_correlation.h"

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
BENCHMARK_CAPTURE(dense, cpu, cpu)
    ->Apply(dense_sizes)
    ->Args({4096, 4096});  // its reference would take a minute
BENCHMARK_CAPTURE(dense, ref, reference)->Apply(dense_sizes);
BENCHMARK_CAPTURE(conv3x3, cpu, cpu)->Apply(conv_sizes)->Args({512, 512});
BENCHMARK_CAPTURE(conv3x3, ref, reference)->Apply(conv_sizes);

}  // namespace
