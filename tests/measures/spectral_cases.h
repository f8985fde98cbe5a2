// Convolutions over which the CPU and the CUDA version of conv_operator_norm are tested, and their dense matrices, by brute force.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "measures/kernels/dense_svd.h"
#include "measures/kernels/spectral.h"
#include "measures/numerics/philox.h"
#include "tests/support/catch.h"

inline std::vector<float> random_values(std::int64_t n, std::uint64_t seed) {
  gapbench::RandomStream random(seed, 77);
  std::vector<float> v;
  for (std::int64_t i = 0; i < n; ++i) v.push_back(static_cast<float>(random.normal()));
  return v;
}

inline double largest_singular_value(const Eigen::MatrixXd& m) {
  return gapbench::kernels::dense_singular_values(m.data(), m.rows(), m.cols())[0];
}

// The matrix of a convolution, column by column from the definition.
inline Eigen::MatrixXd dense_matrix(const std::vector<float>& w, const gapbench::kernels::ConvShape& s) {
  const std::int64_t oh = (s.height + 2 * s.padding - s.kernel_height) / s.stride + 1,
                     ow = (s.width + 2 * s.padding - s.kernel_width) / s.stride + 1;
  Eigen::MatrixXd m = Eigen::MatrixXd::Zero(s.outputs * oh * ow, s.inputs * s.height * s.width);
  for (std::int64_t o = 0; o < s.outputs; ++o)
    for (std::int64_t i = 0; i < s.inputs; ++i)
      for (std::int64_t ky = 0; ky < s.kernel_height; ++ky)
        for (std::int64_t kx = 0; kx < s.kernel_width; ++kx)
          for (std::int64_t y = 0; y < oh; ++y)
            for (std::int64_t x = 0; x < ow; ++x) {
              const std::int64_t iy = y * s.stride + ky - s.padding, ix = x * s.stride + kx - s.padding;
              if (iy < 0 || iy >= s.height || ix < 0 || ix >= s.width) continue;
              m((o * oh + y) * ow + x, (i * s.height + iy) * s.width + ix) += w[static_cast<std::size_t>(
                  ((o * s.inputs + i) * s.kernel_height + ky) * s.kernel_width + kx)];
            }
  return m;
}

inline const std::vector<gapbench::kernels::ConvShape> padded_convolutions = {
    {5, 4, 3, 3, 8, 8, 1, 1}, {5, 4, 3, 3, 8, 8, 2, 1}, {3, 6, 3, 3, 7, 5, 1, 0}, {3, 6, 5, 5, 7, 9, 2, 2},
    {4, 3, 3, 1, 6, 5, 1, 1}, {2, 2, 3, 3, 1, 1, 2, 1}, {6, 2, 1, 1, 4, 4, 2, 0}, {7, 5, 1, 1, 4, 4, 1, 0}};
