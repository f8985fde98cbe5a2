#include "zoo/engine/stack/operations.h"

#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/leaky_relu_backward.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scatter_add.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tanh_backward.h>
#include <ATen/ops/threshold_backward.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "measures/api/error.h"

namespace gapbench::stack {
namespace {

bool is_pointwise(const Op& op) {
  return op.kernel == 1 && op.stride == 1 && op.padding == 0;
}

}  // namespace

at::Tensor patches(const Op& op, const at::Tensor& x) {
  if (is_pointwise(op)) return x;
  const std::int64_t members = x.size(0), n = x.size(1) / op.in.positions(), c = op.in.channels;
  const std::int64_t h = op.in.height + 2 * op.padding, w = op.in.width + 2 * op.padding;
  const at::Tensor padded = at::constant_pad_nd(x.view({members, n, op.in.height, op.in.width, c}),
                                                {0, 0, op.padding, op.padding, op.padding, op.padding}, 0)
                                .contiguous();
  return padded
      .as_strided({members, n, op.out.height, op.out.width, op.kernel, op.kernel, c},
                  {n * h * w * c, h * w * c, op.stride * w * c, op.stride * c, w * c, c, 1})
      .reshape({members, n * op.out.positions(), op.kernel * op.kernel * c});
}

at::Tensor patches_transposed(const Op& op, const at::Tensor& columns) {
  if (is_pointwise(op)) return columns;
  const std::int64_t members = columns.size(0), n = columns.size(1) / op.out.positions(), c = op.in.channels;
  const std::int64_t h = op.in.height + 2 * op.padding, w = op.in.width + 2 * op.padding;
  const at::Tensor padded = at::zeros({members, n, h, w, c}, columns.options());
  const at::Tensor taps = columns.view({members, n, op.out.height, op.out.width, op.kernel, op.kernel, c});
  for (std::int64_t y = 0; y < op.kernel; ++y)
    for (std::int64_t x = 0; x < op.kernel; ++x)
      padded.slice(2, y, y + op.stride * (op.out.height - 1) + 1, op.stride)
          .slice(3, x, x + op.stride * (op.out.width - 1) + 1, op.stride)
          .add_(taps.select(4, y).select(4, x));
  return padded.narrow(2, op.padding, op.in.height)
      .narrow(3, op.padding, op.in.width)
      .reshape({members, n * op.in.positions(), c});
}

void add_bias_and_activate(at::Tensor& y, const at::Tensor& bias, std::optional<Activation> kind) {
  if (bias.defined()) y.add_(bias.unsqueeze(1));
  if (!kind) return;
  switch (*kind) {
    case Activation::relu:
      at::relu_(y);
      return;
    case Activation::leaky_relu:
      at::leaky_relu_(y, leaky_relu_slope);
      return;
    case Activation::tanh:
      at::tanh_(y);
      return;
    case Activation::gelu:
      break;
  }
  throw InternalError("an activation that needs its input was asked for in place");
}

at::Tensor activation_gradient(Activation kind, const at::Tensor& gradient, const at::Tensor& saved) {
  switch (kind) {
    case Activation::relu:
      return at::threshold_backward(gradient, saved, 0);
    case Activation::leaky_relu:  // the output has the sign of the input
      return at::leaky_relu_backward(gradient, saved, leaky_relu_slope, true);
    case Activation::gelu:
      return at::gelu_backward(gradient, saved);
    case Activation::tanh:
      return at::tanh_backward(gradient, saved);
  }
  throw InternalError("activation without a backward pass");
}

at::Tensor dropout_mask(const at::Tensor& key, const at::Tensor& step, const at::Tensor& threshold,
                        const at::Tensor& scale, std::int64_t first, std::int64_t m) {
  // Philox4x32-10 of measures/numerics/philox.h on int64, whose products wrap as those of unsigned numbers do
  constexpr std::int64_t low = 0xFFFFFFFF, multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57;
  constexpr std::int64_t weyl0 = 0x9E3779B9, weyl1 = 0xBB67AE85;
  const std::int64_t members = key.size(0), block = first / 4, blocks = (first + m - 1) / 4 - block + 1;
  const auto high = [](const at::Tensor& x) { return x.bitwise_right_shift(32).bitwise_and(low); };
  const at::Tensor counter = at::arange(block, block + blocks, key.options()).unsqueeze(0);
  at::Tensor c0 = counter.bitwise_and(low).expand({members, blocks}),
             c1 = high(counter).expand({members, blocks}),
             c2 = step.bitwise_and(low).unsqueeze(1).expand({members, blocks}),
             c3 = high(step).unsqueeze(1).expand({members, blocks});
  at::Tensor k0 = key.bitwise_and(low).unsqueeze(1), k1 = high(key).unsqueeze(1);
  for (int round = 0; round < 10; ++round) {
    const at::Tensor p0 = c0.mul(multiplier0), p1 = c2.mul(multiplier1);
    c0 = high(p1).bitwise_xor(c1).bitwise_xor(k0);
    c1 = p1.bitwise_and(low);
    c2 = high(p0).bitwise_xor(c3).bitwise_xor(k1);
    c3 = p0.bitwise_and(low);
    k0 = k0.add(weyl0).bitwise_and(low);
    k1 = k1.add(weyl1).bitwise_and(low);
  }
  const at::Tensor numbers =
      at::stack({c0, c1, c2, c3}, 2).view({members, 4 * blocks}).narrow(1, first % 4, m);
  return scale.unsqueeze(1).mul(numbers.ge(threshold.unsqueeze(1)));
}

at::Tensor target_rows(const at::Tensor& labels, std::int64_t classes, const at::Tensor& everywhere,
                       const at::Tensor& added) {
  const std::int64_t members = labels.size(0), n = labels.size(1);
  return at::scatter_add(everywhere.view({members, 1, 1}).expand({members, n, classes}).contiguous(), 2,
                         labels.unsqueeze(2), added.view({members, 1, 1}).expand({members, n, 1}));
}

Loss softmax_loss(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor log_p = at::_log_softmax(logits, 2, false);
  const double share = 1 / static_cast<double>(logits.size(1));
  return {log_p.mul(targets).sum({1, 2}).mul(-share),
          log_p.exp().mul(targets.sum(2, true)).sub(targets).mul(share)};
}

at::Tensor turned(const at::Tensor& images, const at::Tensor& turns, const at::Tensor& sources,
                  const ImageLayout& layout) {
  const std::int64_t all = images.size(0) * images.size(1), positions = layout.height * layout.width;
  const at::Tensor from = sources.index_select(0, turns.reshape({-1}));  // [K n, positions]
  if (layout.channels_last)
    return at::constant_pad_nd(images.view({all, positions, layout.channels}), {0, 0, 0, 1}, 0)
        .gather(1, from.unsqueeze(2).expand({all, positions, layout.channels}))
        .view(images.sizes());
  return at::constant_pad_nd(images.view({all, layout.channels, positions}), {0, 1}, 0)
      .gather(2, from.unsqueeze(1).expand({all, layout.channels, positions}))
      .view(images.sizes());
}

at::Tensor mixed(const at::Tensor& x, const at::Tensor& partners, const at::Tensor& keep) {
  const at::Tensor kept = keep.view({x.size(0), 1, 1});
  return x.mul(kept).add(x.gather(1, partners.unsqueeze(2).expand(x.sizes())).mul(kept.neg().add(1)));
}

}  // namespace gapbench::stack
