#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "measures/numerics/philox.h"
#include "measures/numerics/sum.h"
#include "tests/support/catch.h"

using namespace gapbench;

TEST_CASE("Philox4x32-10 gives the published known answers") {
  // Random123, kat_vectors
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint32_t f = 0xffffffff;
  CHECK(philox4x32({f, f, f, f}, {f, f}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("streams are functions of key and number") {
  RandomStream a(1, 2), b(1, 2), c(1, 3), d(2, 2);
  const auto first = a();
  CHECK(first == b());
  CHECK(first != c());
  CHECK(first != d());
  CHECK(random_key("ab", "c") != random_key("a", "bc"));
}

TEST_CASE("uniform, below and normal have their distributions") {
  RandomStream random(7);
  constexpr int n = 200000;
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0, fourth = 0;
  std::vector<int> counts(7, 0);
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform();
    REQUIRE(u >= 0);
    REQUIRE(u < 1);
    sum += u;
    squares += u * u;
    ++counts[random.below(7)];
    const double z = random.normal();
    normal_sum += z;
    normal_squares += z * z;
    fourth += z * z * z * z;
  }
  const double five_sigma = 5 / std::sqrt(n);
  CHECK(std::abs(sum / n - 0.5) < five_sigma * std::sqrt(1.0 / 12));
  CHECK(std::abs(squares / n - 1.0 / 3) < five_sigma * std::sqrt(4.0 / 45));
  CHECK(std::abs(normal_sum / n) < five_sigma);
  CHECK(std::abs(normal_squares / n - 1) < five_sigma * std::sqrt(2));
  CHECK(std::abs(fourth / n - 3) < five_sigma * std::sqrt(96));
  for (const int c : counts) CHECK(std::abs(c - n / 7.0) < 5 * std::sqrt(n / 7.0));
}

TEST_CASE("shuffle gives every permutation alike often") {
  RandomStream random(11);
  std::map<std::vector<int>, int> seen;
  constexpr int n = 24000;
  for (int i = 0; i < n; ++i) {
    std::vector<int> items = {0, 1, 2, 3};
    random.shuffle(items.begin(), items.end());
    ++seen[items];
  }
  CHECK(seen.size() == 24);
  for (const auto& [items, count] : seen) CHECK(std::abs(count - n / 24.0) < 5 * std::sqrt(n / 24.0));
}

TEST_CASE("a compensated sum keeps what a plain sum loses") {
  CompensatedSum sum;
  for (const double x : {1.0, 1e100, 1.0, -1e100}) sum.add(x);
  CHECK(sum.value() == 2.0);
  CompensatedSum tenths;
  for (int i = 0; i < 1000000; ++i) tenths.add(0.1);
  CHECK(tenths.value() == 100000.0);
}
