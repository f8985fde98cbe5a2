// A network as a pure function of its arrays: what lets one engine train it, evaluate perturbed copies of it
// and hand its layers to measures. One file per architecture.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "measures/api/snapshot.h"
#include "zoo/spec/hyperparameters.h"

namespace gapbench {

/// What a network sees: images [n, channels, height, width] and `classes` labels.
struct InputShape {
  std::int64_t channels = 1, height = 1, width = 1, classes = 2;
};

/// One array of the state_dict.
struct ArraySpec {
  std::string name;                 ///< the state_dict key
  std::vector<std::int64_t> shape;  ///< as PyTorch's Linear and Conv2d have it
  std::int64_t fan_in = 0;          ///< inputs of one unit; 0 for a bias
};

/// Zeroes hidden units while a network trains. The network calls it once per place, in forward order.
class Dropout {
 public:
  virtual ~Dropout() = default;
  virtual at::Tensor operator()(const at::Tensor& hidden) = 0;
};

class Architecture {
 public:
  virtual ~Architecture() = default;
  /// Arrays in state_dict order.
  const std::vector<ArraySpec>& arrays() const { return arrays_; }
  /// Weight layers in network order, indices into arrays().
  const std::vector<Layer>& layers() const { return layers_; }
  /// Total number of entries of all arrays.
  std::int64_t parameter_count() const;
  /// Floating-point operations of one forward pass of one sample, 2 per multiply-add: for scheduling.
  double flops() const { return flops_; }
  /// Logits [n, classes] for images [n, channels, height, width]. `dropout` is null in evaluation mode.
  virtual at::Tensor forward(std::span<const at::Tensor> arrays, const at::Tensor& images,
                             Dropout* dropout) const = 0;
  /// Whether the engine should keep 4-d arrays and images in channels-last memory order (the values are the
  /// same).
  virtual bool channels_last() const { return false; }

 protected:
  /// Adds "<name>.weight" and "<name>.bias" and the layer they form.
  void add_dense(const std::string& name, std::int64_t inputs, std::int64_t outputs);
  void add_conv(const std::string& name, std::int64_t inputs, std::int64_t outputs, std::int64_t kernel,
                std::int64_t stride, std::int64_t padding, std::int64_t input_height,
                std::int64_t input_width);

 private:
  std::vector<ArraySpec> arrays_;
  std::vector<Layer> layers_;
  double flops_ = 0;
};

/// Builds the network that the hyper-parameters name. Throws InputError where it does not fit the input.
std::unique_ptr<Architecture> make_architecture(const HyperParameters& hp, const InputShape& input);

// One factory per architecture file.
std::unique_ptr<Architecture> make_fcn(const HyperParameters& hp, const InputShape& input);
std::unique_ptr<Architecture> make_nin(const HyperParameters& hp, const InputShape& input);

/// Initial values of all arrays: He et al. 2015, weights ~ N(0, 2 / fan_in), biases 0. A pure function of the
/// model id. Returns one row-major buffer per array, in arrays() order.
std::vector<std::vector<float>> initial_values(const Architecture& architecture, const std::string& model_id);

}  // namespace gapbench
