// Reference: every frequency, the folded blocks side by side, full singular value decompositions.
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <numbers>

#include "measures/kernels/conv_spectral.h"
#include "measures/kernels/dense_svd.h"

namespace gapbench::kernels {

std::vector<double> circular_conv_singular_values_ref(std::span<const float> w, const CircularConv& c) {
  std::vector<double> values;
  for (const float x : w)
    if (!std::isfinite(x)) return values;
  if (w.empty()) return values;
  const std::int64_t s = c.stride, coarse_h = (c.height + s - 1) / s, coarse_w = (c.width + s - 1) / s;
  const auto tap = [&](std::int64_t o, std::int64_t i, std::int64_t a, std::int64_t b) {
    return static_cast<double>(
        w[static_cast<std::size_t>(((o * c.inputs + i) * c.kernel_height + a) * c.kernel_width + b)]);
  };
  for (std::int64_t u = 0; u < coarse_h; ++u)
    for (std::int64_t v = 0; v < coarse_w; ++v) {
      Eigen::MatrixXcd block = Eigen::MatrixXcd::Zero(c.outputs, s * s * c.inputs);
      for (std::int64_t j = 0; j < s; ++j)
        for (std::int64_t k = 0; k < s; ++k)
          for (std::int64_t a = 0; a < c.kernel_height; ++a)
            for (std::int64_t b = 0; b < c.kernel_width; ++b) {
              const double turns =
                  static_cast<double>((u + j * coarse_h) * a) / static_cast<double>(s * coarse_h) +
                  static_cast<double>((v + k * coarse_w) * b) / static_cast<double>(s * coarse_w);
              const std::complex<double> phase =
                  std::polar(1.0 / static_cast<double>(s), -2 * std::numbers::pi * turns);
              for (std::int64_t o = 0; o < c.outputs; ++o)
                for (std::int64_t i = 0; i < c.inputs; ++i)
                  block(o, (j * s + k) * c.inputs + i) += phase * tap(o, i, a, b);
            }
      // as a real matrix, which has each singular value twice
      Eigen::MatrixXd real(2 * block.rows(), 2 * block.cols());
      real << block.real(), -block.imag(), block.imag(), block.real();
      const std::vector<double> twice = dense_singular_values(real.data(), real.rows(), real.cols());
      for (std::size_t i = 0; i < twice.size(); i += 2) values.push_back(twice[i]);
    }
  std::sort(values.begin(), values.end(), std::greater<>());
  return values;
}

OperatorNorm circular_conv_norm_ref(std::span<const float> w, const CircularConv& shape) {
  OperatorNorm result;
  const std::vector<double> values = circular_conv_singular_values_ref(w, shape);
  result.converged = !values.empty() || w.empty();
  if (!values.empty()) result.value = values.front();
  return result;
}

}  // namespace gapbench::kernels
