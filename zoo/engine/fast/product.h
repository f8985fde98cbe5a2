// Small float32 matrix products on one thread, made for rows that are found through tables of offsets: a
// convolution is a product whose rows overlap in memory. The right factor and the result have contiguous rows;
// any size, no packing. Runs on the vector registers that instruction_set.h names. std only.
#pragma once

#include <cstdint>

namespace gapbench::fast {

/// What becomes of the result: C = init + A B, then perhaps ReLU.
struct Finish {
  const float* bias = nullptr;  ///< [n], added to every row; null: none. Not together with accumulate.
  bool accumulate = false;      ///< init is what C holds
  bool relu = false;            ///< C = max(C, 0), NaN stays
};

/// C[i][j] = sum_t sum_k A[row[i] + tap[t] + k] B[(t depth + k) ldb + j], j < n; C's row i is at c + c_row[i].
/// Cost: 2 m taps depth n operations. Result independent of m: each row has the same bits in any product.
void multiply(const float* a, const std::int32_t* row, std::int64_t m, const std::int32_t* tap,
              std::int64_t taps, std::int64_t depth, const float* b, std::int64_t ldb, std::int64_t n,
              float* c, const std::int32_t* c_row, const Finish& finish);

/// C[k][j] (+)= sum_i A[row[i] + k] B[i ldb + j], k < depth, j < n: the transposed left factor. Rows of C are
/// contiguous, n apart.
void multiply_transposed(const float* a, const std::int32_t* row, std::int64_t m, std::int64_t depth,
                         const float* b, std::int64_t ldb, std::int64_t n, float* c, bool accumulate);

}  // namespace gapbench::fast
