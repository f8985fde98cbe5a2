#include "zoo/engine/fast/fast_network.h"

#include <algorithm>

#include "measures/api/error.h"
#include "zoo/engine/fast/elementwise.h"
#include "zoo/engine/fast/instruction_set.h"
#include "zoo/engine/fast/layers.h"

namespace gapbench {
namespace {

using fast::Buffer;
using fast::Pass;

// Floats that the input and the output of a layer may take in one chunk of a batch: half of a level-2 cache.
constexpr std::int64_t chunk_floats = 1 << 17;

// Values of one array, row-major [outputs, inputs, positions] and in memory [positions, inputs, outputs]. A dense
// layer after a flatten has the positions that the flatten took in; arrays of one dimension have one of each.
struct ElementOrder {
  std::size_t outputs = 1, inputs = 1, positions = 1;
};

class FastNetwork final : public TrainableNetwork {
 public:
  FastNetwork(const Architecture& a, const InputShape& shape) : TrainableNetwork(a), shape_(shape) {
    for (const ArraySpec& spec : a.arrays()) {
      const auto n = static_cast<std::size_t>(spec.size());
      arrays_.emplace_back(n);
      gradients_.emplace_back(spec.trained ? n : 0);
      orders_.push_back({n, 1, 1});
    }
    build();
    scratch_.resize(64 * static_cast<std::size_t>(shape.classes));
  }

  std::string execution() const override {
    return std::string("fast/") + fast::to_string(fast::instruction_set());
  }
  std::span<float> array(std::size_t i) override { return arrays_[i]; }
  std::span<const float> gradient(std::size_t i) override { return gradients_[i]; }

  std::vector<float> to_row_major(std::size_t i, std::span<const float> values) const override {
    std::vector<float> rows(checked(i, values));
    for_each_element(i, [&](std::size_t row_major, std::size_t own) { rows[row_major] = values[own]; });
    return rows;
  }
  std::vector<float> from_row_major(std::size_t i, std::span<const float> values) const override {
    std::vector<float> mine(checked(i, values));
    for_each_element(i, [&](std::size_t row_major, std::size_t own) { mine[own] = values[row_major]; });
    return mine;
  }

  void set_array(std::size_t i, std::span<const float> row_major) override {
    checked(i, row_major);
    float* mine = arrays_[i].data();
    const auto [outputs, inputs, positions] = orders_[i];
    if (positions > 1)
      for_each_element(i, [&](std::size_t from, std::size_t own) { mine[own] = row_major[from]; });
    else
      fast::elementwise().transpose(row_major.data(), static_cast<std::int64_t>(outputs),
                                    static_cast<std::int64_t>(inputs), static_cast<std::int64_t>(inputs),
                                    mine, static_cast<std::int64_t>(outputs));
  }

  double loss_and_gradients(const float* images, const float* targets, std::int64_t n,
                            const StepContext& context) override {
    for (std::size_t l = first_with_arrays_ + 1; l < layers_.size(); ++l) layers_[l].layer->arrays_changed();
    Pass pass;
    pass.batch = n;
    pass.training = !context.evaluation;
    pass.update_statistics = context.update_statistics;
    pass.dropout_key = context.dropout_key;
    pass.step = static_cast<std::uint64_t>(context.step);
    if (context.rows != nullptr &&
        layers_.front().layer->finds_rows(*std::max_element(context.rows, context.rows + n)))
      pass.rows = context.rows;
    else
      images = gather(images, context.rows, n, shape_.size(), gathered_);
    const std::int64_t chunks = whole_batch_ ? 1 : (n + chunk_ - 1) / chunk_;
    double loss = 0;
    for (std::int64_t c = 0; c < chunks; ++c) {
      pass.first = n * c / chunks;
      pass.n = n * (c + 1) / chunks - pass.first;
      const float* logits =
          forward(pass.rows != nullptr ? images : images + pass.first * shape_.size(), pass);
      std::copy(logits, logits + pass.n * shape_.classes, gradient_[0].data());
      loss +=
          fast::elementwise().softmax_loss(gradient_[0].data(), targets + pass.first * shape_.classes, pass.n,
                                           shape_.classes, 1 / static_cast<float>(n), scratch_.data());
      backward(pass);
    }
    return loss / static_cast<double>(n);
  }

  Metrics evaluate(const float* images, const std::int64_t* labels, std::int64_t n) override {
    LossSum sum;
    Pass pass;
    pass.batch = n;
    for (pass.first = 0; pass.first < n; pass.first += pass.n) {
      pass.n = std::min(chunk_, n - pass.first);
      const float* logits = forward(images + pass.first * shape_.size(), pass);
      fast::elementwise().add_losses(logits, labels + pass.first, pass.n, shape_.classes, scratch_.data(),
                                     sum);
    }
    return sum.means();
  }

  void logits(const float* images, std::int64_t n, float* out) override {
    Pass pass;
    pass.batch = n;
    for (pass.first = 0; pass.first < n; pass.first += pass.n) {
      pass.n = std::min(chunk_, n - pass.first);
      const float* z = forward(images + pass.first * shape_.size(), pass);
      std::copy(z, z + pass.n * shape_.classes, out + pass.first * shape_.classes);
    }
  }

  void logits_and_derivatives(const float* images, std::int64_t n, float* logits,
                              float* derivatives) override {
    const std::int64_t chunk = std::max(std::int64_t{1}, chunk_ / 2), classes = shape_.classes;
    reserve(2 * std::min(chunk, n));
    Pass pass;
    pass.batch = n;
    for (pass.first = 0; pass.first < n; pass.first += pass.n) {
      pass.n = std::min(chunk, n - pass.first);
      float* x = const_cast<float*>(images + pass.first * shape_.size());  // keep_input protects them
      for (std::size_t l = 0; l < layers_.size(); ++l) {
        const Stage& stage = layers_[l];
        if (l > first_with_arrays_) {
          x = stage.layer->forward_along_arrays(x, pass);
        } else {
          x = stage.layer->forward(x, stage.keep_input, pass);
          // the images do not change, so the derivative of the first layer's output is that output
          if (l == first_with_arrays_)
            for (std::int64_t i = 0; i < pass.n * stage.output; ++i) x[pass.n * stage.output + i] = 2 * x[i];
        }
      }
      const std::int64_t at = pass.first * classes, size = pass.n * classes;
      std::copy(x, x + size, logits + at);
      for (std::int64_t i = 0; i < size; ++i) derivatives[at + i] = x[size + i] - x[i];
    }
  }

 private:
  struct Stage {
    std::unique_ptr<fast::Layer> layer;
    bool keep_input;               // the layer before still needs what it put out
    std::int64_t output;           // floats of a sample that it puts out
    const float* input = nullptr;  // of the last forward pass
  };

  void build() {
    const std::vector<Op>& ops = architecture().plan().ops;
    Extent before_flatten{};  // of the units since the last flatten
    bool flattened = false;
    bool keeps_output = true;  // images are not ours to change
    std::int64_t dropped = 0, floats = shape_.size(), most = 0, output = 0;
    std::optional<std::size_t> first;
    const auto add = [&](std::unique_ptr<fast::Layer> layer, bool keeps) {
      layers_.push_back({std::move(layer), keeps_output, output});
      keeps_output = keeps;
    };
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const Op& op = ops[i];
      output = op.out.size();
      largest_ = std::max({largest_, op.in.size(), op.out.size()});
      if (op.kind != OpKind::activation && op.kind != OpKind::flatten) {
        floats += op.out.size();
        most = std::max(most, op.in.size() + op.out.size());
      }
      switch (op.kind) {
        case OpKind::dense:
        case OpKind::conv: {
          const bool relu = i + 1 < ops.size() && ops[i + 1].kind == OpKind::activation &&
                            ops[i + 1].activation == Activation::relu;
          const Extent& source = flattened ? before_flatten : op.in;
          const std::int64_t positions = op.kind == OpKind::conv ? op.kernel * op.kernel : source.positions();
          orders_[op.weight] = {static_cast<std::size_t>(op.out.channels),
                                static_cast<std::size_t>(source.channels),
                                static_cast<std::size_t>(positions)};
          if (!first) first = layers_.size();
          add(fast::make_affine(op, relu, arrays_of(op)), relu);
          flattened = false;
          if (relu) ++i;
          break;
        }
        case OpKind::batch_norm:
          if (!first) first = layers_.size();
          whole_batch_ = true;
          add(fast::make_batch_norm(op, arrays_of(op)), false);
          break;
        case OpKind::activation:
          add(fast::make_activation(op), true);
          break;
        case OpKind::max_pool:
          add(fast::make_max_pool(op), true);
          break;
        case OpKind::dropout:
          add(fast::make_dropout(op, flattened ? before_flatten : op.in, flattened, dropped), true);
          dropped += op.in.size();
          break;
        case OpKind::flatten:
          // without convolutions images are in the order that flatten asks for
          if (architecture().channels_last() && !flattened) {
            flattened = true;
            before_flatten = op.in;
          }
          break;
        case OpKind::mean_positions:
          add(fast::make_mean_positions(op), true);
          break;
        default:
          throw InternalError("operation that the fast network does not serve");
      }
    }
    first_with_arrays_ = first.value_or(0);
    // each chunk reads all weights once more: where they are larger than the units, that costs more than the cache
    chunk_ = std::max({std::int64_t{1}, chunk_floats / most, architecture().parameter_count() / floats});
  }

  fast::Arrays arrays_of(const Op& op) {
    fast::Arrays a;
    a.weight = arrays_[op.weight].data();
    a.weight_gradient = gradients_[op.weight].data();
    if (op.bias) {
      a.bias = arrays_[*op.bias].data();
      a.bias_gradient = gradients_[*op.bias].data();
    }
    if (op.kind == OpKind::batch_norm) {
      a.running_mean = arrays_[*op.bias + 1].data();
      a.running_variance = arrays_[*op.bias + 2].data();
    }
    return a;
  }

  void reserve(std::int64_t samples) {
    if (samples <= capacity_) return;
    capacity_ = samples;
    for (Stage& stage : layers_) stage.layer->reserve(capacity_);
    for (Buffer& buffer : gradient_) buffer.resize(static_cast<std::size_t>(capacity_ * largest_));
  }

  const float* forward(const float* images, const Pass& pass) {
    if (pass.n > capacity_) reserve(std::max(pass.n, std::min(chunk_, pass.batch)));
    float* x = const_cast<float*>(images);  // keep_input protects them
    Pass own = pass;
    for (Stage& stage : layers_) {
      stage.input = x;
      x = stage.layer->forward(x, stage.keep_input, own);
      own.rows = nullptr;  // those of the images
    }
    return x;
  }

  // From the gradient by the logits in gradient_[0].
  void backward(const Pass& pass) {
    float *g = gradient_[0].data(), *other = gradient_[1].data();
    Pass own = pass;
    for (std::size_t l = layers_.size(); l-- > first_with_arrays_;) {
      own.rows = l == 0 ? pass.rows : nullptr;
      float* result = layers_[l].layer->backward(layers_[l].input, g, other, l > first_with_arrays_, own);
      if (result != g) std::swap(g, other);
    }
  }

  std::size_t checked(std::size_t i, std::span<const float> values) const {
    if (values.size() != arrays_[i].size())
      throw InternalError("array " + architecture().arrays()[i].name + " was given " +
                          std::to_string(values.size()) + " values");
    return values.size();
  }

  template <class F>
  void for_each_element(std::size_t i, F f) const {
    const auto [outputs, inputs, positions] = orders_[i];
    for (std::size_t o = 0; o < outputs; ++o)
      for (std::size_t c = 0; c < inputs; ++c)
        for (std::size_t p = 0; p < positions; ++p)
          f((o * inputs + c) * positions + p, (p * inputs + c) * outputs + o);
  }

  InputShape shape_;
  std::vector<Buffer> arrays_, gradients_;
  std::vector<ElementOrder> orders_;
  std::vector<Stage> layers_;
  std::size_t first_with_arrays_ = 0;  // gradients are not taken further back
  std::int64_t largest_ = 0;           // floats of a sample between two layers
  std::int64_t chunk_ = 1, capacity_ = 0;
  bool whole_batch_ = false;  // batch norm: a training pass takes all samples at once
  Buffer gradient_[2], scratch_, gathered_;
};

bool served(const Architecture& a) {
  if (!a.plan().is_chain()) return false;
  bool flattened = false;
  for (const Op& op : a.plan().ops) switch (op.kind) {
      case OpKind::flatten:
        flattened = a.channels_last() && op.in.positions() > 1;
        break;
      case OpKind::dense:
        flattened = false;
        break;
      case OpKind::batch_norm:
        if (flattened) return false;  // its channels are in another order
        break;
      case OpKind::conv:
      case OpKind::activation:
      case OpKind::max_pool:
      case OpKind::dropout:
      case OpKind::mean_positions:
        break;
      default:
        return false;
    }
  return true;
}

}  // namespace

std::unique_ptr<TrainableNetwork> make_fast_network(const Architecture& architecture,
                                                    const InputShape& shape) {
  if (!served(architecture)) return nullptr;
  return std::make_unique<FastNetwork>(architecture, shape);
}

}  // namespace gapbench
