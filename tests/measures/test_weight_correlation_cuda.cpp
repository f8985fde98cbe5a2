// The CUDA version against the reference. Skipped, with the reason, where there is no device.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "measures/kernels/weight_correlation.h"
#include "measures/numerics/philox.h"
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
