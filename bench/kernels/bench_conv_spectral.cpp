// Operator norms of the 13 convolutions of a VGG-16 on 32 x 32 images, circular, each at its own input size:
// all of them (vgg16) on one thread and on two, and each on one.
//
// Counters  value   the norm, or the sum of the norms, which run.py compares with the peer's
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/support/input.h"
#include "measures/kernels/conv_spectral.h"

namespace {

using namespace gapbench;

std::vector<kernels::CircularConv> vgg16() {
  const auto layer = [](std::int64_t inputs, std::int64_t outputs, std::int64_t size) {
    return kernels::CircularConv{outputs, inputs, 3, 3, size, size, 1};
  };
  return {layer(3, 64, 32),   layer(64, 64, 32),  layer(64, 128, 16), layer(128, 128, 16), layer(128, 256, 8),
          layer(256, 256, 8), layer(256, 256, 8), layer(256, 512, 4), layer(512, 512, 4),  layer(512, 512, 4),
          layer(512, 512, 2), layer(512, 512, 2), layer(512, 512, 2)};
}

void measure(benchmark::State& state, const std::vector<kernels::CircularConv>& layers, int threads) {
  std::vector<std::vector<float>> weights;
  for (const kernels::CircularConv& c : layers)
    weights.push_back(bench::hashed_values(c.outputs * c.inputs * 9));
  double value = 0;
  for (auto _ : state) {
    value = 0;
    for (std::size_t l = 0; l < layers.size(); ++l)
      value += kernels::circular_conv_norm(weights[l], layers[l], threads).value;
    benchmark::DoNotOptimize(value);
  }
  if (layers.size() == 1 || threads == 2) state.counters["value"] = value;  // the peer runs once
}

void conv_norms_vgg16(benchmark::State& state) {
  measure(state, vgg16(), static_cast<int>(state.range(0)));
}
BENCHMARK(conv_norms_vgg16)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

void conv_norm(benchmark::State& state) {
  measure(state, {{state.range(1), state.range(0), 3, 3, state.range(2), state.range(2), 1}}, 1);
}
BENCHMARK(conv_norm)
    ->ArgNames({"inputs", "outputs", "size"})
    ->Args({3, 64, 32})
    ->Args({64, 64, 32})
    ->Args({128, 128, 16})
    ->Args({256, 256, 8})
    ->Args({512, 512, 4})
    ->Args({512, 512, 2})
    ->Unit(benchmark::kMillisecond);

}  // namespace
