// device.h where the build has no CUDA.
#include "zoo/engine/stack/device.h"

namespace gapbench::stack {

bool cuda_device_present() {
  return false;
}
std::int64_t free_memory(const at::Device&) {
  return std::int64_t{1} << 30;
}
std::string device_name(const at::Device&) {
  return "cpu";
}
void synchronise(const at::Device&) {}
void release_unused_memory(const at::Device&) {}

struct StreamScope::Impl {};
StreamScope::StreamScope(const at::Device&) {}
StreamScope::~StreamScope() = default;

struct RepeatedStep::Graph {};
RepeatedStep::RepeatedStep(const at::Device& device, std::function<void()> work)
    : device_(device), work_(std::move(work)) {}
RepeatedStep::~RepeatedStep() = default;
RepeatedStep::RepeatedStep(RepeatedStep&&) noexcept = default;
void RepeatedStep::run() {
  work_();
}

}  // namespace gapbench::stack
