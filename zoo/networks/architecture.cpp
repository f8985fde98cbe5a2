#include "zoo/networks/architecture.h"

#include <cmath>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"

namespace gapbench {

std::int64_t ArraySpec::size() const {
  std::int64_t n = 1;
  for (const std::int64_t extent : shape) n *= extent;
  return n;
}

std::int64_t Architecture::parameter_count() const {
  std::int64_t n = 0;
  for (const ArraySpec& a : arrays_) n += a.size();
  return n;
}

std::size_t Architecture::add_dense(const std::string& name, std::int64_t inputs, std::int64_t outputs) {
  Layer layer;
  layer.kind = LayerKind::dense;
  layer.weight = arrays_.size();
  layer.bias = arrays_.size() + 1;
  arrays_.push_back({name + ".weight", {outputs, inputs}, inputs});
  arrays_.push_back({name + ".bias", {outputs}});
  layers_.push_back(layer);
  flops_ += 2.0 * static_cast<double>(inputs) * static_cast<double>(outputs);
  return layer.weight;
}

std::size_t Architecture::add_conv(const std::string& name, const Extent& input, std::int64_t outputs,
                                   std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                                   bool bias) {
  Layer layer;
  layer.kind = LayerKind::conv;
  layer.weight = arrays_.size();
  if (bias) layer.bias = arrays_.size() + 1;
  layer.input_height = input.height;
  layer.input_width = input.width;
  layer.stride = stride;
  layer.padding = padding;
  const std::int64_t inputs = input.channels;
  arrays_.push_back({name + ".weight", {outputs, inputs, kernel, kernel}, inputs * kernel * kernel});
  if (bias) arrays_.push_back({name + ".bias", {outputs}});
  layers_.push_back(layer);
  channels_last_ = true;
  const double positions = static_cast<double>((input.height + 2 * padding - kernel) / stride + 1) *
                           static_cast<double>((input.width + 2 * padding - kernel) / stride + 1);
  flops_ += 2.0 * positions * static_cast<double>(inputs * outputs * kernel * kernel);
  return layer.weight;
}

std::size_t Architecture::add_batch_norm(const std::string& name, std::int64_t channels) {
  const std::size_t first = arrays_.size();
  arrays_.push_back({name + ".weight", {channels}, 0, 1.0f});
  arrays_.push_back({name + ".bias", {channels}});
  arrays_.push_back({name + ".running_mean", {channels}, 0, 0.0f, false});
  arrays_.push_back({name + ".running_var", {channels}, 0, 1.0f, false});
  return first;
}

Sequential::Sequential(std::string network, const InputShape& input)
    : architecture_(std::make_unique<Architecture>(std::move(network))),
      extent_{input.channels, input.height, input.width} {}

Op& Sequential::add(OpKind kind) {
  Op op;
  op.kind = kind;
  op.in = op.out = extent_;
  plan_.ops.push_back(op);
  return plan_.ops.back();
}

Sequential& Sequential::dense(const std::string& name, std::int64_t outputs) {
  if (extent_.positions() != 1) throw InternalError("dense layer " + name + " needs a flat input");
  Op& op = add(OpKind::dense);
  op.weight = architecture_->add_dense(name, extent_.channels, outputs);
  op.bias = op.weight + 1;
  extent_ = op.out = {outputs, 1, 1};
  return *this;
}

Sequential& Sequential::conv(const std::string& name, std::int64_t outputs, std::int64_t kernel,
                             std::int64_t stride, std::int64_t padding, bool bias) {
  Op& op = add(OpKind::conv);
  op.weight = architecture_->add_conv(name, extent_, outputs, kernel, stride, padding, bias);
  if (bias) op.bias = op.weight + 1;
  op.kernel = kernel;
  op.stride = stride;
  op.padding = padding;
  extent_ = op.out = {outputs, (extent_.height + 2 * padding - kernel) / stride + 1,
                      (extent_.width + 2 * padding - kernel) / stride + 1};
  return *this;
}

Sequential& Sequential::batch_norm(const std::string& name) {
  Op& op = add(OpKind::batch_norm);
  op.weight = architecture_->add_batch_norm(name, extent_.channels);
  op.bias = op.weight + 1;
  return *this;
}

Sequential& Sequential::activation(Activation kind) {
  add(OpKind::activation).activation = kind;
  return *this;
}

Sequential& Sequential::max_pool() {
  Op& op = add(OpKind::max_pool);
  extent_.height /= 2;
  extent_.width /= 2;
  if (extent_.positions() == 0) throw InternalError("max pooling of a single row or column");
  op.out = extent_;
  return *this;
}

Sequential& Sequential::dropout(double probability) {
  if (probability > 0) add(OpKind::dropout).probability = probability;
  return *this;
}

Sequential& Sequential::flatten() {
  Op& op = add(OpKind::flatten);
  extent_ = op.out = {extent_.size(), 1, 1};
  return *this;
}

Sequential& Sequential::mean_positions() {
  Op& op = add(OpKind::mean_positions);
  extent_ = op.out = {extent_.channels, 1, 1};
  return *this;
}

std::unique_ptr<Architecture> Sequential::finish() {
  if (extent_.positions() != 1)
    throw InternalError("the logits of " + architecture_->network() + " are not flat");
  architecture_->set_plan(std::move(plan_));
  return std::move(architecture_);
}

std::unique_ptr<Architecture> make_architecture(const HyperParameters& hp, const InputShape& input) {
  if (hp.network == "fcn") return make_fcn(hp, input);
  if (hp.network == "nin") return make_nin(hp, input);
  throw InternalError("no architecture is named " + hp.network);
}

std::vector<std::vector<float>> initial_values(const Architecture& architecture,
                                               const std::string& model_id) {
  const std::uint64_t key = random_key(model_id, "init");
  std::vector<std::vector<float>> values;
  for (std::size_t i = 0; i < architecture.arrays().size(); ++i) {
    const ArraySpec& a = architecture.arrays()[i];
    std::vector<float> v(static_cast<std::size_t>(a.size()), a.initial);
    if (a.fan_in > 0) {
      RandomStream normal(key, i);
      const double sd = std::sqrt(2.0 / static_cast<double>(a.fan_in));
      for (float& x : v) x = static_cast<float>(sd * normal.normal());
    }
    values.push_back(std::move(v));
  }
  return values;
}

}  // namespace gapbench
