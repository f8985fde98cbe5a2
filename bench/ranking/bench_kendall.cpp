// Kendall's tau with all counts and the p-value, without and with ties, and tau-b of one bootstrap resample.
//
// Counters  items  items per second
//           value  tau-b, which run.py compares with the peers'
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

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

// Input in other orders, with the same tau: a processor that meets one order again and again learns its comparisons by
// heart, and a sort of a thousand items then takes a sixth of the time it takes on data seen once.
std::vector<Input> in_other_orders(const Input& in) {
  std::vector<Input> orders;
  const std::size_t n = in.x.size(), count = std::min<std::size_t>({n, 256, 1 + 2000000 / n});
  for (std::size_t i = 0; i < count; ++i) {
    Input turned = in;
    const auto by = static_cast<std::ptrdiff_t>(i * n / count);
    std::rotate(turned.x.begin(), turned.x.begin() + by, turned.x.end());
    std::rotate(turned.y.begin(), turned.y.begin() + by, turned.y.end());
    orders.push_back(std::move(turned));
  }
  return orders;
}

void kendall_tau(benchmark::State& state, int levels) {
  const std::vector<Input> orders = in_other_orders(make_input(state.range(0), levels));
  Kendall k;
  std::size_t next = 0;
  for (auto _ : state) {
    k = kendall(orders[next].x, orders[next].y);
    benchmark::DoNotOptimize(k);
    next = next + 1 < orders.size() ? next + 1 : 0;
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
    ->Arg(20)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(10000)
    ->Arg(100000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(kendall_tau, ties, 10)
    ->ArgName("n")
    ->Arg(20)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(10000)
    ->Arg(100000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(resample)->ArgName("n")->Arg(100)->Arg(10000)->Unit(benchmark::kMicrosecond);

}  // namespace
