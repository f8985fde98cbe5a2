// The CUDA version against the reference. Skipped, with the reason, where there is no device.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "measures/kernels/weight_correlation.h"
#include "measures/numerics/philox.h"
#include "tests/measures/cosine_gradient_cases.h"
#include "tests/support/catch.h"
#include "tests/support/device.h"

using namespace gapbench;
using kernels::CosineSum;
using kernels::RowBatches;

namespace {

std::vector<CosineSum> on_device(RowBatches in, const std::vector<float>& values) {
  const DeviceBytes data(values.size() * sizeof(float));
  const DeviceBytes out(static_cast<std::size_t>(in.batches) * sizeof(CosineSum));
  const DeviceBytes workspace(kernels::absolute_cosine_sums_cuda_workspace(in));
  check(cudaMemcpy(data.get(), values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice));
  in.data = static_cast<const float*>(data.get());
  REQUIRE(kernels::absolute_cosine_sums_cuda(in, static_cast<CosineSum*>(out.get()), workspace.get(),
                                             nullptr) == 0);
  std::vector<CosineSum> sums(static_cast<std::size_t>(in.batches));
  check(cudaMemcpy(sums.data(), out.get(), sums.size() * sizeof(CosineSum), cudaMemcpyDeviceToHost));
  return sums;
}

void compare(const RowBatches& in, const std::vector<float>& values) {
  std::vector<CosineSum> expected(static_cast<std::size_t>(in.batches));
  kernels::absolute_cosine_sums_ref(in, expected.data());
  const std::vector<CosineSum> found = on_device(in, values);
  for (std::size_t b = 0; b < expected.size(); ++b) {
    INFO("batch " << b << ", rows " << in.rows << ", length " << in.length);
    CHECK(found[b].pairs == expected[b].pairs);
    CHECK(found[b].zero_rows == expected[b].zero_rows);
    if (std::isnan(expected[b].sum))
      CHECK(std::isnan(found[b].sum));
    else
      CHECK(std::abs(found[b].sum - expected[b].sum) <=
            static_cast<double>(expected[b].pairs) * kernels::cosine_error_cuda(in.length));
  }
}

std::vector<float> random_values(std::size_t n, std::uint64_t stream) {
  RandomStream random(random_key("cuda test", "values"), stream);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(random.normal());
  return values;
}

}  // namespace

TEST_CASE("CUDA agrees with the reference within the stated error") {
  skip_without_device();
  std::uint64_t stream = 0;
  for (const std::int64_t rows : {0, 1, 2, 31, 32, 33, 127, 128, 129, 300})
    for (const std::int64_t length : {0, 1, 9, 16, 31, 33, 300, 1100}) {
      const auto values = random_values(static_cast<std::size_t>(rows * length), stream++);
      compare({values.data(), 1, rows, length, length, 0}, values);
    }
  for (const std::int64_t inputs : {1, 3, 70, 600})  // slices of input channels
    for (const std::int64_t outputs : {20, 50, 300})
      for (const std::int64_t positions : {3, 9, 15, 25, 49, 81}) {
        if (inputs > 70 && (outputs > 50 || positions > 9)) continue;  // the reference would take long
        const auto values = random_values(static_cast<std::size_t>(outputs * inputs * positions), stream++);
        compare({values.data(), inputs, outputs, positions, inputs * positions, positions}, values);
      }
}

TEST_CASE("CUDA agrees with the reference in tiles of every size") {
  skip_without_device();
  std::uint64_t stream = 700;
  for (const auto& [batches, rows] :
       {std::pair{2, 100}, {80, 100}, {62, 130}, {1, 1500}})  // of 32, 64, 128, 64
    for (const std::int64_t length : {50, 130}) {
      if (rows > 200 && length > 50) continue;
      const auto values = random_values(static_cast<std::size_t>(batches * rows * length), stream++);
      compare({values.data(), batches, rows, length, length, rows * length}, values);
    }
}

TEST_CASE("CUDA agrees with the reference on very many matrices of few short rows") {
  skip_without_device();
  std::uint64_t stream = 900;
  for (const std::int64_t outputs : {1, 7, 8, 9, 16, 32, 33, 64})
    for (const std::int64_t positions : {4, 9}) {
      const std::int64_t lanes = outputs <= 8 ? 1 : outputs <= 16 ? 2 : outputs <= 32 ? 4 : 8;
      // a last chunk that is not full, and more chunks than blocks
      const bool rounds = positions == 9 && (outputs == 8 || outputs == 33);
      const std::int64_t inputs = (rounds ? 530 : 132) * 128 / lanes + 3;
      auto values = random_values(static_cast<std::size_t>(outputs * inputs * positions), stream++);
      const auto at = [&](std::int64_t output, std::int64_t input) {
        return values.begin() + (output * inputs + input) * positions;
      };
      std::fill_n(at(0, 5), positions, 0.0f);  // a zero row; huge and tiny ones; one that is not finite
      std::transform(at(outputs - 1, 7), at(outputs - 1, 9), at(outputs - 1, 7),
                     [](float x) { return x * 1e30f; });
      std::transform(at(outputs / 2, 8), at(outputs / 2, 11), at(outputs / 2, 8),
                     [](float x) { return x * 1e-39f; });
      *at(outputs - 1, inputs - 1) = std::numeric_limits<float>::infinity();
      compare({values.data(), inputs, outputs, positions, inputs * positions, positions}, values);
    }
}

TEST_CASE("CUDA counts zero rows and reports rows that are not finite") {
  skip_without_device();
  auto values = random_values(40 * 20, 99);
  std::fill(values.begin() + 5 * 20, values.begin() + 7 * 20, 0.0f);
  compare({values.data(), 2, 20, 20, 20, 400}, values);
  compare({values.data(), 2, 4, 100, 100, 400}, values);
  values[500] = std::numeric_limits<float>::infinity();
  compare({values.data(), 2, 20, 20, 20, 400}, values);
  compare({values.data(), 2, 4, 100, 100, 400}, values);
}

TEST_CASE("CUDA keeps the angles of huge, tiny and denormal rows") {
  skip_without_device();
  for (const float scale : {1e30f, 1e-30f, 1e-39f}) {
    auto values = random_values(30 * 40, 6);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (i / 40 % 2 == 0) values[i] *= scale;
    compare({values.data(), 1, 30, 40, 40, 0}, values);
    compare({values.data(), 1, 10, 120, 120, 0}, values);
  }
}

TEST_CASE("CUDA reads rows at any stride and float address") {
  skip_without_device();
  const auto values = random_values(40 * 200, 3);
  const DeviceBytes data(values.size() * sizeof(float) + 4), out(sizeof(CosineSum));
  float* const odd = static_cast<float*>(data.get()) + 1;
  check(cudaMemcpy(odd, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice));
  for (const std::int64_t length : {13, 190}) {
    RowBatches in{values.data(), 1, 39, length, 200, 0};
    CosineSum expected, found;
    kernels::absolute_cosine_sums_ref(in, &expected);
    in.data = odd;
    const DeviceBytes workspace(kernels::absolute_cosine_sums_cuda_workspace(in));
    REQUIRE(kernels::absolute_cosine_sums_cuda(in, static_cast<CosineSum*>(out.get()), workspace.get(),
                                               nullptr) == 0);
    check(cudaMemcpy(&found, out.get(), sizeof found, cudaMemcpyDeviceToHost));
    CHECK(found.pairs == expected.pairs);
    CHECK(std::abs(found.sum - expected.sum) <=
          static_cast<double>(expected.pairs) * kernels::cosine_error_cuda(length));
  }
}

TEST_CASE(
    "CUDA is within 1e-5 of the reference on a large matrix") {  // the design's default, far inside the proven bound
  skip_without_device();
  const std::int64_t rows = 500, length = 2000;
  const auto values = random_values(static_cast<std::size_t>(rows * length), 12);
  const RowBatches in{values.data(), 1, rows, length, length, 0};
  CosineSum expected;
  kernels::absolute_cosine_sums_ref(in, &expected);
  CHECK(on_device(in, values)[0].sum == Approx(expected.sum).epsilon(1e-5));
}

TEST_CASE("CUDA gives the same bits again") {
  skip_without_device();
  const auto values = random_values(300 * 100, 7);
  const RowBatches in{values.data(), 1, 300, 100, 100, 0};
  const double first = on_device(in, values)[0].sum;
  for (int i = 0; i < 3; ++i) CHECK(on_device(in, values)[0].sum == first);
}

TEST_CASE("CUDA smoothed means agree with the reference") {
  skip_without_device();
  const auto check_means = [](RowBatches in, const std::vector<float>& values, double epsilon) {
    std::vector<double> expected(static_cast<std::size_t>(in.batches));
    kernels::smoothed_cosine_means_ref(in, epsilon, expected.data());
    const DeviceBytes data(values, 4), out(expected.size() * sizeof(double)),
        workspace(kernels::smoothed_cosine_means_cuda_workspace(in));
    in.data = data.as<float>();
    REQUIRE(kernels::smoothed_cosine_means_cuda(in, epsilon, out.as<double>(), workspace.get(), nullptr) ==
            0);
    const auto found = out.read<double>();
    CAPTURE(in.batches, in.rows, in.length, epsilon);
    for (std::size_t b = 0; b < found.size(); ++b)
      CHECK((std::isnan(expected[b])
                 ? std::isnan(found[b])
                 : std::abs(found[b] - expected[b]) <= kernels::cosine_error_cuda(in.length)));
  };
  std::uint64_t stream = 500;
  for (const double epsilon : {1e-5, 0.0, 0.5})
    for (const std::int64_t rows : {0, 1, 2, 31, 33, 129, 300})
      for (const std::int64_t length : {0, 1, 9, 33, 100}) {
        if (length == 0 && epsilon == 0) continue;  // 0 / 0
        const auto values = random_values(static_cast<std::size_t>(rows * length), ++stream);
        check_means({values.data(), 1, rows, length, length, 0}, values, epsilon);
      }
  auto values = random_values(80 * 100 * 9, ++stream);  // in tiles of 64, and of 128
  check_means({values.data(), 80, 100, 9, 9, 900}, values, 1e-5);
  check_means({values.data(), 61, 131, 9, 9, 131 * 9}, values, 1e-5);
  values = random_values(20 * 7 * 9, ++stream);
  check_means({values.data(), 7, 20, 9, 63, 9}, values, 1e-5);
  for (std::size_t i = 63; i < 126; ++i) values[i] = 0;  // a zero row in each
  check_means({values.data(), 7, 20, 9, 63, 9}, values, 1e-5);
  for (std::size_t i = 0; i < 63; ++i) values[i] *= 1e30f;
  for (std::size_t i = 126; i < 189; ++i) values[i] *= 1e-40f;
  check_means({values.data(), 7, 20, 9, 63, 9}, values, 1e-5);
  values[200] = std::numeric_limits<float>::infinity();
  values[210] = std::numeric_limits<float>::quiet_NaN();
  check_means({values.data(), 7, 20, 9, 63, 9}, values, 1e-5);
}

TEST_CASE("CUDA gradients of the sum of absolute cosines agree with the reference") {
  skip_without_device();
  for_each_gradient_case([](RowBatches in, const std::vector<float>& values) {
    const DeviceBytes data(values, 4), out(values.size() * sizeof(float), 8),
        workspace(kernels::absolute_cosine_gradients_cuda_workspace(in));
    const float* const host = in.data;
    in.data = data.as<float>();
    REQUIRE(kernels::absolute_cosine_gradients_cuda(in, out.as<float>(), workspace.get(), nullptr) == 0);
    in.data = host;
    check_gradients(in, out.read<float>());
  });
}
