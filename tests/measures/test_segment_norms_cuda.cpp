// The CUDA version of segment_norms against the reference. Skipped, with the reason, where there is no device.
#include <memory>

#include "tests/measures/segment_cases.h"
#include "tests/support/device.h"

using namespace gapbench;
using namespace gapbench::kernels;

TEST_CASE("CUDA segment norms agree with the reference and with themselves") {
  skip_without_device();
  const auto& cases = segment_cases();
  std::vector<std::vector<float>> a, b;
  std::vector<std::unique_ptr<DeviceBytes>> memory;
  std::vector<Segment> host, device;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    a.push_back(segment_values(cases[i], 2 * i));
    b.push_back(segment_values({cases[i].rows, cases[i].length, true, cases[i].scale}, 2 * i + 1));
    host.push_back({a[i].data(), cases[i].with_b ? b[i].data() : nullptr, cases[i].rows, cases[i].length});
    device.push_back(host.back());
    memory.push_back(std::make_unique<DeviceBytes>(a[i], i % 3 * 4));
    device.back().a = memory.back()->as<float>();
    if (!cases[i].with_b) continue;
    memory.push_back(std::make_unique<DeviceBytes>(b[i], i % 5 * 4));
    device.back().b = memory.back()->as<float>();
  }
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
