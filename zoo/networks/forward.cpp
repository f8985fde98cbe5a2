#include "zoo/networks/forward.h"

#include <ATen/ops/add.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tanh.h>

#include "measures/api/error.h"

namespace gapbench {
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

namespace {

at::Tensor apply(const Op& op, std::span<const at::Tensor> arrays, const std::vector<at::Tensor>& values,
                 const ForwardMode& mode) {
  const at::Tensor& x = values[op.input];
  const at::Tensor bias = op.bias ? arrays[*op.bias] : at::Tensor();
  switch (op.kind) {
    case OpKind::dense:
      return at::linear(x, arrays[op.weight], bias);
    case OpKind::conv:
      return at::conv2d(x, arrays[op.weight], bias, op.stride, op.padding);
    case OpKind::batch_norm: {
      // a single value a channel has no unbiased variance: the running statistics stay
      const bool running = !mode.training || (mode.update_statistics && x.numel() > x.size(1));
      return at::batch_norm(x, arrays[op.weight], bias, running ? arrays[*op.bias + 1] : at::Tensor(),
                            running ? arrays[*op.bias + 2] : at::Tensor(), mode.training, batch_norm_momentum,
                            batch_norm_epsilon, false);
    }
    case OpKind::layer_norm:
      // channels-last, a permutation of axes is a view
      return at::layer_norm(x.permute({0, 2, 3, 1}), {op.in.channels}, arrays[op.weight], bias,
                            layer_norm_epsilon)
          .permute({0, 3, 1, 2});
    case OpKind::token_dense:
      return at::linear(x.flatten(2), arrays[op.weight], bias)
          .reshape({x.size(0), op.out.channels, op.out.height, op.out.width});
    case OpKind::activation:
      return activate(op.activation, x);
    case OpKind::max_pool:
      return at::max_pool2d(x, {2, 2}, {2, 2});
    case OpKind::mean_pool:
      return at::avg_pool2d(x, {2, 2}, {2, 2});
    case OpKind::add:
      return at::add(x, values[op.other]);
    case OpKind::concat:
      return at::cat({x, values[op.other]}, 1);
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
  const std::vector<Op>& ops = architecture.plan().ops;
  // a value is dropped after its last reader: evaluation holds what the widest place of the network needs
  std::vector<std::size_t> last_reader(ops.size() + 1, ops.size());
  for (std::size_t i = 0; i < ops.size(); ++i) {
    last_reader[ops[i].input] = i;
    if (ops[i].reads_other()) last_reader[ops[i].other] = i;
  }
  std::vector<at::Tensor> values = {images};
  for (std::size_t i = 0; i < ops.size(); ++i) {
    values.push_back(apply(ops[i], arrays, values, mode));
    if (last_reader[ops[i].input] == i) values[ops[i].input] = at::Tensor();
    if (ops[i].reads_other() && last_reader[ops[i].other] == i) values[ops[i].other] = at::Tensor();
  }
  return values.back();
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
