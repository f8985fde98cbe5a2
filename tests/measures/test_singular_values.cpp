// Singular values of batches against the reference (one-sided Jacobi) and against matrices whose values are known.
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <vector>

#include "tests/measures/singular_value_cases.h"

using namespace gapbench;
using namespace gapbench::kernels;

namespace {

std::vector<double> values_of(const MatrixBatch& in, int threads = 1) {
  std::vector<double> s(static_cast<std::size_t>(in.batches * std::min(in.rows, in.columns)), -1);
  singular_values(in, s.data(), threads);
  return s;
}

void compare(const MatrixBatch& in) {
  const std::vector<double> one = values_of(in), three = values_of(in, 3);
  CHECK((one.empty() || std::memcmp(one.data(), three.data(), one.size() * sizeof(double)) == 0));
  check_singular_values(in, one);
}

}  // namespace

TEST_CASE("singular values agree with the reference") {
  std::uint64_t stream = 0;
  for (const std::int64_t rows : {0, 1, 2, 3, 9, 31, 32, 33, 96, 97})
    for (const std::int64_t columns : {0, 1, 2, 8, 33, 100})
      for (const std::int64_t batches : {0, 1, 8, 11})
        compare(contiguous(normals(batches * rows * columns, ++stream), batches, rows, columns));
  // one at a time
  for (const auto& [rows, columns] :
       {std::pair<std::int64_t, std::int64_t>{130, 301}, {304, 129}, {1030, 260}})
    compare(contiguous(normals(2 * rows * columns, ++stream), 2, rows, columns));
}

TEST_CASE("singular values of extreme scales, of low rank and of zeros") {
  for_each_special_matrix(compare);
}

TEST_CASE("singular values in closed form") {
  // the second difference matrix of size n: 2 - 2 cos(k pi / (n + 1))
  const int n = 40;
  std::vector<float> difference(n * n, 0.0f);
  for (int i = 0; i < n; ++i) {
    difference[static_cast<std::size_t>(i * n + i)] = 2;
    if (i > 0)
      difference[static_cast<std::size_t>(i * n + i - 1)] =
          difference[static_cast<std::size_t>((i - 1) * n + i)] = -1;
  }
  const std::vector<double> s = values_of(contiguous(difference, 1, n, n));
  for (int k = 1; k <= n; ++k) {
    const double exact = 2 - 2 * std::cos((n + 1 - k) * std::numbers::pi / (n + 1));
    CHECK(std::abs(s[static_cast<std::size_t>(k - 1)] - exact) <= singular_values_error(n, n) * 4);
  }
  // a diagonal of signs and sizes, permuted
  std::vector<float> permuted(5 * 5, 0.0f);
  const float sizes[] = {-3, 0.25f, 7, -1e-3f, 2};
  for (int i = 0; i < 5; ++i) permuted[static_cast<std::size_t>(i * 5 + (i * 2) % 5)] = sizes[i];
  const std::vector<double> p = values_of(contiguous(permuted, 1, 5, 5));
  const double expected[] = {7, 3, 2, 0.25, static_cast<double>(1e-3f)};
  for (int i = 0; i < 5; ++i) CHECK(std::abs(p[static_cast<std::size_t>(i)] - expected[i]) < 1e-14);
}

TEST_CASE("singular values of the slices of a convolution, through strides") {
  const std::int64_t outputs = 10, inputs = 6;
  const std::vector<float> w = normals(outputs * inputs * 9, 5);
  const MatrixBatch slices{w.data(), 9, outputs, inputs, 1, inputs * 9, 9};
  compare(slices);
  std::vector<float> copied;
  for (int p = 0; p < 9; ++p)
    for (std::int64_t i = 0; i < outputs * inputs; ++i)
      copied.push_back(w[static_cast<std::size_t>(i * 9 + p)]);
  CHECK(values_of(slices) == values_of(contiguous(copied, 9, outputs, inputs)));
}

TEST_CASE("a matrix that is not finite has no singular values, its neighbours do") {
  for (const std::int64_t size : {7, 120}) {
    std::vector<float> v = normals(3 * size * size, 6), clean = v;
    v[static_cast<std::size_t>(size * size + 3)] = std::numeric_limits<float>::infinity();
    const std::vector<double> s = values_of(contiguous(v, 3, size, size)),
                              t = values_of(contiguous(clean, 3, size, size));
    for (std::int64_t i = 0; i < 3 * size; ++i) {
      if (i / size == 1)
        CHECK(std::isnan(s[static_cast<std::size_t>(i)]));
      else
        CHECK(s[static_cast<std::size_t>(i)] == t[static_cast<std::size_t>(i)]);
    }
  }
}
