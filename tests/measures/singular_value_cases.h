// Matrices over which the CPU and the CUDA version of singular_values are compared with the reference.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "measures/kernels/singular_values.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"

inline std::vector<float> normals(std::int64_t n, std::uint64_t stream, float scale = 1) {
  gapbench::RandomStream random(gapbench::random_key("singular values", "test"), stream);
  std::vector<float> v;
  for (std::int64_t i = 0; i < n; ++i) v.push_back(scale * static_cast<float>(random.normal()));
  return v;
}

inline gapbench::kernels::MatrixBatch contiguous(const std::vector<float>& v, std::int64_t batches,
                                                 std::int64_t rows, std::int64_t columns) {
  return {v.data(), batches, rows, columns, rows * columns, columns, 1};
}

// Descending, and within the stated error of the reference.
inline void check_singular_values(const gapbench::kernels::MatrixBatch& in,
                                  const std::vector<double>& found) {
  const std::int64_t n = std::min(in.rows, in.columns);
  CAPTURE(in.batches, in.rows, in.columns);
  std::vector<double> expected(static_cast<std::size_t>(in.batches * n));
  gapbench::kernels::singular_values_ref(in, expected.data());
  REQUIRE(found.size() == expected.size());
  double worst = 0;
  for (std::int64_t b = 0; b < in.batches; ++b)
    for (std::int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(b * n + i), top = static_cast<std::size_t>(b * n);
      if (i > 0) CHECK(found[at] <= found[at - 1]);
      if (expected[top] == 0)
        CHECK(found[at] == 0);
      else
        worst = std::max(worst, std::abs(found[at] - expected[at]) / expected[top]);
    }
  CHECK(worst <=
        2 * gapbench::kernels::singular_values_error(in.rows, in.columns));  // the reference has as much
}

// Extreme scales, low rank, zeros.
template <class Check>
void for_each_special_matrix(const Check& check) {
  for (const float scale : {1e-42f, 1e-20f, 1e20f, 1e37f})
    check(contiguous(normals(9 * 20 * 30, 1, scale), 9, 20, 30));
  std::vector<float> low(10 * 24 * 16, 0.0f);  // rank r for matrix r
  const std::vector<float> left = normals(24 * 16, 2), right = normals(16 * 16, 3);
  for (int b = 0; b < 10; ++b)
    for (int r = 0; r < 24; ++r)
      for (int c = 0; c < 16; ++c)
        for (int k = 0; k < b; ++k)
          low[static_cast<std::size_t>((b * 24 + r) * 16 + c)] +=
              left[static_cast<std::size_t>(r * 16 + k)] * right[static_cast<std::size_t>(k * 16 + c)];
  check(contiguous(low, 10, 24, 16));
  // zero columns and rows in the middle, a zero on the bidiagonal's diagonal
  std::vector<float> holes = normals(8 * 12 * 12, 4);
  for (int b = 0; b < 8; ++b)
    for (int i = 0; i < 12; ++i)
      holes[static_cast<std::size_t>((b * 12 + i) * 12 + b)] =
          holes[static_cast<std::size_t>((b * 12 + b) * 12 + i)] = 0;
  check(contiguous(holes, 8, 12, 12));
  std::vector<float> bidiagonal(3 * 6 * 6, 0.0f);
  for (int b = 0; b < 3; ++b)
    for (int i = 0; i < 6; ++i) {
      bidiagonal[static_cast<std::size_t>((b * 6 + i) * 6 + i)] =
          i == b * 2 ? 0.0f : 1.0f + static_cast<float>(i);
      if (i < 5) bidiagonal[static_cast<std::size_t>((b * 6 + i) * 6 + i + 1)] = 0.5f;
    }
  check(contiguous(bidiagonal, 3, 6, 6));
}
