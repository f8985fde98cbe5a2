// K networks of one shape as one computation: forward and backward passes over tensors with a leading axis K.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>
#include <vector>

#include "zoo/engine/stack/layout.h"

namespace gapbench::stack {

/// Per member: what dropout and the running statistics of batch norm depend on. All tensors on one device.
struct Randomness {
  at::Tensor key, step;         ///< int64 [K]
  at::Tensor threshold, scale;  ///< int64 and float, [places of dropout in the plan, K]
};

/// The arrays of K members.
struct Arrays {
  at::Tensor trained;  ///< [K, Layout::trained_size()]
  at::Tensor buffers;  ///< [K, Layout::buffer_size()]
};

/// What a forward pass leaves to the backward pass.
struct Trace {
  bool training = false;           ///< batch norm divided by the batch's own deviation
  std::vector<at::Tensor> values;  ///< per value of the plan
  std::vector<at::Tensor>
      saved;  ///< per operation: patches, normalised units, dropout masks, winners of pools
  std::vector<at::Tensor> scale;  ///< per operation: of batch norm, 1 / standard deviation [K, 1, channels]
};

/// The passes of one shape. Images are [K, n, size] or, the same for all members, [1, n, size], in the order that
/// Architecture::channels_last() names. Runs on the device of its arguments, on ATen's current stream.
/// `architecture` must outlive it and must be served (layout.h).
class Network {
 public:
  explicit Network(const Architecture& architecture);
  const Layout& layout() const { return layout_; }
  const Architecture& architecture() const { return architecture_; }
  std::size_t dropouts() const { return dropouts_; }

  /// Logits [K, n, classes] in evaluation mode. With `trace`, what backward() needs is kept.
  at::Tensor evaluate(const Arrays& arrays, const at::Tensor& images, Trace* trace = nullptr) const;
  /// Logits in evaluation mode, and d/dt of them with every trained array multiplied by 1 + t, at t = 0. Twice the
  /// arithmetic of evaluate() and no trace.
  std::pair<at::Tensor, at::Tensor> derivatives(const Arrays& arrays, const at::Tensor& images) const;
  /// Logits in training mode; the running statistics move where `moving` (bool [K]) is true.
  at::Tensor train(const Arrays& arrays, const at::Tensor& images, const Randomness& randomness,
                   const at::Tensor& moving, Trace& trace) const;
  /// Writes the gradient of every trained array into `gradients` [K, trained_size()], whose padding stays.
  void backward(const Arrays& arrays, const at::Tensor& logit_gradient, Trace& trace,
                const at::Tensor& gradients) const;
  /// Floats that one sample of one member takes in the widest operation of a forward pass.
  std::int64_t widest() const;
  /// Floats that one sample of one member takes in a trace and its gradients.
  std::int64_t traced() const;

 private:
  struct Mode;
  at::Tensor forward(const Arrays& arrays, const at::Tensor& images, const Mode& mode, Trace* trace) const;
  at::Tensor batch_norm(const Op& op, std::size_t i, const Arrays& arrays, const at::Tensor& x,
                        const Mode& mode, Trace* trace) const;
  at::Tensor product(const Op& op, const Arrays& arrays, const at::Tensor& columns,
                     std::optional<Activation> activation) const;
  at::Tensor view(const at::Tensor& rows, std::size_t array) const;
  bool fused_activation(std::size_t op) const;

  const Architecture& architecture_;
  Layout layout_;
  std::vector<std::size_t> readers_;      // of each value
  std::vector<std::size_t> last_reader_;  // of each value
  std::vector<bool> has_gradient_;        // of each value: an array lies before it
  std::size_t dropouts_ = 0;
};

}  // namespace gapbench::stack
