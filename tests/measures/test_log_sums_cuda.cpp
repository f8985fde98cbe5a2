// The CUDA version of log_sums against the reference. Skipped, with the reason, where there is no device.
#include <memory>

#include "tests/measures/log_sum_cases.h"
#include "tests/support/device.h"

using namespace gapbench;
using namespace gapbench::kernels;

TEST_CASE("CUDA log sums agree with the reference and with themselves") {
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
