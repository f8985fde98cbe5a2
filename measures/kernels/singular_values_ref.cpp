// One-sided Jacobi rotations (Eigen), matrix by matrix.
#include <Eigen/Dense>
#include <algorithm>
#include <limits>

#include "measures/kernels/singular_values.h"

namespace gapbench::kernels {

void singular_values_ref(const MatrixBatch& in, double* values) {
  const std::int64_t n = std::min(in.rows, in.columns);
  if (n == 0) return;
  for (std::int64_t b = 0; b < in.batches; ++b) {
    Eigen::MatrixXd a(in.rows, in.columns);
    for (std::int64_t r = 0; r < in.rows; ++r)
      for (std::int64_t c = 0; c < in.columns; ++c)
        a(r, c) =
            static_cast<double>(in.data[b * in.batch_stride + r * in.row_stride + c * in.column_stride]);
    Eigen::Map<Eigen::VectorXd> out(values + b * n, n);
    if (a.allFinite())
      out = Eigen::JacobiSVD<Eigen::MatrixXd>(a).singularValues();
    else
      out.setConstant(std::numeric_limits<double>::quiet_NaN());
  }
}

}  // namespace gapbench::kernels
