// device.h where nvcc and a LibTorch with CUDA are there; runs without a device too.
#include <ATen/Context.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <mutex>
#include <optional>
#include <shared_mutex>

#include "measures/api/error.h"
#include "zoo/engine/stack/device.h"

namespace gapbench::stack {
namespace {

// While one thread records a graph no other may launch one, which sets up the same generator, or make the allocator give
// memory back, which it refuses while anything is being recorded.
std::shared_mutex recording;

// A stream for each thread: memory that the allocator holds belongs to the stream it was first used on.
c10::cuda::CUDAStream own_stream(const at::Device& device) {
  thread_local std::optional<c10::cuda::CUDAStream> stream;
  if (!stream) stream = c10::cuda::getStreamFromPool(true, device.index());
  return *stream;
}

}  // namespace

bool cuda_device_present() {
  return at::hasCUDA() && c10::cuda::device_count() > 0;
}

std::int64_t free_memory(const at::Device& device) {
  if (!device.is_cuda()) return std::int64_t{1} << 30;
  const c10::cuda::CUDAGuard guard(device);
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess)
    throw InternalError("the CUDA device does not say how much memory it has");
  return static_cast<std::int64_t>(free);
}

std::string device_name(const at::Device& device) {
  if (!device.is_cuda()) return "cpu";
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, device.index()) != cudaSuccess) return "cuda";
  return properties.name;
}

void synchronise(const at::Device& device) {
  if (device.is_cuda()) c10::cuda::getCurrentCUDAStream(device.index()).synchronize();
}

void release_unused_memory(const at::Device& device) {
  if (!device.is_cuda()) return;
  const std::unique_lock lock(recording);
  c10::cuda::CUDACachingAllocator::emptyCache();
}

struct StreamScope::Impl {
  explicit Impl(const at::Device& device) : guard(own_stream(device)) {}
  c10::cuda::CUDAStreamGuard guard;
};
StreamScope::StreamScope(const at::Device& device) {
  if (!device.is_cuda()) return;
  static std::once_flag once;
  std::call_once(once, [] {
    at::globalContext().setFloat32MatmulPrecision("highest");
    at::globalContext().setAllowTF32CuDNN(false);
  });
  impl_ = std::make_unique<Impl>(device);
}
StreamScope::~StreamScope() = default;

struct RepeatedStep::Graph {
  at::cuda::CUDAGraph graph;
};
RepeatedStep::RepeatedStep(const at::Device& device, std::function<void()> work)
    : device_(device), work_(std::move(work)) {}
RepeatedStep::~RepeatedStep() {
  if (!graph_) return;
  const std::unique_lock lock(recording);
  graph_.reset();
}
RepeatedStep::RepeatedStep(RepeatedStep&&) noexcept = default;
void RepeatedStep::run() {
  if (!device_.is_cuda() || !ran_) {
    ran_ = true;
    work_();
    return;
  }
  if (!graph_) {
    synchronise(device_);
    const std::unique_lock lock(recording);
    auto graph = std::make_unique<Graph>();
    graph->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    work_();
    graph->graph.capture_end();
    graph_ = std::move(graph);
  }
  const std::shared_lock lock(recording);
  graph_->graph.replay();
}

}  // namespace gapbench::stack
