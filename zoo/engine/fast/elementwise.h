// What a fast network does between its products, over plain float arrays. Positions are rows, channels columns.
// Runs on the vector registers that instruction_set.h names. std only.
#pragma once

#include <cstdint>

#include "zoo/engine/loss.h"
#include "zoo/networks/plan.h"

namespace gapbench::fast {

struct Elementwise {
  /// y = f(x) over n values; x and y may be the same. GELU uses the error function to 1.5e-7 (Abramowitz and
  /// Stegun 1964, 7.1.26), tanh is exact to 4e-7 relative.
  void (*activate)(Activation kind, const float* x, float* y, std::int64_t n);
  /// g = g f'(x) in place. `values` is y for ReLU, leaky ReLU and tanh, and x for GELU.
  void (*activate_backward)(Activation kind, const float* values, float* g, std::int64_t n);
  /// x = f(x) and d = f(x) + f'(x) d, in place.
  void (*activate_along)(Activation kind, float* x, float* d, std::int64_t n);
  /// out[j] (+)= sum_i x[i][j] over m rows.
  void (*column_sums)(const float* x, std::int64_t m, std::int64_t columns, float* out, bool accumulate);
  /// y[i][j] = (x[i][j] - mean[j]) scale[j] + shift[j].
  void (*normalise)(const float* x, std::int64_t m, std::int64_t columns, const float* mean,
                    const float* scale, const float* shift, float* y);
  /// Per column: sum and sum of squares about `about` of m rows, in float64 over blocks of float32.
  void (*moments)(const float* x, std::int64_t m, std::int64_t columns, const float* about, double* sum,
                  double* squares);
  /// Per column: sum of g and of g (x - mean).
  void (*batch_norm_sums)(const float* x, const float* g, std::int64_t m, std::int64_t columns,
                          const float* mean, double* sum, double* product);
  /// g = a g + b (x - mean) + c, with a, b, c per column, in place.
  void (*batch_norm_backward)(const float* x, float* g, std::int64_t m, std::int64_t columns,
                              const float* mean, const float* a, const float* b, const float* c);
  /// 2x2 maximum with stride 2 of n images [height, width, channels]; an odd last row or column is left out.
  void (*max_pool)(const float* x, std::int64_t n, std::int64_t height, std::int64_t width,
                   std::int64_t channels, float* y);
  /// gx: the gradient goes to the first largest value of each 2x2 window, all else is zero.
  void (*max_pool_backward)(const float* x, const float* y, const float* gy, std::int64_t n,
                            std::int64_t height, std::int64_t width, std::int64_t channels, float* gx);
  /// to[j][i] = from[i][j], i < rows, j < columns, with distances between rows.
  void (*transpose)(const float* from, std::int64_t rows, std::int64_t columns, std::int64_t from_stride,
                    float* to, std::int64_t to_stride);
  /// Dropout multipliers: element e is 0 where the word `first + e` of the Philox stream (key, stream) is below
  /// threshold, else scale; the words are those of RandomStream in order.
  void (*dropout_mask)(std::uint64_t key, std::uint64_t stream, std::uint64_t first, std::int64_t n,
                       std::uint32_t threshold, float scale, float* mask);
  /// y = x mask.
  void (*multiply_by)(const float* x, const float* mask, float* y, std::int64_t n);
  /// Sum over n rows of -sum_k t_k ln softmax(z)_k; the logits become weight (softmax(z) sum_k t_k - t).
  /// `scratch` holds 64 floats a class.
  double (*softmax_loss)(float* logits, const float* targets, std::int64_t n, std::int64_t classes,
                         float weight, float* scratch);
  /// As add_losses of loss.h, in float32: a relative error of about 1e-7 times the largest logit. The same scratch.
  void (*add_losses)(const float* logits, const std::int64_t* labels, std::int64_t n, std::int64_t classes,
                     float* scratch, LossSum& sum);
};

/// The functions for this machine.
const Elementwise& elementwise();

}  // namespace gapbench::fast
