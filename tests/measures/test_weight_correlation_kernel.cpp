// The CPU version against the float64 reference, within the header's error bound.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "measures/kernels/weight_correlation.h"
#include "measures/numerics/instruction_set.h"
#include "measures/numerics/philox.h"
#include "tests/measures/cosine_gradient_cases.h"
#include "tests/support/catch.h"

using namespace gapbench;
using namespace gapbench::kernels;

namespace {

// A matrix inside guard words, at an odd address as floats go.
struct Guarded {
  std::vector<unsigned char> bytes;
  std::size_t count;
  static constexpr std::size_t guard = 65;  // not a multiple of 4
  explicit Guarded(const std::vector<float>& values)
      : bytes(values.size() * 4 + 2 * guard + 3, 0xA5), count(values.size()) {
    if (!values.empty()) std::memcpy(data(), values.data(), values.size() * 4);
  }
  float* data() {
    auto address = reinterpret_cast<std::uintptr_t>(bytes.data() + guard);
    return reinterpret_cast<float*>((address + 3) / 4 * 4);  // aligned to 4 and no more than chance gives
  }
};

std::vector<float> random_values(std::int64_t n, std::uint64_t seed, float scale = 1) {
  RandomStream random(seed);
  std::vector<float> v;
  for (std::int64_t i = 0; i < n; ++i) v.push_back(scale * static_cast<float>(random.normal()));
  return v;
}

void compare(const RowBatches& in) {
  const auto batches = static_cast<std::size_t>(in.batches);
  std::vector<CosineSum> expected(batches), one(batches), three(batches);
  absolute_cosine_sums_ref(in, expected.data());
  absolute_cosine_sums(in, one.data(), 1);
  absolute_cosine_sums(in, three.data(), 3);
  std::vector<double> mean_expected(batches), mean(batches), mean_three(batches);
  smoothed_cosine_means_ref(in, 1e-5, mean_expected.data());
  smoothed_cosine_means(in, 1e-5, mean.data(), 1);
  smoothed_cosine_means(in, 1e-5, mean_three.data(), 3);
  const double bound = cosine_error(in.length);
  for (std::size_t b = 0; b < batches; ++b) {
    CAPTURE(b, in.rows, in.length);
    CHECK(one[b].pairs == expected[b].pairs);
    CHECK(one[b].zero_rows == expected[b].zero_rows);
    CHECK(std::abs(one[b].sum - expected[b].sum) <= bound * static_cast<double>(one[b].pairs));
    CHECK(three[b].sum == one[b].sum);
    CHECK(std::abs(mean[b] - mean_expected[b]) <= bound);
    CHECK(mean_three[b] == mean[b]);
  }
}

}  // namespace

TEST_CASE("CPU agrees with the reference over sizes") {
  const InstructionSet widest = widest_instruction_set();
  const InstructionSet set = GENERATE(InstructionSet::generic, InstructionSet::avx2, InstructionSet::avx512);
  if (set > widest) return;
  INFO(to_string(set));
  use_instruction_set(set);
  for (const std::int64_t rows : {0, 1, 2, 7, 31, 32, 33, 49, 130, 300})
    for (const std::int64_t length : {0, 1, 9, 31, 33, 255, 257, 784}) {
      const auto values = random_values(
          rows * length, 1000 * static_cast<std::uint64_t>(rows) + static_cast<std::uint64_t>(length));
      compare({values.data(), 1, rows, length, length, 0});
    }
  use_instruction_set(widest);
}

TEST_CASE("CPU agrees with the reference on large shapes") {
  for (const auto& [rows, length] : {std::pair{1000, 33}, std::pair{40, 5000}, std::pair{600, 300}}) {
    const auto values = random_values(std::int64_t{rows} * length, 5);
    compare({values.data(), 1, rows, length, length, 0});
  }
}

TEST_CASE("CPU agrees with the reference on conv layers, slice by slice") {
  for (const auto& [out, in, k] :
       {std::tuple{8, 3, 9}, std::tuple{50, 7, 25}, std::tuple{33, 40, 9}, std::tuple{5, 2, 1}}) {
    const auto values = random_values(std::int64_t{out} * in * k, 17);
    compare({values.data(), in, out, k, std::int64_t{in} * k, k});
  }
}

TEST_CASE("strided, misaligned rows are read and nothing else") {
  const auto values = random_values(40 * 20, 3);
  Guarded guarded(values);
  const auto before = guarded.bytes;
  compare({guarded.data() + 1, 1, 39, 13, 20, 0});
  CHECK(guarded.bytes == before);
}

TEST_CASE("zero rows are left out") {
  auto values = random_values(40 * 12, 4);
  for (const int row : {0, 7, 39})
    for (int k = 0; k < 12; ++k) values[static_cast<std::size_t>(row * 12 + k)] = 0;
  const RowBatches in{values.data(), 1, 40, 12, 12, 0};
  compare(in);
  CosineSum sum;
  absolute_cosine_sums(in, &sum);
  CHECK(sum.zero_rows == 3);
  CHECK(sum.pairs == 37 * 36 / 2);
  const std::vector<float> zeros(50, 0.0f);
  absolute_cosine_sums({zeros.data(), 1, 10, 5, 5, 0}, &sum);
  CHECK(sum.sum == 0);
  CHECK(sum.pairs == 0);
  CHECK(sum.zero_rows == 10);
}

TEST_CASE("huge, tiny and denormal rows keep their angles") {
  for (const float scale : {1e30f, 1e-30f, 1e-39f}) {
    auto values = random_values(30 * 40, 6);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (i / 40 % 2 == 0) values[i] *= scale;
    compare({values.data(), 1, 30, 40, 40, 0});
  }
}

TEST_CASE("a row that is not finite makes the sum NaN") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto values = random_values(20 * 5, 8);
    values[33] = bad;
    CosineSum ref, cpu;
    double mean = 0;
    absolute_cosine_sums_ref({values.data(), 1, 20, 5, 5, 0}, &ref);
    absolute_cosine_sums({values.data(), 1, 20, 5, 5, 0}, &cpu);
    smoothed_cosine_means({values.data(), 1, 20, 5, 5, 0}, 1e-5, &mean);
    CHECK(std::isnan(ref.sum));
    CHECK(std::isnan(cpu.sum));
    CHECK(std::isnan(mean));
  }
}

TEST_CASE("parallel and orthogonal rows") {
  const std::vector<float> parallel = {1, 2, 3, 2, 4, 6, -3, -6, -9};
  CosineSum sum;
  absolute_cosine_sums({parallel.data(), 1, 3, 3, 3, 0}, &sum);
  CHECK(sum.sum == Approx(3).epsilon(1e-6));
  const std::vector<float> identity = {5, 0, 0, 0, 2, 0, 0, 0, -1};
  absolute_cosine_sums({identity.data(), 1, 3, 3, 3, 0}, &sum);
  CHECK(sum.sum == 0);
}

TEST_CASE("with the diagonal and without smoothing") {
  const std::vector<float> rows = {1, 0, 2, 2, 1, -1, 0, 3, 1};
  double mean = 0;
  smoothed_cosine_means({rows.data(), 1, 3, 3, 3, 0}, 0, &mean);
  CHECK(mean == Approx((3 + 6 * 0.1803472007405933) / 9).epsilon(1e-7));
  CHECK(mean == Approx(0.4535648004937289).epsilon(1e-7));
  smoothed_cosine_means_ref({rows.data(), 1, 3, 3, 3, 0}, 0, &mean);
  CHECK(mean == Approx(0.4535648004937289).epsilon(1e-14));
  // 512 random filters of 3x3: 1 / N + (1 - 1 / N) 35 / 128 in expectation, .27486
  constexpr std::int64_t batches = 100, n = 512;
  const auto values = random_values(batches * n * 9, 21);
  std::vector<double> means(batches);
  smoothed_cosine_means({values.data(), batches, n, 9, 9, n * 9}, 0, means.data());
  double sum = 0, squares = 0;
  for (const double x : means) {
    sum += x / batches;
    squares += x * x / batches;
  }
  const double error = std::sqrt((squares - sum * sum) / batches);
  CHECK(error < 2e-4);
  CHECK(std::abs(sum - (1.0 / n + (1 - 1.0 / n) * 35 / 128)) < 4 * error);
  CHECK(sum == Approx(0.27486).margin(4 * error));
}

TEST_CASE("the signed sum is the sum of signed cosines") {
  const std::int64_t rows = 37, length = 11;
  const auto values = random_values(2 * rows * length, 9);
  std::vector<CosineSum> sums(2);
  signed_cosine_sums({values.data(), 2, rows, length, length, rows * length}, sums.data());
  for (std::int64_t b = 0; b < 2; ++b) {
    double expected = 0;
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = i + 1; j < rows; ++j) {
        double dot = 0, ni = 0, nj = 0;
        for (std::int64_t k = 0; k < length; ++k) {
          const double x = values[static_cast<std::size_t>((b * rows + i) * length + k)],
                       y = values[static_cast<std::size_t>((b * rows + j) * length + k)];
          dot += x * y;
          ni += x * x;
          nj += y * y;
        }
        expected += dot / std::sqrt(ni * nj);
      }
    CHECK(sums[static_cast<std::size_t>(b)].sum == Approx(expected).epsilon(1e-10));
    CHECK(sums[static_cast<std::size_t>(b)].pairs == rows * (rows - 1) / 2);
  }
}

TEST_CASE("gradients of the sum of absolute cosines agree with the reference") {
  for_each_gradient_case([](const RowBatches& in, const std::vector<float>& values) {
    std::vector<float> found(values.size(), 7);
    absolute_cosine_gradients(in, found.data());
    check_gradients(in, found);
  });
}

TEST_CASE("gradients of the sum of absolute cosines are its finite differences") {
  std::vector<float> w = random_values(7 * 5, 31), gradient(w.size());
  const RowBatches in{w.data(), 1, 7, 5, 5, 0};
  absolute_cosine_gradients_ref(in, gradient.data());
  for (std::size_t i = 0; i < w.size(); ++i) {
    const float at = w[i], high = at + 1e-3f, low = at - 1e-3f;
    CosineSum above, below;
    w[i] = high;
    absolute_cosine_sums_ref(in, &above);
    w[i] = low;
    absolute_cosine_sums_ref(in, &below);
    w[i] = at;
    CHECK(static_cast<double>(gradient[i]) ==
          Approx((above.sum - below.sum) / (static_cast<double>(high) - static_cast<double>(low)))
              .margin(1e-5));
  }
}
