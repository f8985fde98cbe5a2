// Plan: a network as a list of operations, each on the output of an earlier one. The engine runs it; measures read it
// where they need to know what follows what (batch-norm folding, path norms). std only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace gapbench {

/// Size of one sample between two operations; a flat vector has height and width 1.
struct Extent {
  std::int64_t channels = 1, height = 1, width = 1;
  std::int64_t positions() const { return height * width; }
  std::int64_t size() const { return channels * positions(); }
};

enum class OpKind {
  dense,
  conv,
  batch_norm,
  layer_norm,   ///< over the channels of each position
  token_dense,  ///< a dense layer over the positions of each channel
  activation,
  max_pool,   ///< 2x2, stride 2
  mean_pool,  ///< 2x2, stride 2
  dropout,
  flatten,
  mean_positions,
  add,     ///< input + other
  concat,  ///< channels of input, then those of other
};

/// As PyTorch's defaults: leaky_relu with slope 0.01, gelu with the exact error function.
enum class Activation { relu, leaky_relu, gelu, tanh };
inline constexpr float leaky_relu_slope = 0.01f;

/// As PyTorch's defaults. Training divides by the biased variance of the batch and moves the running variance
/// towards the unbiased one: running = (1 - momentum) running + momentum batch.
inline constexpr double batch_norm_momentum = 0.1, batch_norm_epsilon = 1e-5;
inline constexpr double layer_norm_epsilon = 1e-5;

struct Op {
  OpKind kind = OpKind::flatten;
  Extent in, out;
  /// Which value the operation reads: 0 is the images, i + 1 the output of operation i.
  std::size_t input = 0;
  std::size_t other = 0;   ///< add, concat: the second value
  std::size_t weight = 0;  ///< dense, conv, norms, token_dense: index into Architecture::arrays()
  /// dense, conv: as weight. Batch norm always has one; its running_mean and running_var follow it.
  std::optional<std::size_t> bias;
  std::int64_t kernel = 1, stride = 1, padding = 0;  ///< conv, both directions
  Activation activation = Activation::relu;
  bool reads_other() const { return kind == OpKind::add || kind == OpKind::concat; }
  double probability = 0;  ///< dropout: of zeroing a unit, in (0, 1)
};

struct Plan {
  std::vector<Op> ops;  ///< the output of the last one is the logits

  /// Whether each operation reads the output of the one before and nothing else.
  bool is_chain() const {
    for (std::size_t i = 0; i < ops.size(); ++i)
      if (ops[i].input != i || ops[i].reads_other()) return false;
    return true;
  }
};

}  // namespace gapbench
