// Kernel: all singular values of one dense float64 matrix.
//
// Formula   the square roots of the eigenvalues of A^T A, min(rows, columns) of them.
// Inputs    float64, finite, column-major [rows, columns].
// Returns   values in descending order.
// Source    Gu and Eisenstat, SIAM J. Matrix Anal. Appl. 16 (1995), as Eigen's BDCSVD has it.
// Error     backward stable: a few (rows + columns) 2^-52 of the largest.
// Cost      O(rows columns min(rows, columns)). A function, because compilers take up to a minute for each use of Eigen's template.
#pragma once

#include <cstdint>
#include <vector>

namespace gapbench::kernels {

std::vector<double> dense_singular_values(const double* a, std::int64_t rows, std::int64_t columns);

}  // namespace gapbench::kernels
