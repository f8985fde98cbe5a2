#include "measures/kernels/dense_svd.h"

#include <Eigen/SVD>

namespace gapbench::kernels {

std::vector<double> dense_singular_values(const double* a, std::int64_t rows, std::int64_t columns) {
  const Eigen::VectorXd values =
      Eigen::BDCSVD<Eigen::MatrixXd>(Eigen::Map<const Eigen::MatrixXd>(a, rows, columns)).singularValues();
  return {values.begin(), values.end()};
}

}  // namespace gapbench::kernels
