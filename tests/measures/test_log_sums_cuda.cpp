// The CUDA version of log_sums against the reference. Skipped, with the reason, where there is no device.
#include "tests/measures/device_segments.h"
#include "tests/measures/log_sum_cases.h"

using namespace gapbench;
using namespace gapbench::kernels;

TEST_CASE("CUDA log sums agree with the reference and with themselves") {
  skip_without_device();
  const HostSegments all;
  const std::vector<Segment>& host = all.segments;
  const DeviceSegments on_device(all);
  const std::vector<Segment>& device = on_device.segments;
  const auto count = static_cast<std::int64_t>(host.size());
  std::vector<LogSums> expected(host.size());
  for (const auto& [floor, scale] : floors_and_scales) {
    log_sums_ref(host.data(), count, floor, scale, expected.data());
    const DeviceBytes out(host.size() * sizeof(LogSums));
    const DeviceBytes workspace(log_sums_cuda_workspace(device.data(), count));
    const auto run = [&, floor = floor, scale = scale] {
      REQUIRE(log_sums_cuda(device.data(), count, floor, scale, out.as<LogSums>(), workspace.get(),
                            nullptr) == 0);
      return out.read<LogSums>();
    };
    const auto found = run();
    check_log_sums(found, expected, host, floor, scale);
    CHECK(std::memcmp(found.data(), run().data(), found.size() * sizeof(LogSums)) == 0);
  }
}
