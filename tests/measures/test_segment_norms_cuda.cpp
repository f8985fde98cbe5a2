// The CUDA version of segment_norms against the reference. Skipped, with the reason, where there is no device.
#include "tests/measures/device_segments.h"
#include "tests/measures/segment_cases.h"

using namespace gapbench;
using namespace gapbench::kernels;

TEST_CASE("CUDA segment norms agree with the reference and with themselves") {
  skip_without_device();
  const HostSegments all;
  const std::vector<Segment>& host = all.segments;
  const DeviceSegments on_device(all);
  const std::vector<Segment>& device = on_device.segments;
  const auto count = static_cast<std::int64_t>(host.size());
  std::vector<SegmentNorms> expected(host.size());
  for (const auto& [p, q] : {std::pair{2.0, 2.0}, std::pair{2.0, 1.0}, std::pair{1.0, 2.0},
                             std::pair{1.0, 1.0}, std::pair{3.0, 1.5}}) {
    segment_norms_ref(host.data(), count, p, q, expected.data());
    const DeviceBytes out(host.size() * sizeof(SegmentNorms));
    const DeviceBytes workspace(segment_norms_cuda_workspace(device.data(), count, p, q));
    REQUIRE(segment_norms_cuda(device.data(), count, p, q, out.as<SegmentNorms>(), workspace.get(),
                               nullptr) == 0);
    const auto found = out.read<SegmentNorms>();
    check_norms(found, expected, p, q);
    REQUIRE(segment_norms_cuda(device.data(), count, p, q, out.as<SegmentNorms>(), workspace.get(),
                               nullptr) == 0);
    const auto again = out.read<SegmentNorms>();
    CHECK(std::memcmp(found.data(), again.data(), found.size() * sizeof(SegmentNorms)) == 0);
  }
}
