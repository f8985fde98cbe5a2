#include "zoo/networks/architecture.h"

#include <algorithm>
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

std::size_t Architecture::add_layer_norm(const std::string& name, std::int64_t channels) {
  const std::size_t first = arrays_.size();
  arrays_.push_back({name + ".weight", {channels}, 0, 1.0f});
  arrays_.push_back({name + ".bias", {channels}});
  return first;
}

NetworkBuilder::NetworkBuilder(std::string network, const InputShape& input)
    : architecture_(std::make_unique<Architecture>(std::move(network))),
      extents_{{input.channels, input.height, input.width}} {}

Op& NetworkBuilder::append(OpKind kind, const Extent& out) {
  Op op;
  op.kind = kind;
  op.in = extent();
  op.out = out;
  op.input = current_;
  plan_.ops.push_back(op);
  extents_.push_back(out);
  current_ = plan_.ops.size();
  return plan_.ops.back();
}

NetworkBuilder& NetworkBuilder::from(std::size_t value) {
  if (value >= extents_.size()) throw InternalError("a network goes back to a value that is not there yet");
  current_ = value;
  return *this;
}

NetworkBuilder& NetworkBuilder::add(std::size_t value) {
  const Extent &a = extent(), &b = extents_.at(value);
  if (a.channels != b.channels || a.height != b.height || a.width != b.width)
    throw InternalError("a network adds values of different extents");
  append(OpKind::add, a).other = value;
  return *this;
}

NetworkBuilder& NetworkBuilder::concat(std::size_t value) {
  const Extent &a = extent(), &b = extents_.at(value);
  if (a.height != b.height || a.width != b.width)
    throw InternalError("a network joins values of different heights or widths");
  append(OpKind::concat, {a.channels + b.channels, a.height, a.width}).other = value;
  return *this;
}

NetworkBuilder& NetworkBuilder::dense(const std::string& name, std::int64_t outputs) {
  if (extent().positions() != 1) throw InternalError("dense layer " + name + " needs a flat input");
  const std::size_t weight = architecture_->add_dense(name, extent().channels, outputs);
  Op& op = append(OpKind::dense, {outputs, 1, 1});
  op.weight = weight;
  op.bias = weight + 1;
  return *this;
}

NetworkBuilder& NetworkBuilder::token_dense(const std::string& name, std::int64_t height,
                                            std::int64_t width) {
  const std::size_t weight = architecture_->add_dense(name, extent().positions(), height * width);
  Op& op = append(OpKind::token_dense, {extent().channels, height, width});
  op.weight = weight;
  op.bias = weight + 1;
  return *this;
}

NetworkBuilder& NetworkBuilder::conv(const std::string& name, std::int64_t outputs, std::int64_t kernel,
                                     std::int64_t stride, std::int64_t padding, bool bias) {
  const Extent in = extent();
  const std::size_t weight = architecture_->add_conv(name, in, outputs, kernel, stride, padding, bias);
  Op& op = append(OpKind::conv, {outputs, (in.height + 2 * padding - kernel) / stride + 1,
                                 (in.width + 2 * padding - kernel) / stride + 1});
  op.weight = weight;
  if (bias) op.bias = weight + 1;
  op.kernel = kernel;
  op.stride = stride;
  op.padding = padding;
  return *this;
}

NetworkBuilder& NetworkBuilder::batch_norm(const std::string& name) {
  const std::size_t weight = architecture_->add_batch_norm(name, extent().channels);
  Op& op = append(OpKind::batch_norm, extent());
  op.weight = weight;
  op.bias = weight + 1;
  return *this;
}

NetworkBuilder& NetworkBuilder::layer_norm(const std::string& name) {
  const std::size_t weight = architecture_->add_layer_norm(name, extent().channels);
  Op& op = append(OpKind::layer_norm, extent());
  op.weight = weight;
  op.bias = weight + 1;
  return *this;
}

NetworkBuilder& NetworkBuilder::activation(Activation kind) {
  append(OpKind::activation, extent()).activation = kind;
  return *this;
}

NetworkBuilder& NetworkBuilder::pool(OpKind kind) {
  const Extent out = {extent().channels, extent().height / 2, extent().width / 2};
  if (out.positions() == 0) throw InternalError("pooling of a single row or column");
  append(kind, out);
  return *this;
}

NetworkBuilder& NetworkBuilder::max_pool() {
  return pool(OpKind::max_pool);
}
NetworkBuilder& NetworkBuilder::mean_pool() {
  return pool(OpKind::mean_pool);
}

NetworkBuilder& NetworkBuilder::dropout(double probability) {
  if (probability > 0) append(OpKind::dropout, extent()).probability = probability;
  return *this;
}

NetworkBuilder& NetworkBuilder::flatten() {
  append(OpKind::flatten, {extent().size(), 1, 1});
  return *this;
}

NetworkBuilder& NetworkBuilder::mean_positions() {
  append(OpKind::mean_positions, {extent().channels, 1, 1});
  return *this;
}

std::unique_ptr<Architecture> NetworkBuilder::finish() {
  if (extent().positions() != 1 || current_ != plan_.ops.size())
    throw InternalError("the last value of " + architecture_->network() + " is not its logits");
  architecture_->set_plan(std::move(plan_));
  return std::move(architecture_);
}

Activation activation_of(const HyperParameters& hp) {
  if (hp.activation == "relu") return Activation::relu;
  if (hp.activation == "leaky_relu") return Activation::leaky_relu;
  if (hp.activation == "gelu") return Activation::gelu;
  if (hp.activation == "tanh") return Activation::tanh;
  throw InternalError("no activation is named " + hp.activation);
}

bool batch_norm_of(const HyperParameters& hp, bool automatic) {
  return hp.batch_norm == "auto" ? automatic : hp.batch_norm == "on";
}

std::int64_t scaled_width(const HyperParameters& hp, std::int64_t channels) {
  return std::max<std::int64_t>(1, std::llround(hp.width_multiplier * static_cast<double>(channels)));
}

std::unique_ptr<Architecture> make_architecture(const HyperParameters& hp, const InputShape& input) {
  if (hp.network == "fcn") return make_fcn(hp, input);
  if (hp.network == "nin") return make_nin(hp, input);
  if (hp.network == "cnn") return make_cnn(hp, input);
  if (hp.network.starts_with("vgg")) return make_vgg(hp, input);
  if (hp.network.starts_with("resnet")) return make_resnet(hp, input);
  if (hp.network.starts_with("densenet")) return make_densenet(hp, input);
  if (hp.network == "mixer") return make_mixer(hp, input);
  throw InternalError("no architecture is named " + hp.network);
}

std::vector<std::vector<float>> initial_values(const Architecture& architecture, const std::string& model_id,
                                               double init_scale) {
  const std::uint64_t key = random_key(model_id, "init");
  std::vector<std::vector<float>> values;
  for (std::size_t i = 0; i < architecture.arrays().size(); ++i) {
    const ArraySpec& a = architecture.arrays()[i];
    std::vector<float> v(static_cast<std::size_t>(a.size()), a.initial);
    if (a.fan_in > 0) {
      RandomStream normal(key, i);
      const double sd = init_scale * std::sqrt(2.0 / static_cast<double>(a.fan_in));
      for (float& x : v) x = static_cast<float>(sd * normal.normal());
    }
    values.push_back(std::move(v));
  }
  return values;
}

}  // namespace gapbench
