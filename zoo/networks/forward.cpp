#include "zoo/networks/forward.h"

#include <ATen/ops/add.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/leaky_relu_backward.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/max_pool2d_with_indices.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tanh_backward.h>
#include <ATen/ops/threshold_backward.h>
#include <ATen/ops/zeros_like.h>

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

at::Tensor apply(const Op& op, std::span<const at::Tensor> arrays, const at::Tensor& x,
                 const at::Tensor& other, const ForwardMode& mode) {
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
      return at::add(x, other);
    case OpKind::concat:
      return at::cat({x, other}, 1);
    case OpKind::dropout:
      return mode.training ? (*mode.dropout)(x, op.probability) : x;
    case OpKind::flatten:
      return x.flatten(1);
    case OpKind::mean_positions:
      return x.mean({2, 3});
  }
  throw InternalError("operation without a forward pass");
}

// A value and its derivative along the arrays.
struct Dual {
  at::Tensor value, derivative;
};

at::Tensor activation_derivative(Activation kind, const at::Tensor& x, const at::Tensor& y,
                                 const at::Tensor& dx) {
  switch (kind) {
    case Activation::relu:
      return at::threshold_backward(dx, y, 0);
    case Activation::leaky_relu:
      return at::leaky_relu_backward(dx, x, leaky_relu_slope, false);
    case Activation::gelu:
      return at::gelu_backward(dx, x);
    case Activation::tanh:
      return at::tanh_backward(dx, y);
  }
  throw InternalError("activation without a derivative");
}

// Of a layer that is linear in its arrays and in its input, f(x) = W x + b with derivative W x + b + W dx = f(x + dx).
Dual apply(const Op& op, std::span<const at::Tensor> arrays, const Dual& x, const Dual& other) {
  if (op.kind == OpKind::max_pool) {
    auto [y, index] = at::max_pool2d_with_indices(x.value, {2, 2}, {2, 2});
    return {y, x.derivative.flatten(2).gather(2, index.flatten(2)).view(y.sizes())};
  }
  const at::Tensor y = apply(op, arrays, x.value, other.value, {});
  switch (op.kind) {
    case OpKind::dense:
    case OpKind::conv:
    case OpKind::batch_norm:
    case OpKind::token_dense:
      return {y, apply(op, arrays, at::add(x.value, x.derivative), {}, {})};
    case OpKind::activation:
      return {y, activation_derivative(op.activation, x.value, y, x.derivative)};
    case OpKind::layer_norm: {
      // y = w n(x) + b with n the normalised x: w dn + y
      const at::Tensor mean = x.value.mean({1}, true), centred = at::sub(x.value, mean),
                       scale = at::rsqrt(at::add(centred.square().mean({1}, true), layer_norm_epsilon)),
                       n = at::mul(centred, scale), d = at::sub(x.derivative, x.derivative.mean({1}, true)),
                       dn = at::mul(scale, at::sub(d, at::mul(n, at::mul(n, d).mean({1}, true))));
      return {y, at::add(y, at::mul(dn, arrays[op.weight].view({1, -1, 1, 1})))};
    }
    default:  // linear, without arrays
      return {y, apply(op, arrays, x.derivative, other.derivative, {})};
  }
}

// The last of the values that `f` makes of each operation's inputs.
template <class Value, class F>
Value run(const Architecture& architecture, Value images, F f) {
  const std::vector<Op>& ops = architecture.plan().ops;
  // a value is dropped after its last reader: evaluation holds what the widest place of the network needs
  std::vector<std::size_t> last_reader(ops.size() + 1, ops.size());
  for (std::size_t i = 0; i < ops.size(); ++i) {
    last_reader[ops[i].input] = i;
    if (ops[i].reads_other()) last_reader[ops[i].other] = i;
  }
  std::vector<Value> values = {std::move(images)};
  for (std::size_t i = 0; i < ops.size(); ++i) {
    values.push_back(f(ops[i], values[ops[i].input], ops[i].reads_other() ? values[ops[i].other] : Value()));
    if (last_reader[ops[i].input] == i) values[ops[i].input] = Value();
    if (ops[i].reads_other() && last_reader[ops[i].other] == i) values[ops[i].other] = Value();
  }
  return std::move(values.back());
}

}  // namespace

at::Tensor forward(const Architecture& architecture, std::span<const at::Tensor> arrays,
                   const at::Tensor& images, const ForwardMode& mode) {
  return run<at::Tensor>(architecture, images,
                         [&](const Op& op, const at::Tensor& x, const at::Tensor& other) {
                           return apply(op, arrays, x, other, mode);
                         });
}

std::pair<at::Tensor, at::Tensor> logits_and_derivatives(const Architecture& architecture,
                                                         std::span<const at::Tensor> arrays,
                                                         const at::Tensor& images) {
  const Dual z =
      run<Dual>(architecture, {images, at::zeros_like(images)},
                [&](const Op& op, const Dual& x, const Dual& other) { return apply(op, arrays, x, other); });
  return {z.value, z.derivative};
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
