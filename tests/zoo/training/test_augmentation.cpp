// Augmentation, mixup and label noise: what they do to a batch, and their distributions.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "tests/support/catch.h"
#include "zoo/data/label_noise.h"
#include "zoo/training/augmentation.h"

using namespace gapbench;

TEST_CASE(
    "flip and crop moves whole pixels, mirrors half of the images, and treats both memory orders alike") {
  const ImageLayout rows{2, 8, 8, false}, last{2, 8, 8, true};
  const std::int64_t n = 4000;
  std::vector<float> a(static_cast<std::size_t>(n * rows.size())), b(a.size());
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t c = 0; c < 2; ++c)
      for (std::int64_t y = 0; y < 8; ++y)
        for (std::int64_t x = 0; x < 8; ++x) {
          const auto value = static_cast<float>(1 + c * 64 + y * 8 + x);
          a[static_cast<std::size_t>(i * 128 + c * 64 + y * 8 + x)] = value;
          b[static_cast<std::size_t>(i * 128 + (y * 8 + x) * 2 + c)] = value;
        }
  RandomStream first(1, 2), second(1, 2);
  flip_and_crop(a.data(), n, rows, first);
  flip_and_crop(b.data(), n, last, second);
  std::map<std::tuple<bool, int, int>, int> seen;
  for (std::int64_t i = 0; i < n; ++i) {
    // pixel (4, 4) is always inside, and its neighbour tells the direction
    const auto at = [&](std::int64_t c, std::int64_t y, std::int64_t x) {
      return static_cast<int>(a[static_cast<std::size_t>(i * 128 + c * 64 + y * 8 + x)]);
    };
    const int centre = at(0, 4, 4) - 1, right = at(0, 4, 5) - 1;
    const bool flipped = right < centre;
    const int from_y = centre / 8, from_x = centre % 8;
    ++seen[{flipped, from_y, from_x}];
    for (std::int64_t c = 0; c < 2; ++c)
      for (std::int64_t y = 0; y < 8; ++y)
        for (std::int64_t x = 0; x < 8; ++x) {
          const std::int64_t sy = from_y + y - 4, sx = flipped ? from_x - (x - 4) : from_x + x - 4;
          const bool inside = sy >= 0 && sy < 8 && sx >= 0 && sx < 8;
          REQUIRE(at(c, y, x) == (inside ? 1 + c * 64 + sy * 8 + sx : 0));
          REQUIRE(b[static_cast<std::size_t>(i * 128 + (y * 8 + x) * 2 + c)] ==
                  a[static_cast<std::size_t>(i * 128 + c * 64 + y * 8 + x)]);
        }
  }
  // pad 1: 2 x 3 x 3 outcomes, all alike often
  CHECK(seen.size() == 18);
  for (const auto& [outcome, count] : seen) CHECK(std::abs(count - n / 18.0) < 5 * std::sqrt(n / 18.0));
}

TEST_CASE("a symmetric Beta has its mean and variance") {
  for (const double a : {0.05, 0.2, 1.0, 4.0}) {
    RandomStream random(3, static_cast<std::uint64_t>(100 * a));
    const int n = 100000;
    double sum = 0, squares = 0;
    for (int i = 0; i < n; ++i) {
      const double x = symmetric_beta(a, random);
      REQUIRE(x >= 0);
      REQUIRE(x <= 1);
      sum += x;
      squares += x * x;
    }
    const double variance = 1 / (4 * (2 * a + 1));
    CAPTURE(a);
    CHECK(std::abs(sum / n - 0.5) < 5 * std::sqrt(variance / n));
    CHECK(squares / n - 0.25 == Approx(variance).epsilon(0.03));
  }
}

TEST_CASE("mixup is one convex combination of the batch with a permutation of itself, targets alike") {
  const std::int64_t n = 16, size = 5, classes = 16;
  std::vector<float> images(static_cast<std::size_t>(n * size)),
      targets(static_cast<std::size_t>(n * classes), 0.0f);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t k = 0; k < size; ++k)
      images[static_cast<std::size_t>(i * size + k)] = static_cast<float>(100 * i + k);
    targets[static_cast<std::size_t>(i * classes + i)] = 1;
  }
  RandomStream random(4, 1);
  mixup(images.data(), targets.data(), n, size, classes, 0.7, random);
  std::set<std::int64_t> partners;
  double lambda = -1;
  for (std::int64_t i = 0; i < n; ++i) {
    const float* row = targets.data() + i * classes;
    CHECK(std::accumulate(row, row + classes, 0.0) == Approx(1).epsilon(1e-6));
    std::int64_t partner = i;
    for (std::int64_t k = 0; k < classes; ++k)
      if (k != i && row[k] > 0) partner = k;
    partners.insert(partner);
    if (partner == i) continue;
    if (lambda < 0) lambda = static_cast<double>(row[i]);
    CHECK(static_cast<double>(row[i]) == lambda);
    for (std::int64_t k = 0; k < size; ++k)
      CHECK(static_cast<double>(images[static_cast<std::size_t>(i * size + k)]) ==
            Approx(lambda * static_cast<double>(100 * i + k) +
                   (1 - lambda) * static_cast<double>(100 * partner + k))
                .epsilon(1e-5));
  }
  CHECK(partners.size() == 16);
  CHECK(lambda > 0);
}

TEST_CASE("label noise has its rate, its classes, and is nested in the fraction") {
  const std::int64_t n = 50000;
  std::vector<std::int64_t> clean;
  for (std::int64_t i = 0; i < n; ++i) clean.push_back(i % 10);
  const auto noisy = [&](double fraction, const char* kind, std::uint64_t seed) {
    auto labels = clean;
    add_label_noise(labels, 10, fraction, kind, "mnist", seed);
    return labels;
  };
  const auto few = noisy(0.1, "symmetric", 0), many = noisy(0.4, "symmetric", 0),
             pair = noisy(0.4, "pair", 0), other = noisy(0.4, "symmetric", 1);
  std::int64_t wrong_few = 0, wrong_many = 0;
  std::vector<int> shifts(10, 0);
  for (std::size_t i = 0; i < clean.size(); ++i) {
    wrong_few += few[i] != clean[i];
    wrong_many += many[i] != clean[i];
    if (few[i] != clean[i]) CHECK(many[i] == few[i]);
    ++shifts[static_cast<std::size_t>((many[i] - clean[i] + 10) % 10)];
    CHECK(pair[i] == (many[i] != clean[i] ? (clean[i] + 1) % 10 : clean[i]));
  }
  const double sd_few = std::sqrt(n * 0.1 * 0.9), sd_many = std::sqrt(n * 0.4 * 0.6);
  CHECK(std::abs(static_cast<double>(wrong_few) - 0.1 * n) < 5 * sd_few);
  CHECK(std::abs(static_cast<double>(wrong_many) - 0.4 * n) < 5 * sd_many);
  for (int s = 1; s < 10; ++s)
    CHECK(std::abs(shifts[static_cast<std::size_t>(s)] - static_cast<double>(wrong_many) / 9) <
          5 * std::sqrt(static_cast<double>(wrong_many) / 9));
  CHECK(other != many);
  CHECK(noisy(0, "pair", 3) == clean);
}
