// Kendall's tau with all counts and the p-value, without and with ties, and tau-b of one bootstrap resample.
//
// Counters  items  items per second
//           value  tau-b, which run.py compares with the peers'
#include <benchmark/benchmark.h>

#include <cmath>

#include "bench/support/input.h"
#include "runners/ranking/kendall.h"

namespace {

using namespace gapbench;

struct Input {
  std::vector<double> x, y;
};

// y is x plus noise; `levels` > 0 makes ties
Input make_input(std::int64_t n, int levels) {
  const std::vector<float> a = bench::hashed_values(n), b = bench::hashed_values(n, 2246822507u);
  Input in;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = x + static_cast<double>(b[i]);
    in.x.push_back(levels > 0 ? std::floor(x * levels) : x);
    in.y.push_back(levels > 0 ? std::floor(y * levels) : y);
  }
  return in;
}

void report(benchmark::State& state, std::int64_t n, double tau) {
  state.counters["value"] = tau;
  state.counters["items"] =
      benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate);
}

void kendall_tau(benchmark::State& state, int levels) {
  const Input in = make_input(state.range(0), levels);
  Kendall k;
  for (auto _ : state) {
    k = kendall(in.x, in.y);
    benchmark::DoNotOptimize(k);
  }
  report(state, state.range(0), k.tau_b.value_or(0));
}

void resample(benchmark::State& state) {
  const Input in = make_input(state.range(0), 0);
  WeightedKendall weighted(in.x, in.y);
  std::vector<std::uint32_t> weights(in.x.size());
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<std::uint32_t>(i % 3);
  std::optional<double> tau;
  for (auto _ : state) {
    tau = weighted.tau_b(weights);
    benchmark::DoNotOptimize(tau);
  }
  report(state, state.range(0), tau.value_or(0));
}

BENCHMARK_CAPTURE(kendall_tau, distinct, 0)
    ->ArgName("n")
    ->Arg(100)
    ->Arg(10000)
    ->Arg(1000000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(kendall_tau, ties, 10)
    ->ArgName("n")
    ->Arg(100)
    ->Arg(10000)
    ->Arg(1000000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(resample)->ArgName("n")->Arg(100)->Arg(10000)->Unit(benchmark::kMicrosecond);

}  // namespace
