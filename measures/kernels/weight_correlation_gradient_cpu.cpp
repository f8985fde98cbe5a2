// CPU version of absolute_cosine_gradients: matrix by matrix, two products of Eigen in float32.
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>

#include "measures/kernels/weight_correlation.h"

namespace gapbench::kernels {

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Rows divided by their norms; zero rows stay zero.
Matrix unit_rows(const Matrix& m) {
  Matrix u = m;
  for (Eigen::Index i = 0; i < u.rows(); ++i)
    if (const float norm = u.row(i).norm(); norm > 0) u.row(i) /= norm;
  return u;
}

// The power of two that brings the largest entry near 1, but not where float32 has room for the squares.
float lift(const Eigen::Ref<const Eigen::RowVectorXf>& row) {
  const float largest = row.size() > 0 ? row.cwiseAbs().maxCoeff() : 0;
  if (!(largest > 0) || !std::isfinite(largest) || (largest > 1e-15f && largest < 1e15f)) return 1;
  return std::ldexp(1.0f, std::clamp(-std::ilogb(largest), -126, 126));
}

}  // namespace

void absolute_cosine_gradients(const RowBatches& in, float* gradient, CosineGradientSums* sums) {
  Matrix w(in.rows, in.length);
  for (std::int64_t b = 0; b < in.batches; ++b) {
    const auto at = [&](std::int64_t row) { return b * in.batch_stride + row * in.row_stride; };
    for (std::int64_t i = 0; i < in.rows; ++i)
      std::copy_n(in.data + at(i), in.length, w.data() + i * in.length);
    CosineGradientSums found;
    const bool finite = w.allFinite();
    Eigen::VectorXf lifts = Eigen::VectorXf::Ones(in.rows);
    Matrix s;
    if (!finite) {
      s = Matrix::Constant(in.rows, in.length, std::numeric_limits<float>::quiet_NaN());
      found.absolute = found.signed_sum = std::numeric_limits<double>::quiet_NaN();
    } else {
      for (Eigen::Index i = 0; i < w.rows(); ++i)
        if (lifts[i] = lift(w.row(i)); lifts[i] != 1) w.row(i) *= lifts[i];
      const Matrix u = unit_rows(w);
      Matrix cosine = u * u.transpose();
      cosine.diagonal().setZero();
      const Matrix sign = cosine.unaryExpr([](float x) { return static_cast<float>((x > 0) - (x < 0)); });
      s = sign * u;
      for (Eigen::Index i = 0; i < w.rows(); ++i) {
        const float norm = w.row(i).norm();
        if (norm == 0) continue;  // sign is 0 throughout, so is its row of s
        ++found.rows;
        found.absolute += static_cast<double>(cosine.row(i).cwiseAbs().sum());
        found.signed_sum += static_cast<double>(cosine.row(i).sum());
        s.row(i) -= u.row(i) * s.row(i).dot(u.row(i));
        s.row(i) /= norm;
        if (lifts[i] != 1) s.row(i) *= lifts[i];
      }
    }
    for (std::int64_t i = 0; i < in.rows; ++i)
      std::copy_n(s.data() + i * in.length, in.length, gradient + at(i));
    if (sums != nullptr) sums[b] = found;
  }
}

}  // namespace gapbench::kernels
