// Circular convolutions against singular values of their dense matrix, built by brute force from the definition.
#include <Eigen/Core>
#include <cmath>
#include <vector>

#include "measures/kernels/conv_spectral.h"
#include "measures/kernels/dense_svd.h"
#include "measures/numerics/instruction_set.h"
#include "tests/measures/conv_spectral_cases.h"

using namespace gapbench;
using namespace gapbench::kernels;

namespace {

// Singular values of y[o, m, n] = sum K[o, i, a, b] x[i, (s m + a) mod H, (s n + b) mod W].
std::vector<double> singular_values_of_matrix(const std::vector<float>& w, const CircularConv& c) {
  const std::int64_t s = c.stride, out_h = (c.height + s - 1) / s, out_w = (c.width + s - 1) / s;
  const std::int64_t height = out_h * s, width = out_w * s;
  Eigen::MatrixXd m = Eigen::MatrixXd::Zero(c.outputs * out_h * out_w, c.inputs * height * width);
  for (std::int64_t o = 0; o < c.outputs; ++o)
    for (std::int64_t i = 0; i < c.inputs; ++i)
      for (std::int64_t a = 0; a < c.kernel_height; ++a)
        for (std::int64_t b = 0; b < c.kernel_width; ++b)
          for (std::int64_t y = 0; y < out_h; ++y)
            for (std::int64_t x = 0; x < out_w; ++x)
              m((o * out_h + y) * out_w + x,
                (i * height + (y * s + a) % height) * width + (x * s + b) % width) +=
                  static_cast<double>(w[static_cast<std::size_t>(
                      ((o * c.inputs + i) * c.kernel_height + a) * c.kernel_width + b)]);
  return dense_singular_values(m.data(), m.rows(), m.cols());
}

}  // namespace

TEST_CASE("singular values of a circular convolution are those of its dense matrix") {
  for (const CircularConv& c : small_convolutions) {
    CAPTURE(c.outputs, c.inputs, c.kernel_height, c.kernel_width, c.height, c.width, c.stride);
    const std::vector<float> w = random_kernel(c, 1);
    const std::vector<double> expected = singular_values_of_matrix(w, c);
    const std::vector<double> values = circular_conv_singular_values_ref(w, c);
    REQUIRE(values.size() == expected.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      CHECK(std::abs(values[i] - expected[i]) < 1e-12 * expected[0]);
    CHECK(circular_conv_norm_ref(w, c).value == values[0]);
    if (c.kernel_height <= c.height &&
        c.kernel_width <= c.width) {  // each output sees each entry of the kernel once
      double squares = 0, of_kernel = 0;
      for (const double s : values) squares += s * s;
      for (const float x : w) of_kernel += static_cast<double>(x) * static_cast<double>(x);
      const std::int64_t outputs =
          ((c.height + c.stride - 1) / c.stride) * ((c.width + c.stride - 1) / c.stride);
      CHECK(squares == Approx(static_cast<double>(outputs) * of_kernel).epsilon(1e-12));
    }
    for (const InstructionSet set : {InstructionSet::generic, InstructionSet::avx2, InstructionSet::avx512}) {
      if (set > widest_instruction_set()) continue;
      use_instruction_set(set);
      const OperatorNorm norm = circular_conv_norm(w, c);
      CHECK(norm.converged);
      CHECK(norm.value == Approx(expected[0]).epsilon(1e-7));
    }
    use_instruction_set(widest_instruction_set());
  }
}

TEST_CASE("the norm's bounds and stopping lose nothing, whatever the spectrum and the number of threads") {
  for_each_spectrum([](const std::vector<float>& w, const CircularConv& c) {
    const OperatorNorm norm = circular_conv_norm(w, c);
    CHECK(norm.converged);
    CHECK(norm.residual <= 2e-7);
    CHECK(norm.value / circular_conv_norm_ref(w, c).value == Approx(1).epsilon(1e-7));
    for (const int threads : {2, 5}) CHECK(circular_conv_norm(w, c, threads).value == norm.value);
  });
  // the largest is found late, after Ritz pairs of small residual that lie below the best of the other frequencies
  const CircularConv c{64, 64, 3, 3, 4, 4, 1};
  for (const std::uint64_t seed : {89, 516, 1146, 1395, 1550}) {
    const std::vector<float> w = random_kernel(c, seed);
    CHECK(circular_conv_norm(w, c).value / circular_conv_norm_ref(w, c).value == Approx(1).epsilon(1e-7));
  }
}

TEST_CASE("circular norms of special kernels") {
  const CircularConv c{16, 12, 3, 3, 6, 6, 1};
  CHECK(circular_conv_norm({}, {0, 12, 3, 3, 6, 6, 1}).value == 0);
  std::vector<float> w(16 * 12 * 9, 0.0f);
  CHECK(circular_conv_norm(w, c).value == 0);
  CHECK(circular_conv_norm(w, c).converged);
  w[4] = -3;  // one tap of one pair of channels: every block has the one singular value 3
  CHECK(circular_conv_norm(w, c).value == Approx(3).epsilon(1e-7));
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    w[100] = bad;
    CHECK_FALSE(circular_conv_norm(w, c).converged);
    CHECK_FALSE(circular_conv_norm_ref(w, c).converged);
  }
  // the identity on 12 channels: all singular values equal
  std::vector<float> identity(12 * 12 * 9, 0.0f);
  for (std::size_t i = 0; i < 12; ++i) identity[(i * 12 + i) * 9 + 4] = 2;
  CHECK(circular_conv_norm(identity, {12, 12, 3, 3, 6, 6, 1}).value == Approx(2).epsilon(1e-7));
}
