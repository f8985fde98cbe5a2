// Gradients of absolute cosine sums: the check of the CPU and the CUDA version against the reference.
#pragma once

#include <cmath>
#include <vector>

#include "measures/kernels/weight_correlation.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"

inline void check_gradients(const gapbench::kernels::RowBatches& in, const std::vector<float>& found) {
  using namespace gapbench::kernels;
  std::vector<float> expected(found.size());
  absolute_cosine_gradients_ref(in, expected.data());
  const double error = cosine_gradient_error(in.rows, in.length), uncertain = cosine_error_cuda(in.length);
  for (std::int64_t b = 0; b < in.batches; ++b) {
    const auto row = [&](std::int64_t i) { return b * in.batch_stride + i * in.row_stride; };
    const auto dot = [&](std::int64_t i, std::int64_t j) {
      double sum = 0;
      for (std::int64_t k = 0; k < in.length; ++k)
        sum += static_cast<double>(in.data[row(i) + k]) * static_cast<double>(in.data[row(j) + k]);
      return sum;
    };
    std::vector<double> norm;
    for (std::int64_t i = 0; i < in.rows; ++i) norm.push_back(std::sqrt(dot(i, i)));
    for (std::int64_t i = 0; i < in.rows; ++i) {
      const double ni = norm[static_cast<std::size_t>(i)];
      double squares = 0, allowed = error;
      bool same_class = true;
      for (std::int64_t k = 0; k < in.length; ++k) {
        const auto at = static_cast<std::size_t>(row(i) + k);
        const double x = static_cast<double>(found[at]), y = static_cast<double>(expected[at]);
        same_class = same_class && std::isnan(x) == std::isnan(y);
        if (!std::isnan(y)) squares += (x - y) * (x - y);
      }
      for (std::int64_t j = 0; j < in.rows; ++j) {
        const double nj = norm[static_cast<std::size_t>(j)];
        if (j != i && ni > 0 && nj > 0 && std::abs(dot(i, j)) <= uncertain * ni * nj) allowed += 2;
      }
      CAPTURE(b, i, in.rows, in.length);
      CHECK(same_class);
      if (std::isfinite(ni)) CHECK(std::sqrt(squares) * ni <= allowed);
      if (ni == 0) CHECK(squares == 0);
    }
  }
}

// Check(in, values): random rows, dense and by slices; zero rows; rows of extreme scales; rows that are not finite.
template <class Check>
void for_each_gradient_case(const Check& check) {
  using gapbench::kernels::RowBatches;
  std::uint64_t stream = 0;
  const auto draw = [&](std::int64_t n) {
    gapbench::RandomStream random(gapbench::random_key("cosine gradients", "values"), ++stream);
    std::vector<float> values;
    for (std::int64_t i = 0; i < n; ++i) values.push_back(static_cast<float>(random.normal()));
    return values;
  };
  for (const auto& [rows, length] : {std::pair<std::int64_t, std::int64_t>{0, 5},
                                     {1, 5},
                                     {5, 0},
                                     {2, 1},
                                     {31, 9},
                                     {32, 32},
                                     {33, 100},
                                     {129, 65},
                                     {300, 40}}) {
    const auto values = draw(rows * length);
    check(RowBatches{values.data(), 1, rows, length, length, 0}, values);
  }
  const auto slices = draw(20 * 6 * 9);
  check(RowBatches{slices.data(), 6, 20, 9, 54, 9}, slices);
  for (const float scale : {0.0f, 1e-30f, 1e30f, 1e-36f}) {
    auto values = draw(30 * 12);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (i / 12 % 3 == 1) values[i] *= scale;
    check(RowBatches{values.data(), 1, 30, 12, 12, 0}, values);
  }
  auto broken = draw(3 * 10 * 7);
  broken[80] = INFINITY;
  check(RowBatches{broken.data(), 3, 10, 7, 7, 70}, broken);
}
