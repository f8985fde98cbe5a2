// Kernels that read their input once: norms of layers, statistics of logits, perturbations. CPU versions and references, one
// thread.
//
// Counters  items             weights, samples or values per second
//           bytes_per_second  each input read once, each output written once
//           value             a result, which run.py compares with the peers'
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/support/input.h"
#include "measures/kernels/log_sums.h"
#include "measures/kernels/logit_statistics.h"
#include "measures/kernels/perturbation.h"
#include "measures/kernels/segment_norms.h"

namespace {

using namespace gapbench;

void report(benchmark::State& state, std::int64_t items, std::int64_t bytes) {
  state.counters["items"] =
      benchmark::Counter(static_cast<double>(items), benchmark::Counter::kIsIterationInvariantRate);
  state.SetBytesProcessed(state.iterations() * bytes);
}

// A kernel over the differences of sixteen layers from their initial values; `value` of what it returns is added up.
template <class Sums, class Kernel>
void of_layers(benchmark::State& state, const Kernel& kernel, double Sums::* value) {
  const std::int64_t layers = 16, size = state.range(0) / layers;
  const std::vector<float> a = bench::hashed_values(layers * size),
                           b = bench::hashed_values(layers * size, 2246822507u);
  std::vector<kernels::Segment> segments;
  for (std::int64_t l = 0; l < layers; ++l)
    segments.push_back({a.data() + l * size, b.data() + l * size, 1, size});
  std::vector<Sums> out(segments.size());
  for (auto _ : state) {
    kernel(segments.data(), layers, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  double sum = 0;
  for (const Sums& n : out) sum += n.*value;
  state.counters["value"] = sum;
  report(state, layers * size, 8 * layers * size);
}

template <class Kernel>
void distance(benchmark::State& state, const Kernel& kernel) {
  of_layers(state, kernel, &kernels::SegmentNorms::squares);
}

// The sum of ln(1e-6 + 0.09 d^2), as in a magnitude-aware bound.
template <class Kernel>
void log_sums(benchmark::State& state, const Kernel& kernel) {
  of_layers(state, kernel, &kernels::LogSums::logarithms);
}

template <class Kernel>
void logits(benchmark::State& state, const Kernel& kernel) {
  const std::int64_t samples = state.range(0), classes = state.range(1);
  const std::vector<float> z = bench::hashed_values(samples * classes);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < samples; ++i) labels.push_back(i % classes);
  std::vector<double> margins(labels.size());
  kernels::LogitStatistics out;
  for (auto _ : state) {
    kernel(z.data(), labels.data(), samples, classes, margins.data(), &out);
    benchmark::DoNotOptimize(margins.data());
    benchmark::ClobberMemory();
  }
  state.counters["value"] = out.cross_entropy;
  report(state, samples, 4 * samples * classes + 16 * samples);
}

template <class Kernel>
void tenth(benchmark::State& state,
           const Kernel& kernel) {  // the copy is timed: selection reorders its input
  const std::int64_t n = state.range(0);
  const std::vector<float> hashed = bench::hashed_values(n);
  const std::vector<double> values(hashed.begin(), hashed.end());
  double value = 0;
  for (auto _ : state) {
    std::vector<double> copy = values;
    value = kernel(copy.data(), n, n / 10);
    benchmark::DoNotOptimize(value);
  }
  state.counters["value"] = value;
  report(state, n, 8 * n);
}

template <class Kernel>
void perturb(benchmark::State& state, const Kernel& kernel) {
  const std::int64_t n = state.range(0);
  const std::vector<float> w = bench::hashed_values(n);
  std::vector<float> out(w.size());
  for (auto _ : state) {
    kernel(w.data(), nullptr, n, 0.1, kernels::PerturbationStream{1, 2, 0}, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  report(state, n, 8 * n);
}

const auto distance_cpu = [](const kernels::Segment* s, std::int64_t n, kernels::SegmentNorms* out) {
  kernels::segment_norms(s, n, 2, 2, out, 1);
};
const auto distance_ref = [](const kernels::Segment* s, std::int64_t n, kernels::SegmentNorms* out) {
  kernels::segment_norms_ref(s, n, 2, 2, out);
};
const auto log_sums_cpu = [](const kernels::Segment* s, std::int64_t n, kernels::LogSums* out) {
  kernels::log_sums(s, n, 1e-6, 0.09, out, 1);
};
const auto log_sums_ref = [](const kernels::Segment* s, std::int64_t n, kernels::LogSums* out) {
  kernels::log_sums_ref(s, n, 1e-6, 0.09, out);
};
const auto logits_cpu = [](auto... arguments) { kernels::logit_statistics(arguments..., 1); };
const auto perturb_cpu = [](auto... arguments) { kernels::perturb(arguments..., 1); };

BENCHMARK_CAPTURE(distance, cpu, distance_cpu)
    ->ArgName("weights")
    ->Arg(1 << 16)
    ->Arg(1 << 24)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(distance, ref, distance_ref)
    ->ArgName("weights")
    ->Arg(1 << 16)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(log_sums, cpu, log_sums_cpu)
    ->ArgName("weights")
    ->Arg(1 << 16)
    ->Arg(1 << 24)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(log_sums, ref, log_sums_ref)
    ->ArgName("weights")
    ->Arg(1 << 16)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(logits, cpu, logits_cpu)
    ->ArgNames({"samples", "classes"})
    ->Args({1000, 10})
    ->Args({50000, 10})
    ->Args({10000, 1000})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(logits, ref, kernels::logit_statistics_ref)
    ->ArgNames({"samples", "classes"})
    ->Args({1000, 10})
    ->Args({50000, 10})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(tenth, cpu, kernels::kth_smallest)->ArgName("n")->Arg(50000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(tenth, ref, kernels::kth_smallest_ref)
    ->ArgName("n")
    ->Arg(50000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(perturb, cpu, perturb_cpu)
    ->ArgName("n")
    ->Arg(1 << 16)
    ->Arg(1 << 22)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(perturb, ref, kernels::perturb_ref)
    ->ArgName("n")
    ->Arg(1 << 16)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
