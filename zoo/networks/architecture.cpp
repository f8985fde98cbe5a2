#include "zoo/networks/architecture.h"

#include <cmath>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"

namespace gapbench {

namespace {
std::int64_t count(const std::vector<std::int64_t>& shape) {
  std::int64_t n = 1;
  for (const std::int64_t extent : shape) n *= extent;
  return n;
}
}  // namespace

std::int64_t Architecture::parameter_count() const {
  std::int64_t n = 0;
  for (const ArraySpec& a : arrays_) n += count(a.shape);
  return n;
}

void Architecture::add_dense(const std::string& name, std::int64_t inputs, std::int64_t outputs) {
  Layer layer;
  layer.kind = LayerKind::dense;
  layer.weight = arrays_.size();
  layer.bias = arrays_.size() + 1;
  arrays_.push_back({name + ".weight", {outputs, inputs}, inputs});
  arrays_.push_back({name + ".bias", {outputs}, 0});
  layers_.push_back(layer);
  flops_ += 2.0 * static_cast<double>(inputs) * static_cast<double>(outputs);
}

void Architecture::add_conv(const std::string& name, std::int64_t inputs, std::int64_t outputs,
                            std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                            std::int64_t input_height, std::int64_t input_width) {
  Layer layer;
  layer.kind = LayerKind::conv;
  layer.weight = arrays_.size();
  layer.bias = arrays_.size() + 1;
  layer.input_height = input_height;
  layer.input_width = input_width;
  layer.stride = stride;
  layer.padding = padding;
  arrays_.push_back({name + ".weight", {outputs, inputs, kernel, kernel}, inputs * kernel * kernel});
  arrays_.push_back({name + ".bias", {outputs}, 0});
  layers_.push_back(layer);
  const double positions = static_cast<double>((input_height + 2 * padding - kernel) / stride + 1) *
                           static_cast<double>((input_width + 2 * padding - kernel) / stride + 1);
  flops_ += 2.0 * positions * static_cast<double>(inputs * outputs * kernel * kernel);
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
    std::vector<float> v(static_cast<std::size_t>(count(a.shape)), 0.0f);
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
