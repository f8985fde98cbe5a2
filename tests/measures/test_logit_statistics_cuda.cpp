// The CUDA versions of logit_statistics and kth_smallest against the references. Skipped, with the reason, where there is
// no device.
#include <algorithm>

#include "tests/measures/logit_cases.h"
#include "tests/support/device.h"

using namespace gapbench::kernels;

TEST_CASE("CUDA logit statistics agree with the reference") {
  skip_without_device();
  for_each_logit_case([](const LogitCase& c) {
    const DeviceBytes logits(c.logits, 4), labels(c.labels), margins(c.labels.size() * sizeof(double));
    const DeviceBytes out(sizeof(LogitStatistics)), workspace(logit_statistics_cuda_workspace(c.samples));
    const auto run = [&](double* to) {
      REQUIRE(logit_statistics_cuda(logits.as<float>(), labels.as<std::int64_t>(), c.samples, c.classes, to,
                                    out.as<LogitStatistics>(), workspace.get(), nullptr) == 0);
      return out.read<LogitStatistics>()[0];
    };
    const LogitStatistics found = run(margins.as<double>());
    check_logits(c, margins.read<double>(), found, logit_error_cuda(c.classes) + 1e-14);
    CHECK(run(nullptr).cross_entropy == found.cross_entropy);
  });
}

TEST_CASE("CUDA selects the order statistic of a sorted list") {
  skip_without_device();
  for_each_selection([](const std::vector<double>& values, std::int64_t k) {
    const auto n = static_cast<std::int64_t>(values.size());
    const DeviceBytes device(values), out(sizeof(double)), workspace(kth_smallest_cuda_workspace());
    REQUIRE(kth_smallest_cuda(device.as<double>(), n, k, out.as<double>(), workspace.get(), nullptr) == 0);
    std::vector<double> sorted = values;
    CAPTURE(n, k);
    CHECK(out.read<double>()[0] == kth_smallest_ref(sorted.data(), n, k));
  });
}
