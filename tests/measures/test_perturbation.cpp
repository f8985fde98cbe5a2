// The CPU version of perturb against the stream's own normals, whatever the partition and the number of threads.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "measures/kernels/perturbation.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"

using namespace gapbench;
using namespace gapbench::kernels;

namespace {

std::vector<float> values(std::int64_t n, std::uint64_t stream) {
  RandomStream random(random_key("perturbation", "weights"), stream);
  std::vector<float> v;
  for (std::int64_t i = 0; i < n; ++i) v.push_back(static_cast<float>(2 * random.uniform() - 1));
  return v;
}

}  // namespace

TEST_CASE("perturb agrees with the reference") {
  for (const std::int64_t n : {0, 1, 31, 32, 33, 127, 128, 129, 1000, (1 << 20) + 1})
    for (const std::uint64_t first : {0, 1, 1000001})
      for (const bool scaled : {false, true}) {
        if (n > 1000 && first > 1) continue;
        const auto w = values(n, 1), s = values(n, 2);
        const PerturbationStream from{random_key("a", "b"), (std::uint64_t{7} << 40) + 3, first};
        const float* const scale = scaled ? s.data() : nullptr;
        std::vector<float> expected(w.size()), one(w.size()), three(w.size());
        perturb_ref(w.data(), scale, n, 0.3, from, expected.data());
        perturb(w.data(), scale, n, 0.3, from, one.data(), 1);
        perturb(w.data(), scale, n, 0.3, from, three.data(), 3);
        CHECK((n == 0 || std::memcmp(one.data(), three.data(), one.size() * 4) == 0));
        std::int64_t beyond = 0;
        for (std::size_t i = 0; i < w.size(); ++i)
          beyond += !(std::abs(static_cast<double>(one[i]) - static_cast<double>(expected[i])) <=
                      0x1p-23 * std::abs(static_cast<double>(expected[i])) + 1e-14 * 0.3);
        CAPTURE(n, first, scaled);
        CHECK(beyond == 0);
      }
}

TEST_CASE("a partition gives the same bits, in place, between guards, at an odd address") {
  const std::int64_t n = 5001;
  const auto w = values(n, 1);
  const PerturbationStream from{42, 9, 3};
  std::vector<float> whole(w.size()), parts(w.size() + 3, 77.0f);
  perturb(w.data(), nullptr, n, 2, from, whole.data(), 2);
  std::copy(w.begin(), w.end(), parts.begin() + 1);
  for (std::int64_t start = 0; start < n;) {
    const std::int64_t count = std::min<std::int64_t>(n - start, 1 + start % 613);
    PerturbationStream part = from;
    part.first += static_cast<std::uint64_t>(start);
    float* const at = parts.data() + 1 + start;
    perturb(at, nullptr, count, 2, part, at);
    start += count;
  }
  CHECK(std::equal(whole.begin(), whole.end(), parts.begin() + 1));
  CHECK(parts.front() == 77.0f);
  CHECK(parts[parts.size() - 2] == 77.0f);
}

TEST_CASE("perturb keeps what is not finite, and tiny weights") {
  const std::vector<float> w{std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                             1e-42f, -1e-42f};
  std::vector<float> out(4);
  perturb(w.data(), nullptr, 4, 0, {1, 2, 0}, out.data());
  CHECK(std::isnan(out[0]));
  CHECK(std::isinf(out[1]));
  CHECK(out[2] == w[2]);
  CHECK(out[3] == w[3]);
}

TEST_CASE("perturbations have the moments of a normal law") {
  const std::int64_t n = 1 << 20;
  const std::vector<float> w(static_cast<std::size_t>(n), 0.0f);
  std::vector<float> e(w.size());
  perturb(w.data(), nullptr, n, 1, {5, 6, 0}, e.data(), 2);
  double moments[4] = {};
  for (const float x : e)
    for (int k = 0; k < 4; ++k)
      moments[k] += std::pow(static_cast<double>(x), k + 1) / static_cast<double>(n);
  CHECK(std::abs(moments[0]) < 5 / 1024.0);  // five standard errors each
  CHECK(std::abs(moments[1] - 1) < 5 * std::sqrt(2) / 1024);
  CHECK(std::abs(moments[2]) < 5 * std::sqrt(15) / 1024);
  CHECK(std::abs(moments[3] - 3) < 5 * std::sqrt(96) / 1024);
}
