// The device a stack runs on, and steps recorded once and replayed. Without CUDA in the build these say that there is none.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace gapbench::stack {

/// The device of stacks: the first CUDA device, or the CPU.
inline at::Device device_of(bool cuda) {
  return cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
}
/// Whether the build has CUDA and a device is there.
bool cuda_device_present();
/// Bytes that are free on the device now, with what the allocator holds unused. Of the CPU: 1 GiB.
std::int64_t free_memory(const at::Device& device);
/// "cpu", or the device's own name.
std::string device_name(const at::Device& device);
/// Waits until the device has done all that it was given by this thread.
void synchronise(const at::Device& device);
/// Gives back what the allocator holds unused.
void release_unused_memory(const at::Device& device);

/// While it lives, this thread's work on a CUDA device goes to the thread's own stream, which recording needs, in float32
/// without TF32. Nothing on the CPU. What one thread made on the device another may use once synchronise() has returned in the
/// first; memory is given back by the last user, synchronised.
class StreamScope {
 public:
  explicit StreamScope(const at::Device& device);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A function without arguments that does the same work on the same memory each time. Its first run is as it is, which
/// warms the libraries up; at the second it is recorded as a CUDA graph, and that and the later runs replay it. On the CPU
/// every run is as it is. To be run within a StreamScope. Several threads may record and run steps of their own at a time;
/// each graph has memory of its own.
class RepeatedStep {
 public:
  RepeatedStep(const at::Device& device, std::function<void()> work);
  ~RepeatedStep();
  RepeatedStep(RepeatedStep&&) noexcept;
  void run();

 private:
  struct Graph;
  at::Device device_;
  std::function<void()> work_;
  bool ran_ = false;
  std::unique_ptr<Graph> graph_;
};

}  // namespace gapbench::stack
