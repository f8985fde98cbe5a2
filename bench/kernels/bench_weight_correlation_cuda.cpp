// The CUDA version on data that are on the device, timed with events. Skipped, with the reason, where there is no device.
#include <benchmark/benchmark.h>
#include <cuda_runtime.h>

#include <string>

#include "bench/support/input.h"
#include "measures/kernels/weight_correlation.h"

namespace {

using namespace gapbench;
using kernels::CosineSum;
using kernels::RowBatches;

void measure(benchmark::State& state, RowBatches in, const std::vector<float>& values) {
  int devices = 0;
  cudaError_t error = cudaGetDeviceCount(&devices);
  if (error != cudaSuccess || devices == 0) {
    state.SkipWithError((std::string("no CUDA device: ") + cudaGetErrorString(error)).c_str());
    return;
  }
  void *data = nullptr, *out = nullptr, *workspace = nullptr;
  cudaMalloc(&data, values.size() * sizeof(float));
  cudaMalloc(&out, static_cast<std::size_t>(in.batches) * sizeof(CosineSum));
  cudaMalloc(&workspace, kernels::absolute_cosine_sums_cuda_workspace(in));
  cudaMemcpy(data, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice);
  in.data = static_cast<const float*>(data);
  cudaEvent_t start, stop;
  cudaEventCreate(&start);
  cudaEventCreate(&stop);
  for (auto _ : state) {
    cudaEventRecord(start);
    kernels::absolute_cosine_sums_cuda(in, static_cast<CosineSum*>(out), workspace, nullptr);
    cudaEventRecord(stop);
    cudaEventSynchronize(stop);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, start, stop);
    state.SetIterationTime(static_cast<double>(milliseconds) / 1000);
  }
  std::vector<CosineSum> sums(static_cast<std::size_t>(in.batches));
  cudaMemcpy(sums.data(), out, sums.size() * sizeof(CosineSum), cudaMemcpyDeviceToHost);
  error = cudaGetLastError();
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  cudaFree(data);
  cudaFree(out);
  cudaFree(workspace);
  if (error != cudaSuccess) {
    state.SkipWithError(cudaGetErrorString(error));
    return;
  }
  double value = 0, pairs = 0;
  for (const CosineSum& c : sums) {
    value += c.sum;
    pairs += static_cast<double>(c.pairs);
  }
  const auto flops = static_cast<double>(in.batches * in.rows * (in.rows - 1) * in.length);
  state.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["pairs"] = benchmark::Counter(pairs, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["value"] = value;
}

void dense_cuda(benchmark::State& state) {
  const std::int64_t rows = state.range(0), length = state.range(1);
  const std::vector<float> w = bench::hashed_values(rows * length);
  measure(state, {w.data(), 1, rows, length, length, 0}, w);
}
void conv3x3_cuda(benchmark::State& state) {
  const std::int64_t outputs = state.range(0), inputs = state.range(1), positions = 9;
  const std::vector<float> w = bench::hashed_values(outputs * inputs * positions);
  measure(state, {w.data(), inputs, outputs, positions, inputs * positions, positions}, w);
}
BENCHMARK(dense_cuda)
    ->Name("dense/cuda")
    ->ArgNames({"rows", "length"})
    ->Args({52, 784})
    ->Args({512, 2048})
    ->Args({2048, 512})
    ->Args({8192, 4096})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(conv3x3_cuda)
    ->Name("conv3x3/cuda")
    ->ArgNames({"outputs", "inputs"})
    ->Args({64, 64})
    ->Args({256, 256})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
