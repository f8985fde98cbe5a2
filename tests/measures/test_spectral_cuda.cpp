// The CUDA version of conv_operator_norm against singular values of the dense matrix. Skipped, with the reason, where there is no
// device.
#include <cmath>

#include "tests/measures/spectral_cases.h"
#include "tests/support/device.h"

using namespace gapbench::kernels;

namespace {

OperatorNorm on_device(const std::vector<float>& w, const ConvShape& shape) {
  const DeviceBytes data(w, 4), out(sizeof(OperatorNorm)),
      workspace(conv_operator_norm_cuda_workspace(shape));
  REQUIRE(conv_operator_norm_cuda(data.as<float>(), shape, out.as<OperatorNorm>(), workspace.get(),
                                  nullptr) == 0);
  return out.read<OperatorNorm>()[0];
}

}  // namespace

TEST_CASE("CUDA conv operator norm is the largest singular value of the dense matrix") {
  skip_without_device();
  std::vector<ConvShape> shapes = padded_convolutions;
  shapes.push_back({1, 1, 1, 1, 1, 1, 1, 0});
  shapes.push_back({40, 33, 1, 1, 7, 7, 1, 0});
  shapes.push_back({2, 70, 3, 3, 4, 4, 1, 1});
  shapes.push_back({3, 2, 3, 3, 9, 9, 3, 2});
  shapes.push_back({17, 13, 3, 3, 5, 5, 1, 1});
  shapes.push_back({18, 9, 3, 2, 7, 6, 2, 1});
  for (const ConvShape& s : shapes) {
    const auto w = random_values(s.outputs * s.inputs * s.kernel_height * s.kernel_width,
                                 static_cast<std::uint64_t>(s.outputs * 100 + s.height));
    CAPTURE(s.outputs, s.inputs, s.kernel_height, s.height, s.width, s.stride, s.padding);
    const OperatorNorm norm = on_device(w, s), again = on_device(w, s);
    CHECK(norm.converged);
    CHECK(norm.residual <= 1e-8);
    CHECK(norm.value == Approx(largest_singular_value(dense_matrix(w, s))).epsilon(1e-8));
    CHECK(again.value == norm.value);
    CHECK(again.iterations == norm.iterations);
  }
}

TEST_CASE("CUDA conv operator norm of many positions, near its limit in closed form") {
  skip_without_device();
  // taps (1, 1) in both directions: the root of 2 + 2 cos(pi / (n + 1)), that of a path, in each
  const std::int64_t n = 60;
  const OperatorNorm norm = on_device({1, 1, 1, 1}, {1, 1, 2, 2, n, n, 1, 1});
  const double exact = 2 * std::cos(std::acos(-1.0) / (2 * static_cast<double>(n) + 2));
  CHECK(norm.value == Approx(exact * exact).epsilon(1e-4));  // slow: the values are close
  CHECK(norm.value <= exact * exact * (1 + 1e-12));
}

TEST_CASE("CUDA conv operator norms of special kernels") {
  skip_without_device();
  CHECK_FALSE(on_device(std::vector<float>(9, INFINITY), {1, 1, 3, 3, 4, 4, 1, 1}).converged);
  std::vector<float> one_bad(5 * 4 * 9, 1.0f);
  one_bad[77] = NAN;
  CHECK_FALSE(on_device(one_bad, {5, 4, 3, 3, 8, 8, 1, 1}).converged);
  CHECK(on_device(std::vector<float>(9, 0.0f), {1, 1, 3, 3, 4, 4, 1, 1}).value == 0);
  CHECK(on_device(std::vector<float>(9, 0.0f), {1, 1, 3, 3, 4, 4, 1, 1}).converged);
  CHECK(on_device({}, {0, 3, 3, 3, 4, 4, 1, 1}).value == 0);
  CHECK(on_device(std::vector<float>(9, 1.0f), {1, 1, 3, 3, 2, 2, 1, 0}).value == 0);  // no position at all
  for (const float size : {2.0f, 1e-42f, 1e38f}) {  // one tap in the middle: a multiple of the identity
    std::vector<float> identity(9, 0.0f);
    identity[4] = size;
    CHECK(on_device(identity, {1, 1, 3, 3, 6, 6, 1, 1}).value / static_cast<double>(size) ==
          Approx(1).epsilon(1e-8));
  }
}
