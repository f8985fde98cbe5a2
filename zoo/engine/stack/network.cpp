#include "zoo/engine/stack/network.h"

#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/avg_pool2d_backward.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/max_pool2d_with_indices.h>
#include <ATen/ops/max_pool2d_with_indices_backward.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/var_mean.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "measures/api/error.h"
#include "zoo/engine/stack/operations.h"
#include "zoo/networks/forward.h"

namespace gapbench::stack {
namespace {

// The contraction of a weight gradient runs over the rows of the batch; a product of few outputs is cut into parts of
// this many rows, so that a device has enough to do. A function of the shape alone: no bits depend on the stack.
constexpr std::int64_t rows_of_a_part = 512;

// x^T g per member into `out` [K, in, O].
void weight_gradient(const at::Tensor& x, const at::Tensor& g, at::Tensor out) {
  const std::int64_t members = x.size(0), rows = x.size(1);
  if (!x.is_cuda() || rows < 2 * rows_of_a_part || rows % rows_of_a_part != 0) {
    at::bmm_out(out, x.transpose(1, 2), g);
    return;
  }
  const std::int64_t parts = rows / rows_of_a_part;
  const at::Tensor products = at::bmm(x.reshape({members * parts, rows_of_a_part, x.size(2)}).transpose(1, 2),
                                      g.reshape({members * parts, rows_of_a_part, g.size(2)}));
  at::sum_out(out, products.view({members, parts, x.size(2), g.size(2)}), {1});
}

at::Tensor as_images(const at::Tensor& x, const Extent& e) {  // channels-last memory
  return x.reshape({x.size(0) * x.size(1) / e.positions(), e.height, e.width, e.channels})
      .permute({0, 3, 1, 2});
}
at::Tensor as_rows(const at::Tensor& images, std::int64_t members) {
  const at::Tensor last = images.permute({0, 2, 3, 1}).contiguous();
  return last.view({members, last.numel() / members / last.size(3), last.size(3)});
}

bool has_arrays(const Op& op) {
  return op.kind == OpKind::dense || op.kind == OpKind::conv || op.kind == OpKind::batch_norm;
}

// Operations without arrays that are linear in what they read.
at::Tensor rearranged(const Op& op, const at::Tensor& x, const at::Tensor& other, std::int64_t n) {
  switch (op.kind) {
    case OpKind::mean_pool:
      return as_rows(at::avg_pool2d(as_images(x, op.in), {2, 2}, {2, 2}), x.size(0));
    case OpKind::flatten:
      return x.reshape({x.size(0), n, op.out.channels});
    case OpKind::mean_positions:
      return x.view({x.size(0), n, op.in.positions(), op.in.channels}).mean(2);
    case OpKind::add:
      return x.add(other);
    case OpKind::concat:
      return at::cat({x, other}, 2);
    default:
      throw InternalError("operation that a stack does not serve");
  }
}

at::Tensor expanded(const at::Tensor& x, std::int64_t members) {
  return x.size(0) == members ? x : x.expand({members, x.size(1), x.size(2)});
}

}  // namespace

struct Network::Mode {
  const Randomness* randomness = nullptr;  // null: evaluation
  at::Tensor moving;
};

Network::Network(const Architecture& architecture) : architecture_(architecture), layout_(architecture) {
  if (!serves(architecture)) throw InternalError("a stack of a network that it does not serve");
  const std::vector<Op>& ops = architecture.plan().ops;
  readers_.assign(ops.size() + 1, 0);
  last_reader_.assign(ops.size() + 1, ops.size());
  has_gradient_.assign(ops.size() + 1, false);
  const auto read = [&](std::size_t value, std::size_t op) {
    ++readers_[value];
    last_reader_[value] = op;
    if (has_gradient_[value]) has_gradient_[op + 1] = true;
  };
  for (std::size_t i = 0; i < ops.size(); ++i) {
    read(ops[i].input, i);
    if (ops[i].reads_other()) read(ops[i].other, i);
    if (has_arrays(ops[i])) has_gradient_[i + 1] = true;
    if (ops[i].kind == OpKind::dropout) ++dropouts_;
  }
}

at::Tensor Network::view(const at::Tensor& rows, std::size_t array) const {
  const Place& p = layout_[array];
  const at::Tensor part = rows.narrow(1, p.offset, p.size());
  if (p.inputs * p.positions == 1) return part;
  return part.view({rows.size(0), p.positions * p.inputs, p.outputs});
}

// Whether the activation after a dense layer or convolution is done with it, in place.
bool Network::fused_activation(std::size_t i) const {
  const std::vector<Op>& ops = architecture_.plan().ops;
  return i + 1 < ops.size() && (ops[i].kind == OpKind::dense || ops[i].kind == OpKind::conv) &&
         ops[i + 1].kind == OpKind::activation && ops[i + 1].input == i + 1 && readers_[i + 1] == 1 &&
         ops[i + 1].activation != Activation::gelu;
}

// Of a dense layer, or of a convolution's patches.
at::Tensor Network::product(const Op& op, const Arrays& arrays, const at::Tensor& columns,
                            std::optional<Activation> activation) const {
  const std::int64_t members = arrays.trained.size(0);
  const Place& place = layout_[op.weight];
  at::Tensor y =
      at::bmm(expanded(columns, std::max(members, columns.size(0))),
              view(arrays.trained, op.weight).view({members, place.positions * place.inputs, place.outputs}));
  add_bias_and_activate(y, op.bias ? view(arrays.trained, *op.bias) : at::Tensor(), activation);
  return y;
}

at::Tensor Network::batch_norm(const Op& op, std::size_t i, const Arrays& arrays, const at::Tensor& x,
                               const Mode& mode, Trace* trace) const {
  const at::Tensor weight = view(arrays.trained, op.weight).unsqueeze(1),
                   bias = view(arrays.trained, *op.bias).unsqueeze(1);
  const at::Tensor running_mean = view(arrays.buffers, *op.bias + 1),
                   running_variance = view(arrays.buffers, *op.bias + 2);
  at::Tensor mean, scale;
  if (mode.randomness != nullptr) {
    at::Tensor variance;
    std::tie(variance, mean) = at::var_mean(x, at::OptionalIntArrayRef{1}, at::Scalar(0), true);
    scale = variance.add(batch_norm_epsilon).rsqrt();
    const auto rows = static_cast<double>(x.size(1));
    // a single value a channel has no unbiased variance: the running statistics stay
    if (rows > 1) {
      const at::Tensor moving = mode.moving.unsqueeze(1);
      const auto move = [&](const at::Tensor& running, const at::Tensor& batch) {
        running.copy_(
            at::where(moving, running.mul(1 - batch_norm_momentum).add(batch, batch_norm_momentum), running));
      };
      move(running_mean, mean.squeeze(1));
      move(running_variance, variance.squeeze(1).mul(rows / (rows - 1)));
    }
  } else {
    mean = running_mean.unsqueeze(1);
    scale = running_variance.add(batch_norm_epsilon).rsqrt().unsqueeze(1);
  }
  const at::Tensor normalised = x.sub(mean).mul(scale);
  if (trace != nullptr) {
    trace->saved[i] = normalised;
    trace->scale[i] = scale;
  }
  return normalised.mul(weight).add(bias);
}

at::Tensor Network::forward(const Arrays& arrays, const at::Tensor& images, const Mode& mode,
                            Trace* trace) const {
  const std::vector<Op>& ops = architecture_.plan().ops;
  const std::int64_t members = arrays.trained.size(0), n = images.size(1);
  std::vector<at::Tensor> own;
  std::vector<at::Tensor>& values = trace != nullptr ? trace->values : own;
  values.assign(ops.size() + 1, at::Tensor());
  if (trace != nullptr) {
    trace->training = mode.randomness != nullptr;
    trace->saved.assign(ops.size(), at::Tensor());
    trace->scale.assign(ops.size(), at::Tensor());
  }
  const Extent& image = ops.front().in;
  values[0] = architecture_.channels_last()
                  ? images.view({images.size(0), n * image.positions(), image.channels})
                  : images;
  std::int64_t drawn = 0;
  std::size_t dropout = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const Op& op = ops[i];
    const at::Tensor& x = values[op.input];
    at::Tensor& y = values[i + 1];
    switch (op.kind) {
      case OpKind::dense:
      case OpKind::conv: {
        const at::Tensor columns = op.kind == OpKind::conv ? patches(op, x) : x;
        if (trace != nullptr) trace->saved[i] = columns;
        const bool fused = fused_activation(i);
        y = product(op, arrays, columns, fused ? std::optional(ops[i + 1].activation) : std::nullopt);
        if (fused) {
          values[i + 2] = y;
          y = at::Tensor();
          ++i;
        }
        break;
      }
      case OpKind::batch_norm:
        y = batch_norm(op, i, arrays, x, mode, trace);
        break;
      case OpKind::activation:
        y = activate(op.activation, x);
        break;
      case OpKind::max_pool: {
        auto [best, places] = at::max_pool2d_with_indices(as_images(x, op.in), {2, 2}, {2, 2});
        y = as_rows(best, x.size(0));
        if (trace != nullptr) trace->saved[i] = places;
        break;
      }
      case OpKind::dropout: {
        if (mode.randomness == nullptr) {
          y = x;
          break;
        }
        const Randomness& r = *mode.randomness;
        const auto d = static_cast<std::int64_t>(dropout++);
        const std::int64_t m = n * op.in.size();
        at::Tensor mask =
            dropout_mask(r.key, r.step, r.threshold.select(0, d), r.scale.select(0, d), drawn, m);
        drawn += m;
        // drawn by sample, position, channel; after a flatten in the order that it asks for
        if (i > 0 && ops[op.input - 1].kind == OpKind::flatten && architecture_.channels_last()) {
          const Extent& map = ops[op.input - 1].in;
          mask = mask.view({members, n, map.channels, map.positions()}).transpose(2, 3).reshape(x.sizes());
        }
        mask = mask.view(x.sizes());
        if (trace != nullptr) trace->saved[i] = mask;
        y = x.mul(mask);
        break;
      }
      default:
        y = rearranged(op, x, op.reads_other() ? values[op.other] : at::Tensor(), n);
    }
    // without a trace a value is dropped after its last reader
    if (trace == nullptr)
      for (std::size_t v = 0; v < values.size(); ++v)
        if (last_reader_[v] <= i && v != i + 1) values[v] = at::Tensor();
  }
  at::Tensor logits = values.back();
  return logits.reshape({logits.size(0), n, ops.back().out.channels});
}

at::Tensor Network::evaluate(const Arrays& arrays, const at::Tensor& images, Trace* trace) const {
  return forward(arrays, images, {}, trace);
}

std::pair<at::Tensor, at::Tensor> Network::derivatives(const Arrays& arrays, const at::Tensor& images) const {
  // Of a layer that is linear in its arrays and in its input, f(x) = W x + b, the derivative is W x + b + W dx = f(x + dx).
  // An undefined derivative is 0: that of the images.
  const std::vector<Op>& ops = architecture_.plan().ops;
  const std::int64_t n = images.size(1);
  std::vector<at::Tensor> value(ops.size() + 1), derivative(ops.size() + 1);
  const Extent& image = ops.front().in;
  value[0] = architecture_.channels_last()
                 ? images.view({images.size(0), n * image.positions(), image.channels})
                 : images;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const Op& op = ops[i];
    const at::Tensor &x = value[op.input], &dx = derivative[op.input];
    at::Tensor &y = value[i + 1], &dy = derivative[i + 1];
    switch (op.kind) {
      case OpKind::dense:
      case OpKind::conv:
      case OpKind::batch_norm: {
        const auto layer = [&](const at::Tensor& input) {
          if (op.kind == OpKind::batch_norm) return batch_norm(op, i, arrays, input, {}, nullptr);
          return product(op, arrays, op.kind == OpKind::conv ? patches(op, input) : input, std::nullopt);
        };
        y = layer(x);
        dy = dx.defined() ? layer(x.add(dx)) : y;
        break;
      }
      case OpKind::activation:
        y = activate(op.activation, x);
        if (dx.defined())
          dy = activation_gradient(op.activation, dx, op.activation == Activation::gelu ? x : y);
        break;
      case OpKind::max_pool: {
        auto [best, places] = at::max_pool2d_with_indices(as_images(x, op.in), {2, 2}, {2, 2});
        y = as_rows(best, x.size(0));
        if (dx.defined())
          dy = as_rows(as_images(dx, op.in).flatten(2).gather(2, places.flatten(2)).view(places.sizes()),
                       x.size(0));
        break;
      }
      case OpKind::dropout:
        y = x;
        dy = dx;
        break;
      default: {
        y = rearranged(op, x, op.reads_other() ? value[op.other] : at::Tensor(), n);
        const at::Tensor other = op.reads_other() ? derivative[op.other] : at::Tensor();
        if (!dx.defined() && !other.defined()) break;
        dy = rearranged(op, dx.defined() ? dx : at::zeros_like(x),
                        op.reads_other() && !other.defined() ? at::zeros_like(value[op.other]) : other, n);
      }
    }
    for (std::size_t v = 0; v < value.size(); ++v)
      if (last_reader_[v] <= i && v != i + 1) value[v] = derivative[v] = at::Tensor();
  }
  const auto logits = [&](const at::Tensor& t) { return t.reshape({t.size(0), n, ops.back().out.channels}); };
  return {logits(value.back()), logits(derivative.back())};
}

at::Tensor Network::train(const Arrays& arrays, const at::Tensor& images, const Randomness& randomness,
                          const at::Tensor& moving, Trace& trace) const {
  return forward(arrays, images, {&randomness, moving}, &trace);
}

void Network::backward(const Arrays& arrays, const at::Tensor& logit_gradient, Trace& trace,
                       const at::Tensor& gradients) const {
  const std::vector<Op>& ops = architecture_.plan().ops;
  const std::int64_t members = arrays.trained.size(0);
  std::vector<at::Tensor> g(ops.size() + 1);
  g.back() = logit_gradient;
  const auto pass_on = [&](std::size_t value, const at::Tensor& gradient) {
    if (!has_gradient_[value]) return;
    g[value] = g[value].defined() ? g[value].add(gradient) : gradient;
  };
  for (std::size_t i = ops.size(); i-- > 0;) {
    const Op& op = ops[i];
    if (!g[i + 1].defined()) continue;
    const at::Tensor gy = std::move(g[i + 1]);
    const at::Tensor& saved = trace.saved[i];
    switch (op.kind) {
      case OpKind::dense:
      case OpKind::conv: {
        const at::Tensor columns = expanded(saved, members),
                         rows = gy.reshape({members, columns.size(1), -1});
        const Place& place = layout_[op.weight];
        const std::vector<std::int64_t> shape = {members, place.positions * place.inputs, place.outputs};
        weight_gradient(columns, rows, view(gradients, op.weight).view(shape));
        if (op.bias) {
          at::Tensor bias = view(gradients, *op.bias);
          at::sum_out(bias, rows, {1});
        }
        if (!has_gradient_[op.input]) break;
        const at::Tensor back = at::bmm(rows, view(arrays.trained, op.weight).view(shape).transpose(1, 2));
        pass_on(op.input, op.kind == OpKind::conv ? patches_transposed(op, back) : back);
        break;
      }
      case OpKind::batch_norm: {
        at::Tensor weight = view(gradients, op.weight), bias = view(gradients, *op.bias);
        at::sum_out(bias, gy, {1});
        at::sum_out(weight, gy.mul(saved), {1});
        if (!has_gradient_[op.input]) break;
        const at::Tensor factor = trace.scale[i].mul(view(arrays.trained, op.weight).unsqueeze(1));
        if (trace.training) {  // the statistics are functions of the units
          const double share = 1 / static_cast<double>(gy.size(1));
          pass_on(op.input, gy.sub(bias.unsqueeze(1).mul(share))
                                .sub(saved.mul(weight.unsqueeze(1).mul(share)))
                                .mul(factor));
        } else {
          pass_on(op.input, gy.mul(factor));
        }
        break;
      }
      case OpKind::activation:
        pass_on(op.input,
                activation_gradient(op.activation, gy,
                                    trace.values[op.activation == Activation::gelu ? op.input : i + 1]));
        break;
      case OpKind::max_pool:
        pass_on(op.input, as_rows(at::max_pool2d_with_indices_backward(
                                      as_images(gy, op.out), as_images(trace.values[op.input], op.in), {2, 2},
                                      {2, 2}, {0, 0}, {1, 1}, false, saved),
                                  members));
        break;
      case OpKind::mean_pool:
        pass_on(op.input, as_rows(at::avg_pool2d_backward(as_images(gy, op.out),
                                                          as_images(trace.values[op.input], op.in), {2, 2},
                                                          {2, 2}, {0, 0}, false, true, std::nullopt),
                                  members));
        break;
      case OpKind::dropout:
        pass_on(op.input, saved.defined() ? gy.mul(saved) : gy);
        break;
      case OpKind::flatten:
        pass_on(op.input, gy.reshape(trace.values[op.input].sizes()));
        break;
      case OpKind::mean_positions: {
        const std::int64_t positions = op.in.positions(), n = gy.numel() / members / op.out.channels;
        pass_on(op.input, gy.view({members, n, 1, op.out.channels})
                              .mul(1 / static_cast<double>(positions))
                              .expand({members, n, positions, op.out.channels})
                              .reshape({members, n * positions, op.out.channels}));
        break;
      }
      case OpKind::add:
        pass_on(op.input, gy);
        pass_on(op.other, gy);
        break;
      case OpKind::concat: {
        const std::int64_t first = op.in.channels;
        pass_on(op.input, gy.narrow(2, 0, first).contiguous());
        pass_on(op.other, gy.narrow(2, first, op.out.channels - first).contiguous());
        break;
      }
      default:
        throw InternalError("operation that a stack does not serve");
    }
  }
}

namespace {

std::int64_t columns_of(const Op& op) {
  if (op.kind != OpKind::conv || op.kernel * op.stride == 1) return 0;
  return op.out.positions() * op.kernel * op.kernel * op.in.channels + op.in.size();
}

}  // namespace

std::int64_t Network::widest() const {
  std::int64_t most = 0;
  for (const Op& op : architecture_.plan().ops)
    most = std::max(most, op.in.size() + 3 * op.out.size() + columns_of(op));
  return most;
}

std::int64_t Network::traced() const {
  std::int64_t sum = 0;
  for (const Op& op : architecture_.plan().ops) sum += 3 * op.out.size() + 2 * columns_of(op);
  return sum;
}

}  // namespace gapbench::stack
