#include "zoo/networks/forward.h"

#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tanh.h>

#include "measures/api/error.h"

namespace gapbench {
namespace {

at::Tensor activate(Activation kind, const at::Tensor& x) {
  switch (kind) {
    case Activation::relu:
      return at::relu(x);
    case Activation::leaky_relu:
      return at::leaky_relu(x, leaky_relu_slope);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::tanh:
      return at::tanh(x);
  }
  throw InternalError("activation without a forward pass");
}

at::Tensor apply(const Op& op, std::span<const at::Tensor> arrays, const at::Tensor& x,
                 const ForwardMode& mode) {
  const at::Tensor bias = op.bias ? arrays[*op.bias] : at::Tensor();
  switch (op.kind) {
    case OpKind::dense:
      return at::linear(x, arrays[op.weight], bias);
    case OpKind::conv:
      return at::conv2d(x, arrays[op.weight], bias, op.stride, op.padding);
    case OpKind::batch_norm: {
      const bool running = !mode.training || mode.update_statistics;
      return at::batch_norm(x, arrays[op.weight], bias, running ? arrays[*op.bias + 1] : at::Tensor(),
                            running ? arrays[*op.bias + 2] : at::Tensor(), mode.training, batch_norm_momentum,
                            batch_norm_epsilon, false);
    }
    case OpKind::activation:
      return activate(op.activation, x);
    case OpKind::max_pool:
      return at::max_pool2d(x, {2, 2}, {2, 2});
    case OpKind::dropout:
      return mode.training ? (*mode.dropout)(x, op.probability) : x;
    case OpKind::flatten:
      return x.flatten(1);
    case OpKind::mean_positions:
      return x.mean({2, 3});
  }
  throw InternalError("operation without a forward pass");
}

}  // namespace

at::Tensor forward(const Architecture& architecture, std::span<const at::Tensor> arrays,
                   const at::Tensor& images, const ForwardMode& mode) {
  // a network that is no plan has its forward pass in a file of its own, chosen here by architecture.network()
  if (!architecture.plan()) throw InternalError("no forward pass for network " + architecture.network());
  at::Tensor x = images;
  for (const Op& op : architecture.plan()->ops) x = apply(op, arrays, x, mode);
  return x;
}

at::Tensor view_images(const Architecture& architecture, const InputShape& shape, const float* images,
                       std::int64_t n) {
  const auto [c, h, w, classes] = shape;
  const auto options = at::TensorOptions().dtype(at::kFloat);
  float* data = const_cast<float*>(images);  // forward passes only read it
  if (architecture.channels_last())
    return at::from_blob(data, {n, c, h, w}, {h * w * c, 1, w * c, c}, options);
  return at::from_blob(data, {n, c, h, w}, options);
}

std::vector<at::Tensor> to_tensors(const Architecture& architecture,
                                   std::span<const std::span<const float>> arrays) {
  std::vector<at::Tensor> tensors;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const auto& shape = architecture.arrays()[i].shape;
    // from_blob only reads here: clone() copies before anyone could write
    const at::Tensor view =
        at::from_blob(const_cast<float*>(arrays[i].data()), shape, at::TensorOptions().dtype(at::kFloat));
    tensors.push_back(view.clone(architecture.channels_last() && view.dim() == 4
                                     ? at::MemoryFormat::ChannelsLast
                                     : at::MemoryFormat::Contiguous));
  }
  return tensors;
}

}  // namespace gapbench
