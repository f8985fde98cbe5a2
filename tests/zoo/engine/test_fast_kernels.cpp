// The kernels of the fast network on every instruction set of this machine: products against float64 loops, functions
// against the standard library, dropout masks against the random stream they are cut from.
#include <cmath>
#include <limits>
#include <random>

#include "measures/numerics/philox.h"
#include "tests/support/catch.h"
#include "zoo/data/aligned_vector.h"
#include "zoo/engine/fast/elementwise.h"
#include "zoo/engine/fast/instruction_set.h"
#include "zoo/engine/fast/product.h"

using namespace gapbench;
using namespace gapbench::fast;

namespace {

template <class Test>
void on_every_instruction_set(Test test) {
  for (const InstructionSet set : {InstructionSet::generic, InstructionSet::avx2, InstructionSet::avx512}) {
    if (set > widest_instruction_set()) continue;
    CAPTURE(to_string(set));
    use_instruction_set(set);
    test();
  }
  use_instruction_set(widest_instruction_set());
}

std::vector<float> random_values(std::size_t n, std::uint64_t seed) {
  RandomStream random(seed);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(random.normal());
  return values;
}

struct Shape {
  std::int64_t m, taps, depth, n;
};
const std::vector<Shape> shapes = {
    {1, 1, 1, 1},     {2, 1, 3, 5},   {7, 2, 5, 16}, {13, 3, 9, 17},    {32, 1, 64, 32}, {25, 1, 33, 50},
    {64, 1, 784, 52}, {5, 3, 30, 63}, {3, 1, 7, 65}, {40, 1, 2500, 70}, {9, 2, 11, 200}, {30, 1, 10, 4},
    {23, 2, 6, 19},   {50, 1, 51, 3}, {5, 1, 2, 36}, {26, 1, 3, 20},    {49, 1, 65, 34}};

}  // namespace

TEST_CASE("products agree with float64 loops for any size, row table and finish") {
  on_every_instruction_set([] {
    for (const auto& [m, taps, depth, n] : shapes)
      for (const int finish : {0, 1, 2, 3}) {
        CAPTURE(m, taps, depth, n, finish);
        const std::int64_t gap = 3, row_length = taps * depth + gap, ldb = n + 2;
        const auto a = random_values(static_cast<std::size_t>(m * row_length), 1),
                   b = random_values(static_cast<std::size_t>(taps * depth * ldb), 2),
                   bias = random_values(static_cast<std::size_t>(n), 3),
                   before = random_values(static_cast<std::size_t>(2 * m * n), 4);
        std::vector<std::int32_t> row, tap, c_row;
        // rows in reverse, so that nothing rests on their order; every second row of c stays untouched
        for (std::int64_t i = 0; i < m; ++i) {
          row.push_back(static_cast<std::int32_t>((m - 1 - i) * row_length));
          c_row.push_back(static_cast<std::int32_t>(2 * i * n));
        }
        for (std::int64_t t = 0; t < taps; ++t) tap.push_back(static_cast<std::int32_t>(t * depth));
        std::vector<float> c = before;
        Finish f;
        if (finish == 1) f.accumulate = true;
        if (finish >= 2) f.bias = bias.data();
        f.relu = finish == 3;
        multiply(a.data(), row.data(), m, tap.data(), taps, depth, b.data(), ldb, n, c.data(), c_row.data(),
                 f);
        double worst = 0;
        bool untouched = true;
        for (std::int64_t i = 0; i < m; ++i)
          for (std::int64_t j = 0; j < n; ++j) {
            double sum = 0, size = 1;
            for (std::int64_t k = 0; k < taps * depth; ++k) {
              const double term =
                  static_cast<double>(a[static_cast<std::size_t>((m - 1 - i) * row_length + k)]) *
                  static_cast<double>(b[static_cast<std::size_t>(k * ldb + j)]);
              sum += term;
              size += std::abs(term);
            }
            const auto at = static_cast<std::size_t>(2 * i * n + j);
            if (finish == 1) sum += static_cast<double>(before[at]);
            if (finish >= 2) sum += static_cast<double>(bias[static_cast<std::size_t>(j)]);
            if (finish == 3) sum = std::max(sum, 0.0);
            worst = std::max(worst, std::abs(static_cast<double>(c[at]) - sum) / size);
            const auto between = static_cast<std::size_t>((2 * i + 1) * n + j);
            untouched = untouched && c[between] == before[between];
          }
        CHECK(worst < 1e-6);
        CHECK(untouched);

        // the transposed left factor: [m, depth]' [m, n]
        std::vector<float> d(static_cast<std::size_t>(depth * n), 1.0f);
        const auto right = random_values(static_cast<std::size_t>(m * ldb), 5);
        multiply_transposed(a.data(), row.data(), m, depth, right.data(), ldb, n, d.data(), finish == 1);
        worst = 0;
        for (std::int64_t k = 0; k < depth; ++k)
          for (std::int64_t j = 0; j < n; ++j) {
            double sum = finish == 1 ? 1 : 0, size = 1;
            for (std::int64_t i = 0; i < m; ++i) {
              const double term =
                  static_cast<double>(a[static_cast<std::size_t>((m - 1 - i) * row_length + k)]) *
                  static_cast<double>(right[static_cast<std::size_t>(i * ldb + j)]);
              sum += term;
              size += std::abs(term);
            }
            worst = std::max(
                worst, std::abs(static_cast<double>(d[static_cast<std::size_t>(k * n + j)]) - sum) / size);
          }
        CHECK(worst < 1e-6);
      }
  });
}

TEST_CASE("a row of a product has the same bits whatever the other rows") {
  on_every_instruction_set([] {
    const std::int64_t m = 37, depth = 900, n = 41;
    const auto a = random_values(static_cast<std::size_t>(m * depth), 1),
               b = random_values(static_cast<std::size_t>(depth * n), 2);
    std::vector<std::int32_t> row, c_row;
    for (std::int64_t i = 0; i < m; ++i) {
      row.push_back(static_cast<std::int32_t>(i * depth));
      c_row.push_back(static_cast<std::int32_t>(i * n));
    }
    const std::int32_t tap = 0;
    std::vector<float> all(static_cast<std::size_t>(m * n)), one(static_cast<std::size_t>(n));
    multiply(a.data(), row.data(), m, &tap, 1, depth, b.data(), n, n, all.data(), c_row.data(), {});
    for (std::size_t i = 0; i < static_cast<std::size_t>(m); ++i) {
      multiply(a.data(), row.data() + i, 1, &tap, 1, depth, b.data(), n, n, one.data(), c_row.data(), {});
      CHECK(std::equal(one.begin(), one.end(), all.begin() + static_cast<std::ptrdiff_t>(i) * n));
    }
  });
}

TEST_CASE("activations and their derivatives agree with the standard library") {
  on_every_instruction_set([] {
    std::vector<float> x;
    for (int i = -4000; i <= 4000; ++i) x.push_back(static_cast<float>(i) * 0.005f);
    for (const float tiny : {1e-30f, -1e-30f, 1e-4f, -1e-4f, 60.0f, -60.0f, 0.0f}) x.push_back(tiny);
    const auto n = static_cast<std::int64_t>(x.size());
    for (const Activation kind :
         {Activation::relu, Activation::leaky_relu, Activation::gelu, Activation::tanh}) {
      CAPTURE(static_cast<int>(kind));
      std::vector<float> y(x.size()), g(x.size(), 2.0f);
      elementwise().activate(kind, x.data(), y.data(), n);
      elementwise().activate_backward(kind, kind == Activation::gelu ? x.data() : y.data(), g.data(), n);
      double worst = 0, worst_slope = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto v = static_cast<double>(x[i]);
        const double phi = std::exp(-v * v / 2) / std::sqrt(2 * std::numbers::pi),
                     cdf = std::erfc(-v / std::sqrt(2.0)) / 2;
        double f = 0, slope = 0, tolerance = 1e-9;
        if (kind == Activation::relu) f = std::max(v, 0.0), slope = v > 0;
        if (kind == Activation::leaky_relu)
          f = v < 0 ? 0.01 * v : v, slope = v > 0 ? 1 : 0.01, tolerance = 1e-9 + 1e-7 * std::abs(f);
        if (kind == Activation::tanh)
          f = std::tanh(v), slope = 1 - f * f, tolerance = 4e-7 * std::abs(f) + 1e-37;
        if (kind == Activation::gelu)
          f = v * cdf, slope = cdf + v * phi, tolerance = 2e-7 * (1 + std::abs(v));
        worst = std::max(worst, std::abs(static_cast<double>(y[i]) - f) / tolerance);
        worst_slope = std::max(worst_slope, std::abs(static_cast<double>(g[i]) / 2 - slope));
      }
      CHECK(worst <= 1);
      CHECK(worst_slope < 1e-6);
    }
  });
}

TEST_CASE("dropout masks are the words of the random stream, from any word on") {
  on_every_instruction_set([] {
    const std::uint64_t key = random_key("model", "dropout");
    const auto threshold = static_cast<std::uint32_t>(0.3 * 0x1p32);
    RandomStream random(key, 12);
    std::vector<float> all(1000);
    for (float& v : all) v = random() < threshold ? 0.0f : 1.5f;
    for (const std::int64_t first : {0, 1, 2, 3, 4, 129, 510})
      for (const std::int64_t n : {1, 5, 127, 128, 400}) {
        CAPTURE(first, n);
        std::vector<float> mask(static_cast<std::size_t>(n));
        elementwise().dropout_mask(key, 12, static_cast<std::uint64_t>(first), n, threshold, 1.5f,
                                   mask.data());
        CHECK(std::equal(mask.begin(), mask.end(), all.begin() + first));
      }
  });
}

TEST_CASE("losses agree with float64, ties and extremes included") {
  on_every_instruction_set([] {
    for (const std::int64_t classes : {2, 10, 100}) {
      const std::int64_t n = 37;
      std::vector<float> z = random_values(static_cast<std::size_t>(n * classes), 9);
      std::vector<std::int64_t> labels;
      RandomStream random(4);
      for (std::int64_t i = 0; i < n; ++i)
        labels.push_back(random.below(static_cast<std::uint32_t>(classes)));
      const auto row = [&](std::int64_t i) { return z.data() + i * classes; };
      row(0)[labels[0]] = 30;                                    // a loss of about 1e-13 a class
      row(1)[labels[1]] = -95;                                   // a large one
      for (std::int64_t k = 0; k < classes; ++k) row(2)[k] = 1;  // all tied: the lowest class is predicted
      row(3)[0] = row(3)[1] = 7;
      std::vector<float> scratch(static_cast<std::size_t>(64 * classes));
      for (std::int64_t i = 0; i < n; ++i) {
        CAPTURE(classes, i);
        LossSum ours, reference;
        elementwise().add_losses(row(i), &labels[static_cast<std::size_t>(i)], 1, classes, scratch.data(),
                                 ours);
        add_losses(row(i), &labels[static_cast<std::size_t>(i)], 1, classes, reference);
        CHECK(ours.wrong == reference.wrong);
        CHECK(std::abs(ours.cross_entropy - reference.cross_entropy) <=
              3e-6 * reference.cross_entropy + 1e-15);
      }
      LossSum all, reference;
      elementwise().add_losses(z.data(), labels.data(), n, classes, scratch.data(), all);
      add_losses(z.data(), labels.data(), n, classes, reference);
      CHECK(all.wrong == reference.wrong);
      CHECK(all.samples == n);
      CHECK(reference.samples == n);
      CHECK(all.cross_entropy == Approx(reference.cross_entropy).epsilon(1e-6));
      for (const float bad :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
        for (const std::int64_t where : {std::int64_t{0}, classes - 1}) {
          std::vector<float> broken(z.begin(), z.begin() + classes);
          broken[static_cast<std::size_t>(where)] = bad;
          LossSum sum;
          elementwise().add_losses(broken.data(), labels.data(), 1, classes, scratch.data(), sum);
          CHECK_FALSE(std::isfinite(sum.cross_entropy));
          std::vector<float> targets(static_cast<std::size_t>(classes), 1 / static_cast<float>(classes));
          CHECK_FALSE(std::isfinite(
              elementwise().softmax_loss(broken.data(), targets.data(), 1, classes, 1, scratch.data())));
        }
    }
  });
}

TEST_CASE("transposes of any size") {
  on_every_instruction_set([] {
    for (const std::int64_t rows : {1, 3, 4, 10, 17})
      for (const std::int64_t columns : {1, 2, 4, 7, 50}) {
        const auto from = random_values(static_cast<std::size_t>(rows * (columns + 1)), 1);
        std::vector<float> to(static_cast<std::size_t>(columns * (rows + 2)), 0.0f);
        elementwise().transpose(from.data(), rows, columns, columns + 1, to.data(), rows + 2);
        bool right = true;
        for (std::int64_t i = 0; i < rows; ++i)
          for (std::int64_t j = 0; j < columns; ++j)
            right = right && to[static_cast<std::size_t>(j * (rows + 2) + i)] ==
                                 from[static_cast<std::size_t>(i * (columns + 1) + j)];
        CAPTURE(rows, columns);
        CHECK(right);
      }
  });
}
