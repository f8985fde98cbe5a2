// Every CUDA kernel on data that are on the device, timed with events, and what the device attains in the same run: float32
// multiply-adds in registers, an SGEMM of cuBLAS where its library is found, and a copy. Skipped, with the reason, where
// there is no device.
//
// Counters  flops             multiply-adds count 2; only what the result needs, for cosines the pairs above the diagonal
//           bytes_per_second  each input read once, each output written once
//           of_fma, of_sgemm, of_copy  share of the rates above
//           value             a result, which run.py compares with that of the CPU version
#include <benchmark/benchmark.h>
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "bench/support/input.h"
#include "measures/kernels/conv_spectral.h"
#include "measures/kernels/log_sums.h"
#include "measures/kernels/logit_statistics.h"
#include "measures/kernels/pair_counts.h"
#include "measures/kernels/perturbation.h"
#include "measures/kernels/segment_norms.h"
#include "measures/kernels/singular_values.h"
#include "measures/kernels/spectral.h"
#include "measures/kernels/weight_correlation.h"

namespace {

using namespace gapbench;
using kernels::CosineSum;
using kernels::RowBatches;

// what the JSON says of the device
const bool described = [] {
  cudaDeviceProp device;
  if (cudaGetDeviceProperties(&device, 0) != cudaSuccess) return false;
  benchmark::AddCustomContext("cuda_device", device.name);
  return true;
}();

double fma_rate = 0, sgemm_rate = 0, copy_rate = 0;  // of this run, operations or bytes a second

class Memory {
 public:
  explicit Memory(std::size_t bytes) {
    if (cudaMalloc(&data_, bytes) != cudaSuccess) data_ = nullptr;
  }
  template <class T>
  explicit Memory(const std::vector<T>& values) : Memory(values.size() * sizeof(T)) {
    cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice);
  }
  ~Memory() { cudaFree(data_); }
  Memory(const Memory&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  template <class T>
  std::vector<T> read(std::size_t n) const {
    std::vector<T> values(n);
    cudaMemcpy(values.data(), data_, n * sizeof(T), cudaMemcpyDeviceToHost);
    return values;
  }

 private:
  void* data_ = nullptr;
};

// Names why there is nothing to measure.
bool without_device(benchmark::State& state) {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess && devices > 0) return false;
  state.SkipWithError((std::string("no CUDA device: ") + cudaGetErrorString(error)).c_str());
  return true;
}

// Times `call` and returns its best rate of `amount` a second: what a peak is. 0 where it failed.
double measure(benchmark::State& state, double amount, const std::function<void()>& call) {
  cudaEvent_t start, stop;
  cudaEventCreate(&start);
  cudaEventCreate(&stop);
  call();
  cudaDeviceSynchronize();
  double best = 0, total = 0;
  for (auto _ : state) {
    cudaEventRecord(start);
    call();
    cudaEventRecord(stop);
    cudaEventSynchronize(stop);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, start, stop);
    const double seconds = static_cast<double>(milliseconds) / 1000;
    state.SetIterationTime(seconds);
    total += seconds;
    if (seconds > 0) best = std::max(best, amount / seconds);
  }
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) state.SkipWithError(cudaGetErrorString(error));
  return error == cudaSuccess ? best : 0;
}

void report_flops(benchmark::State& state, double flops, double best) {
  state.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  if (fma_rate > 0) state.counters["of_fma"] = best / fma_rate;
  if (sgemm_rate > 0) state.counters["of_sgemm"] = best / sgemm_rate;
}
void report_bytes(benchmark::State& state, double bytes, double best) {
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
  if (copy_rate > 0) state.counters["of_copy"] = best / copy_rate;
}

// ---- peaks; first, because the others report shares of them

constexpr int fma_steps = 4096, fma_chains = 8, fma_threads = 256;
__global__ void multiply_adds(float* out, float a, float b) {
  float x[fma_chains];
  for (int i = 0; i < fma_chains; ++i) x[i] = static_cast<float>(threadIdx.x + i);
#pragma unroll 16
  for (int s = 0; s < fma_steps; ++s)
#pragma unroll
    for (int i = 0; i < fma_chains; ++i) x[i] = fmaf(x[i], a, b);
  float sum = 0;
  for (int i = 0; i < fma_chains; ++i) sum += x[i];
  out[blockIdx.x * fma_threads + threadIdx.x] = sum;
}

void cuda_peak_fma(benchmark::State& state) {
  if (without_device(state)) return;
  constexpr int blocks = 4096;
  const Memory out(std::size_t{blocks} * fma_threads * sizeof(float));
  const double flops = 2.0 * fma_steps * fma_chains * fma_threads * blocks;
  fma_rate =
      measure(state, flops, [&] { multiply_adds<<<blocks, fma_threads>>>(out.as<float>(), 0.999f, 0.5f); });
  report_flops(state, flops, fma_rate);
}

// cuBLAS by name, so that neither the build nor the program needs it
void cuda_peak_sgemm(benchmark::State& state) {
  if (without_device(state)) return;
  void* const library = dlopen("libcublas.so.13", RTLD_NOW);
  if (library == nullptr) {
    state.SkipWithError("libcublas.so.13 is not on the library path");
    return;
  }
  const auto create = reinterpret_cast<int (*)(void**)>(dlsym(library, "cublasCreate_v2"));
  const auto destroy = reinterpret_cast<int (*)(void*)>(dlsym(library, "cublasDestroy_v2"));
  const auto sgemm =
      reinterpret_cast<int (*)(void*, int, int, int, int, int, const float*, const float*, int, const float*,
                               int, const float*, float*, int)>(dlsym(library, "cublasSgemm_v2"));
  void* handle = nullptr;
  if (create == nullptr || destroy == nullptr || sgemm == nullptr || create(&handle) != 0) {
    state.SkipWithError("cuBLAS does not start");
    return;
  }
  const int n = static_cast<int>(state.range(0));
  const std::vector<float> values = bench::hashed_values(std::int64_t{n} * n);
  const Memory a(values), b(values), c(values.size() * sizeof(float));
  const float one = 1, zero = 0;
  const double flops = 2.0 * n * n * n;
  sgemm_rate = measure(state, flops, [&] {
    sgemm(handle, 1, 0, n, n, n, &one, a.as<float>(), n, b.as<float>(), n, &zero, c.as<float>(), n);  // A^T A
  });
  destroy(handle);
  report_flops(state, flops, sgemm_rate);
}

void cuda_peak_copy(benchmark::State& state) {
  if (without_device(state)) return;
  constexpr std::size_t bytes = std::size_t{1} << 30;
  const Memory from(bytes), to(bytes);
  copy_rate = measure(state, 2.0 * static_cast<double>(bytes), [&] {
    cudaMemcpyAsync(to.as<void>(), from.as<void>(), bytes, cudaMemcpyDeviceToDevice);
  });
  report_bytes(state, 2.0 * static_cast<double>(bytes), copy_rate);
}

// ---- kernels

void cosines(benchmark::State& state, RowBatches in, const std::vector<float>& values) {
  if (without_device(state)) return;
  const Memory data(values), out(static_cast<std::size_t>(in.batches) * sizeof(CosineSum));
  const Memory workspace(kernels::absolute_cosine_sums_cuda_workspace(in));
  in.data = data.as<float>();
  const auto flops = static_cast<double>(in.batches * in.rows * (in.rows - 1) * in.length);
  const double best = measure(state, flops, [&] {
    kernels::absolute_cosine_sums_cuda(in, out.as<CosineSum>(), workspace.as<void>(), nullptr);
  });
  double value = 0;
  for (const CosineSum& c : out.read<CosineSum>(static_cast<std::size_t>(in.batches))) value += c.sum;
  report_flops(state, flops, best);
  report_bytes(state, 4.0 * static_cast<double>(values.size()),
               best / flops * 4 * static_cast<double>(values.size()));
  state.counters["value"] = value;
}

void dense_cuda(benchmark::State& state) {
  const std::int64_t rows = state.range(0), length = state.range(1);
  const std::vector<float> w = bench::hashed_values(rows * length);
  cosines(state, {w.data(), 1, rows, length, length, 0}, w);
}

void conv3x3_cuda(benchmark::State& state) {
  const std::int64_t outputs = state.range(0), inputs = state.range(1), positions = 9;
  const std::vector<float> w = bench::hashed_values(outputs * inputs * positions);
  cosines(state, {w.data(), inputs, outputs, positions, inputs * positions, positions}, w);
}

// The smoothed means, and the gradient, of a dense layer or of the slices of a 3 x 3 convolution.
RowBatches layer(const benchmark::State& state, const float* w) {
  const std::int64_t outputs = state.range(0), inputs = state.range(1), positions = state.range(2);
  if (positions == 1) return {w, 1, outputs, inputs, inputs, 0};
  return {w, inputs, outputs, positions, inputs * positions, positions};
}
void smoothed_means_cuda(benchmark::State& state) {
  if (without_device(state)) return;
  const Memory w(bench::hashed_values(state.range(0) * state.range(1) * state.range(2)));
  const RowBatches in = layer(state, w.as<float>());
  const Memory out(static_cast<std::size_t>(in.batches) * sizeof(double)),
      workspace(kernels::smoothed_cosine_means_cuda_workspace(in));
  const auto flops = static_cast<double>(in.batches * in.rows * (in.rows - 1) * in.length);
  const double best = measure(state, flops, [&] {
    kernels::smoothed_cosine_means_cuda(in, 1e-5, out.as<double>(), workspace.as<void>(), nullptr);
  });
  report_flops(state, flops, best);
}
void cosine_gradients_cuda(benchmark::State& state) {
  if (without_device(state)) return;
  const std::vector<float> values = bench::hashed_values(state.range(0) * state.range(1) * state.range(2));
  const Memory w(values), out(values.size() * sizeof(float));
  const RowBatches in = layer(state, w.as<float>());
  const Memory workspace(kernels::absolute_cosine_gradients_cuda_workspace(in));
  const auto flops = 3.0 * static_cast<double>(in.batches * in.rows * (in.rows - 1) * in.length);
  const double best = measure(state, flops, [&] {
    kernels::absolute_cosine_gradients_cuda(in, out.as<float>(), workspace.as<void>(), nullptr);
  });
  report_flops(state, flops, best);
}
void layer_sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"outputs", "inputs", "positions"});
  for (const auto& sizes :
       {std::vector<std::int64_t>{512, 2048, 1}, {4096, 4096, 1}, {64, 64, 9}, {512, 512, 9}})
    b->Args(sizes);
  b->UseManualTime()->Unit(benchmark::kMicrosecond);
}

void norms_cuda(benchmark::State& state, double p, double q) {
  if (without_device(state)) return;
  const std::int64_t layers = 8, rows = state.range(0), length = state.range(1);
  const std::vector<float> values = bench::hashed_values(layers * rows * length);
  const Memory a(values);
  std::vector<kernels::Segment> segments;
  for (std::int64_t l = 0; l < layers; ++l)
    segments.push_back({a.as<float>() + l * rows * length, nullptr, rows, length});
  const Memory out(static_cast<std::size_t>(layers) * sizeof(kernels::SegmentNorms));
  const Memory workspace(kernels::segment_norms_cuda_workspace(segments.data(), layers, p, q));
  const double bytes = 4.0 * static_cast<double>(values.size());
  const double best = measure(state, bytes, [&] {
    kernels::segment_norms_cuda(segments.data(), layers, p, q, out.as<kernels::SegmentNorms>(),
                                workspace.as<void>(), nullptr);
  });
  report_bytes(state, bytes, best);
}

void log_sums_cuda(benchmark::State& state) {
  if (without_device(state)) return;
  const std::int64_t layers = 8, size = state.range(0);
  const Memory a(bench::hashed_values(layers * size)), b(bench::hashed_values(layers * size + 1));
  std::vector<kernels::Segment> segments;
  for (std::int64_t l = 0; l < layers; ++l)
    segments.push_back({a.as<float>() + l * size, b.as<float>() + l * size + 1, 1, size});
  const Memory out(static_cast<std::size_t>(layers) * sizeof(kernels::LogSums)),
      workspace(kernels::log_sums_cuda_workspace(segments.data(), layers));
  const double bytes = 8.0 * static_cast<double>(layers * size);
  const double best = measure(state, bytes, [&] {
    kernels::log_sums_cuda(segments.data(), layers, 1e-6, 0.09, out.as<kernels::LogSums>(),
                           workspace.as<void>(), nullptr);
  });
  report_bytes(state, bytes, best);
}

void logits_cuda(benchmark::State& state) {
  if (without_device(state)) return;
  const std::int64_t samples = state.range(0), classes = state.range(1);
  const std::vector<float> values = bench::hashed_values(samples * classes);
  std::vector<std::int64_t> y;
  for (std::int64_t i = 0; i < samples; ++i) y.push_back(i % classes);
  const Memory logits(values), labels(y), margins(y.size() * sizeof(double)),
      out(sizeof(kernels::LogitStatistics));
  const Memory workspace(kernels::logit_statistics_cuda_workspace(samples));
  const double bytes = 4.0 * static_cast<double>(values.size()) + 16.0 * static_cast<double>(samples);
  const double best = measure(state, bytes, [&] {
    kernels::logit_statistics_cuda(logits.as<float>(), labels.as<std::int64_t>(), samples, classes,
                                   margins.as<double>(), out.as<kernels::LogitStatistics>(),
                                   workspace.as<void>(), nullptr);
  });
  report_bytes(state, bytes, best);
}

void kth_smallest_cuda(benchmark::State& state) {
  if (without_device(state)) return;
  const std::int64_t n = state.range(0);
  const std::vector<float> hashed = bench::hashed_values(n);
  const Memory values(std::vector<double>(hashed.begin(), hashed.end())), out(sizeof(double));
  const Memory workspace(kernels::kth_smallest_cuda_workspace());
  // two reads that count, one that lists; in 2^26 of these values more than can be listed agree
  const double bytes = (n == 1 << 26 ? 6.0 : 3.0) * 8 * static_cast<double>(n);
  const double best = measure(state, bytes, [&] {
    kernels::kth_smallest_cuda(values.as<double>(), n, n / 10, out.as<double>(), workspace.as<void>(),
                               nullptr);
  });
  report_bytes(state, bytes, best);
}

void perturb_cuda(benchmark::State& state, bool scaled) {
  if (without_device(state)) return;
  const std::int64_t n = state.range(0);
  const std::vector<float> values = bench::hashed_values(n);
  const Memory w(values), s(values), out(values.size() * sizeof(float));
  const double bytes = (scaled ? 12.0 : 8.0) * static_cast<double>(n);
  const double best = measure(state, bytes, [&] {
    kernels::perturb_cuda(w.as<float>(), scaled ? s.as<float>() : nullptr, n, 0.1, {1, 2, 0}, out.as<float>(),
                          nullptr);
  });
  report_bytes(state, bytes, best);
}

void singular_values_cuda(benchmark::State& state) {
  if (without_device(state)) return;
  const std::int64_t batches = state.range(0), rows = state.range(1), columns = state.range(2);
  const std::vector<float> values = bench::hashed_values(batches * rows * columns);
  const Memory data(values);
  const kernels::MatrixBatch in{data.as<float>(), batches, rows, columns, rows * columns, columns, 1};
  const auto count = static_cast<std::size_t>(batches * std::min(rows, columns));
  const Memory out(count * sizeof(double)), workspace(kernels::singular_values_cuda_workspace(in));
  const auto m = static_cast<double>(std::max(rows, columns)),
             n = static_cast<double>(std::min(rows, columns));
  const double flops =
      static_cast<double>(batches) * (4 * m * n * n - 4 * n * n * n / 3);  // the reduction, float64
  const double best = measure(state, flops, [&] {
    kernels::singular_values_cuda(in, out.as<double>(), workspace.as<void>(), nullptr);
  });
  report_flops(state, flops, best);
  double value = 0;
  for (const double s : out.read<double>(count)) value += s;
  state.counters["value"] = value;
  state.counters["items"] =
      benchmark::Counter(static_cast<double>(batches), benchmark::Counter::kIsIterationInvariantRate);
}

// 3 x 3 convolutions: circular, and with their zero padding.
void conv_norm_cuda(benchmark::State& state) {
  if (without_device(state)) return;
  const kernels::CircularConv c{state.range(1), state.range(0), 3, 3, state.range(2), state.range(2), 1};
  const Memory w(bench::hashed_values(c.outputs * c.inputs * 9)), out(sizeof(kernels::OperatorNorm));
  const Memory workspace(kernels::circular_conv_norm_cuda_workspace(c));
  const auto run = [&] {
    kernels::circular_conv_norm_cuda(w.as<float>(), c, out.as<kernels::OperatorNorm>(), workspace.as<void>(),
                                     nullptr);
  };
  run();
  const kernels::OperatorNorm norm = out.read<kernels::OperatorNorm>(1)[0];
  const double flops =
      static_cast<double>(16 * norm.iterations * c.outputs * c.inputs);  // of the steps' products
  report_flops(state, flops, measure(state, flops, run));
  state.counters["value"] = norm.value;
}
void conv_operator_norm_cuda(benchmark::State& state) {
  if (without_device(state)) return;
  const kernels::ConvShape c{state.range(1), state.range(0), 3, 3, state.range(2), state.range(2), 1, 1};
  const Memory w(bench::hashed_values(c.outputs * c.inputs * 9)), out(sizeof(kernels::OperatorNorm));
  const Memory workspace(kernels::conv_operator_norm_cuda_workspace(c));
  const auto run = [&] {
    kernels::conv_operator_norm_cuda(w.as<float>(), c, out.as<kernels::OperatorNorm>(), workspace.as<void>(),
                                     nullptr);
  };
  run();
  const kernels::OperatorNorm norm = out.read<kernels::OperatorNorm>(1)[0];
  // of the steps' two convolutions, float64
  const double flops =
      static_cast<double>(4 * norm.iterations * c.outputs * c.inputs * 9 * c.height * c.width);
  report_flops(state, flops, measure(state, flops, run));
  state.counters["value"] = norm.value;
}
void conv_sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"inputs", "outputs", "size"});
  for (const auto& sizes : {std::vector<std::int64_t>{3, 64, 32},
                            {64, 64, 32},
                            {128, 128, 16},
                            {256, 256, 8},
                            {512, 512, 4},
                            {512, 512, 2}})
    b->Args(sizes);
  b->UseManualTime()->Unit(benchmark::kMicrosecond);
}

void pair_counts_cuda(benchmark::State& state) {
  if (without_device(state)) return;
  const std::int64_t n = state.range(0);
  const std::vector<float> hashed = bench::hashed_values(2 * n);
  const Memory values(std::vector<double>(hashed.begin(), hashed.end())), out(sizeof(kernels::PairCounts)),
      workspace(kernels::pair_counts_cuda_workspace(n));
  measure(state, 1, [&] {
    kernels::pair_counts_cuda(values.as<double>(), values.as<double>() + n, n, out.as<kernels::PairCounts>(),
                              workspace.as<void>(), nullptr);
  });
  state.SetItemsProcessed(n * state.iterations());
  state.counters["value"] = static_cast<double>(out.read<kernels::PairCounts>(1)[0].concordant);
}
void sign_counts_cuda(benchmark::State& state) {
  if (without_device(state)) return;
  const std::int64_t n = state.range(0), measures = state.range(1), groups = state.range(2);
  std::vector<std::int32_t> ranks, begin;
  for (const float x : bench::hashed_values((1 + measures) * n))
    ranks.push_back(static_cast<std::int32_t>(x * 1e6f));
  for (std::int64_t g = 0; g <= groups; ++g) begin.push_back(static_cast<std::int32_t>(g * n / groups));
  const Memory values(ranks), starts(begin);
  const Memory both(static_cast<std::size_t>(measures * groups * groups) * sizeof(std::int64_t));
  measure(state, 1, [&] {
    kernels::sign_counts_cuda(values.as<std::int32_t>(), values.as<std::int32_t>() + n, n, measures,
                              starts.as<std::int32_t>(), groups, n / groups + 1, both.as<std::int64_t>(),
                              nullptr);
  });
}

BENCHMARK(cuda_peak_fma)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(cuda_peak_sgemm)->ArgName("n")->Arg(4096)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(cuda_peak_copy)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(dense_cuda)
    ->Name("dense/cuda")
    ->ArgNames({"rows", "length"})
    ->Args({52, 784})
    ->Args({512, 2048})
    ->Args({2048, 512})
    ->Args({4096, 4096})
    ->Args({8192, 4096})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(conv3x3_cuda)
    ->Name("conv3x3/cuda")
    ->ArgNames({"outputs", "inputs"})
    ->Args({64, 64})
    ->Args({256, 256})
    ->Args({512, 512})
    ->Args({32, 65536})
    ->Args({8, 262144})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(smoothed_means_cuda)->Name("smoothed_means/cuda")->Apply(layer_sizes);
BENCHMARK(cosine_gradients_cuda)->Name("cosine_gradients/cuda")->Apply(layer_sizes);
BENCHMARK_CAPTURE(norms_cuda, frobenius, 2, 2)
    ->ArgNames({"rows", "length"})
    ->Args({4096, 4096})
    ->Args({64, 576})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(norms_cuda, rows_2_1, 2, 1)
    ->ArgNames({"rows", "length"})
    ->Args({4096, 4096})
    ->Args({64, 576})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(log_sums_cuda)
    ->Name("log_sums/cuda")
    ->ArgName("size")
    ->Arg(1 << 24)
    ->Arg(36864)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(logits_cuda)
    ->ArgNames({"samples", "classes"})
    ->Args({50000, 10})
    ->Args({10000000, 10})
    ->Args({200000, 1000})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(kth_smallest_cuda)
    ->ArgName("n")
    ->Arg(50000)
    ->Arg(10000000)
    ->Arg(1 << 26)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(perturb_cuda, plain, false)
    ->ArgName("n")
    ->Arg(1 << 26)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(perturb_cuda, scaled, true)
    ->ArgName("n")
    ->Arg(1 << 26)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(pair_counts_cuda)
    ->Name("pair_counts/cuda")
    ->ArgName("n")
    ->Arg(10000)
    ->Arg(100000)
    ->Arg(1 << 24)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(sign_counts_cuda)
    ->Name("sign_counts/cuda")
    ->ArgNames({"n", "measures", "groups"})
    ->Args({1000, 64, 9})
    ->Args({10000, 64, 9})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(conv_norm_cuda)->Name("conv_norm/cuda")->Apply(conv_sizes);
BENCHMARK(conv_operator_norm_cuda)->Name("conv_operator_norm/cuda")->Apply(conv_sizes);
BENCHMARK(singular_values_cuda)
    ->Name("singular_values/cuda")
    ->ArgNames({"batches", "rows", "columns"})
    ->Args({4096, 16, 16})
    ->Args({512, 64, 64})
    ->Args({512, 64, 32})
    ->Args({9, 256, 128})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
