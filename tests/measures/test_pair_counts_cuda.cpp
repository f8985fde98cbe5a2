// The CUDA versions of pair_counts and sign_counts against the references, which are the definitions. Skipped, with the reason,
// where there is no device.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "measures/kernels/pair_counts.h"
#include "measures/numerics/philox.h"
#include "tests/support/device.h"

using namespace gapbench;
using namespace gapbench::kernels;

TEST_CASE("CUDA counts pairs as the definition does") {
  skip_without_device();
  for (const std::int64_t n : {0, 1, 2, 31, 32, 33, 1000, 1023, 1024, 1025, 3000})
    for (const std::uint32_t distinct : {0u, 3u, 200u}) {  // 0: no ties
      RandomStream random(random_key("pair counts", "test"), static_cast<std::uint64_t>(n) * 1000 + distinct);
      std::vector<double> x, y;
      for (std::int64_t i = 0; i < n; ++i) {
        x.push_back(distinct == 0 ? random.normal() : static_cast<double>(random.below(distinct)) - 1);
        y.push_back(distinct == 0 ? x.back() + random.normal() : static_cast<double>(random.below(distinct)));
      }
      if (n > 4) x[1] = 1e-310, x[2] = -1e308, x[3] = 0.0, x[4] = -0.0;
      const DeviceBytes device_x(x, 8), device_y(y), out(sizeof(PairCounts)),
          workspace(pair_counts_cuda_workspace(n));
      REQUIRE(pair_counts_cuda(device_x.as<double>(), device_y.as<double>(), n, out.as<PairCounts>(),
                               workspace.get(), nullptr) == 0);
      const PairCounts found = out.read<PairCounts>()[0];
      PairCounts expected;
      pair_counts_ref(x.data(), y.data(), n, &expected);
      CAPTURE(n, distinct);
      CHECK(found.concordant == expected.concordant);
      CHECK(found.discordant == expected.discordant);
      CHECK(found.ties_x == expected.ties_x);
      CHECK(found.ties_y == expected.ties_y);
      CHECK(found.ties_both == expected.ties_both);
      CHECK(found.concordant + found.discordant ==
            n * (n - 1) / 2 - found.ties_x - found.ties_y + found.ties_both);
    }
}

TEST_CASE("CUDA counts pairs in closed form") {
  skip_without_device();
  const std::int64_t n = (1 << 20) + 1;
  std::vector<double> up(static_cast<std::size_t>(n)), down;
  std::iota(up.begin(), up.end(), -1e4);
  down.assign(up.rbegin(), up.rend());
  const DeviceBytes x(up), y(down), out(sizeof(PairCounts)), workspace(pair_counts_cuda_workspace(n));
  const auto count = [&](const DeviceBytes& a, const DeviceBytes& b, std::int64_t items) {
    REQUIRE(pair_counts_cuda(a.as<double>(), b.as<double>(), items, out.as<PairCounts>(), workspace.get(),
                             nullptr) == 0);
    return out.read<PairCounts>()[0];
  };
  CHECK(count(x, y, n).discordant == n * (n - 1) / 2);
  const std::int64_t fewer = 20001;
  CHECK(count(x, x, fewer).concordant == fewer * (fewer - 1) / 2);
}

TEST_CASE("CUDA counts joint signs as the definition does") {
  skip_without_device();
  struct Sizes {
    std::vector<std::int32_t> group;  // sizes
    std::int64_t measures;
    std::uint32_t distinct;
  };
  for (const Sizes& sizes :
       {Sizes{{}, 3, 5}, Sizes{{0}, 1, 5}, Sizes{{1}, 1, 5}, Sizes{{31, 0, 33, 32}, 3, 7},
        Sizes{{1000}, 2, 1000000}, Sizes{{5, 1100, 1, 300}, 2, 50}, Sizes{{2049, 1024}, 1, 9}}) {
    std::vector<std::int32_t> begin = {0};
    for (const std::int32_t g : sizes.group) begin.push_back(begin.back() + g);
    const std::int64_t n = begin.back(), groups = static_cast<std::int64_t>(sizes.group.size());
    RandomStream random(random_key("sign counts", "test"), static_cast<std::uint64_t>(n));
    const auto draw = [&](std::int64_t count) {
      std::vector<std::int32_t> v;
      for (std::int64_t i = 0; i < count; ++i)
        v.push_back(static_cast<std::int32_t>(random.below(sizes.distinct)));
      return v;
    };
    const std::vector<std::int32_t> gap = draw(n), x = draw(sizes.measures * n);
    const std::int64_t largest = groups == 0 ? 0 : *std::max_element(sizes.group.begin(), sizes.group.end());
    std::vector<std::int64_t> expected(static_cast<std::size_t>(sizes.measures * groups * groups));
    sign_counts_ref(gap.data(), x.data(), n, sizes.measures, begin.data(), groups, expected.data());
    const DeviceBytes device_gap(gap, 4), device_x(x, 4), device_begin(begin),
        both(expected.size() * sizeof(std::int64_t));
    REQUIRE(sign_counts_cuda(device_gap.as<std::int32_t>(), device_x.as<std::int32_t>(), n, sizes.measures,
                             device_begin.as<std::int32_t>(), groups, largest, both.as<std::int64_t>(),
                             nullptr) == 0);
    CAPTURE(n, groups, sizes.measures);
    CHECK(both.read<std::int64_t>() == expected);
  }
}
