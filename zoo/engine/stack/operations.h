// What the passes of a stack are made of: tensors with a leading axis of members, float32, contiguous, on any device.
// All of them are made of ATen's operations.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "zoo/networks/plan.h"
#include "zoo/training/augmentation.h"

namespace gapbench::stack {

/// Patches of the images of a convolution. x [K, n positions, channels] of the extent op.in; returns
/// [K, n positions of op.out, kernel kernel channels], taps slowest; outside the image is 0. x itself for a 1x1
/// convolution of stride 1.
at::Tensor patches(const Op& op, const at::Tensor& x);
/// Its transpose: sums what the patches hold into the places they came from.
at::Tensor patches_transposed(const Op& op, const at::Tensor& columns);

/// y [K, rows, O] plus bias [K, O] (undefined: none), then the activation (nothing: none; not gelu); in place.
void add_bias_and_activate(at::Tensor& y, const at::Tensor& bias, std::optional<Activation> kind);
/// The gradient by the activation's input from that by its output; `saved` is the input for gelu, else the output.
at::Tensor activation_gradient(Activation kind, const at::Tensor& gradient, const at::Tensor& saved);

/// [K, m] factors of inverted dropout: member k's are 0 where the number is below threshold[k], else scale[k], and
/// number e is number first + e of RandomStream(key[k], step[k]). key and step int64 [K], threshold int64 [K],
/// scale float [K].
at::Tensor dropout_mask(const at::Tensor& key, const at::Tensor& step, const at::Tensor& threshold,
                        const at::Tensor& scale, std::int64_t first, std::int64_t m);

struct Loss {
  at::Tensor value;     ///< [K] float: mean over the n samples of -sum_c t_c ln p_c
  at::Tensor gradient;  ///< [K, n, classes]: by the logits
};
/// logits and targets t [K, n, classes].
Loss softmax_loss(const at::Tensor& logits, const at::Tensor& targets);
/// Target rows [K, n, classes] for labels [K, n] int64: everywhere[k] in each class and added[k] more in the label's.
at::Tensor target_rows(const at::Tensor& labels, std::int64_t classes, const at::Tensor& everywhere,
                       const at::Tensor& added);

/// Turns of images [K, n, size] as augmentation.h has them: `turns` int64 [K, n] are numbers, `sources` int64
/// [Turn::count(), positions] where each position is taken from, `positions` where it is outside.
at::Tensor turned(const at::Tensor& images, const at::Tensor& turns, const at::Tensor& sources,
                  const ImageLayout& layout);
/// keep[k] x + (1 - keep[k]) x of the partner; x [K, n, ...] rows, partners int64 [K, n], keep float [K].
at::Tensor mixed(const at::Tensor& x, const at::Tensor& partners, const at::Tensor& keep);

}  // namespace gapbench::stack
