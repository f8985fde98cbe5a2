// device.h where nvcc and a LibTorch with CUDA are there; runs without a device too.
#include <ATen/Context.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <mutex>
#include <shared_mutex>
#include <vector>

#include "measures/api/error.h"
#include "zoo/engine/stack/device.h"

namespace gapbench::stack {
namespace {

// While one thread records a graph no other may launch one, which sets up the same generator, or make the allocator give
// memory back, which it refuses while anything is being recorded.
std::shared_mutex recording;

// A stream that no other living thread has. LibTorch's own pool deals 32 streams out in turn: after some threads have come and
// gone a new one would get that of an older one still at work, and record the other's work into its graph. Those of ended threads
// are taken again, with the memory that the allocator holds for them.
class OwnStream {
 public:
  explicit OwnStream(const at::Device& device) {
    const std::lock_guard lock(mutex);
    if (!unused.empty()) {
      stream_ = unused.back();
      unused.pop_back();
      return;
    }
    const c10::cuda::CUDAGuard guard(device);
    int least = 0, greatest = 0;
    if (cudaDeviceGetStreamPriorityRange(&least, &greatest) != cudaSuccess ||
        cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest) != cudaSuccess)
      throw InternalError("the CUDA device gives no stream");
  }
  ~OwnStream() {
    const std::lock_guard lock(mutex);
    unused.push_back(stream_);
  }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  static inline std::mutex mutex;
  static inline std::vector<cudaStream_t> unused;
  cudaStream_t stream_ = nullptr;
};

// Of this thread: memory that the allocator holds belongs to the stream it was first used on. There is one device.
c10::cuda::CUDAStream own_stream(const at::Device& device) {
  thread_local const OwnStream stream(device);
  return c10::cuda::getStreamFromExternal(stream.get(), device.index());
}

// After an error while recording, or one that ends it: the thread's stream and the allocator record no longer.
void abandon(at::cuda::CUDAGraph& graph, const at::Device& device) {
  cudaGraph_t recorded = nullptr;
  if (cudaStreamEndCapture(c10::cuda::getCurrentCUDAStream(device.index()), &recorded) == cudaSuccess &&
      recorded != nullptr)
    cudaGraphDestroy(recorded);
  cudaGetLastError();
  try {
    c10::cuda::CUDACachingAllocator::endAllocateToPool(device.index(), graph.pool());
  } catch (const c10::Error&) {  // it had ended
  }
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
    try {
      work_();
      graph->graph.capture_end();
    } catch (...) {
      abandon(graph->graph, device_);
      throw;
    }
    graph_ = std::move(graph);
  }
  const std::shared_lock lock(recording);
  graph_->graph.replay();
}

}  // namespace gapbench::stack
