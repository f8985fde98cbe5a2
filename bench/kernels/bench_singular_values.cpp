// All singular values of batches of matrices, one thread: small ones side by side, and the slices of a wide 3x3 convolution.
//
// Counters  items  matrices per second
//           value  sum of all singular values, which run.py compares with the peers'
#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "bench/support/input.h"
#include "measures/kernels/singular_values.h"

namespace {

using namespace gapbench;

template <class Kernel>
void singular_values(benchmark::State& state, const Kernel& kernel) {
  const std::int64_t batches = state.range(0), rows = state.range(1), columns = state.range(2);
  const std::vector<float> a = bench::hashed_values(batches * rows * columns);
  const kernels::MatrixBatch in{a.data(), batches, rows, columns, rows * columns, columns, 1};
  std::vector<double> out(static_cast<std::size_t>(batches * std::min(rows, columns)));
  for (auto _ : state) {
    kernel(in, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.counters["value"] = std::accumulate(out.begin(), out.end(), 0.0);
  state.counters["items"] =
      benchmark::Counter(static_cast<double>(batches), benchmark::Counter::kIsIterationInvariantRate);
}

const auto cpu = [](const kernels::MatrixBatch& in, double* out) { kernels::singular_values(in, out, 1); };

BENCHMARK_CAPTURE(singular_values, cpu, cpu)
    ->ArgNames({"batches", "rows", "columns"})
    ->Args({4096, 16, 16})
    ->Args({512, 64, 64})
    ->Args({512, 64, 32})
    ->Args({9, 256, 128})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(singular_values, ref, kernels::singular_values_ref)
    ->ArgNames({"batches", "rows", "columns"})
    ->Args({4096, 16, 16})
    ->Unit(benchmark::kMillisecond);

}  // namespace
