// Networks through LibTorch: the logits of any architecture as a function of its arrays, for autograd.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <utility>

#include "zoo/networks/architecture.h"

namespace gapbench {

/// Zeroes hidden units while a network trains. The network calls it once per place, in forward order.
class Dropout {
 public:
  virtual ~Dropout() = default;
  virtual at::Tensor operator()(const at::Tensor& hidden, double probability) = 0;
};

struct ForwardMode {
  bool training = false;          ///< batch norm uses the statistics of the batch, dropout is applied
  bool update_statistics = true;  ///< training: the running statistics of batch norm move, in place
  Dropout* dropout = nullptr;     ///< training, where the network has dropout
};

/// Elementwise, out of place; gelu in its exact form.
at::Tensor activate(Activation kind, const at::Tensor& x);

/// Logits [n, classes] for images [n, channels, height, width]; `arrays` in Architecture::arrays() order.
at::Tensor forward(const Architecture& architecture, std::span<const at::Tensor> arrays,
                   const at::Tensor& images, const ForwardMode& mode);

/// The logits in evaluation mode, and d/dt of them with every trained array multiplied by 1 + t, at t = 0.
std::pair<at::Tensor, at::Tensor> logits_and_derivatives(const Architecture& architecture,
                                                         std::span<const at::Tensor> arrays,
                                                         const at::Tensor& images);

/// A float tensor [n, channels, height, width] over memory that stays the caller's and outlives it, in the
/// order the architecture's images have.
at::Tensor view_images(const Architecture& architecture, const InputShape& shape, const float* images,
                       std::int64_t n);

/// Arrays as tensors in the memory order in which the architecture runs, copied from row-major buffers.
std::vector<at::Tensor> to_tensors(const Architecture& architecture,
                                   std::span<const std::span<const float>> arrays);

}  // namespace gapbench
