// What a network is, without running it: its arrays, its weight layers and its plan. Torch-free: the engine,
// the measures and the fast network share this description. One file per architecture.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "measures/api/snapshot.h"
#include "zoo/networks/plan.h"
#include "zoo/spec/hyperparameters.h"

namespace gapbench {

/// What a network sees: images [n, channels, height, width] and `classes` labels.
struct InputShape {
  std::int64_t channels = 1, height = 1, width = 1, classes = 2;
  std::int64_t size() const { return channels * height * width; }
};

/// One array of the state_dict.
struct ArraySpec {
  std::string name;                 ///< the state_dict key
  std::vector<std::int64_t> shape;  ///< as PyTorch's Linear, Conv2d and BatchNorm2d have it
  std::int64_t fan_in = 0;          ///< inputs of one unit of a weight layer; 0 for every other array
  float initial = 0;                ///< initial value of every entry where fan_in is 0
  bool trained = true;              ///< false for a buffer: the running statistics of batch norm

  std::int64_t size() const;  ///< number of entries
};

class Architecture {
 public:
  explicit Architecture(std::string network) : network_(std::move(network)) {}

  /// The value of the hyper-parameter `network`.
  const std::string& network() const { return network_; }
  /// Arrays in state_dict order.
  const std::vector<ArraySpec>& arrays() const { return arrays_; }
  /// Weight layers in network order, indices into arrays().
  const std::vector<Layer>& layers() const { return layers_; }
  const Plan& plan() const { return plan_; }
  /// Total number of entries of all arrays, buffers included.
  std::int64_t parameter_count() const;
  /// Floating-point operations of one forward pass of one sample, 2 per multiply-add: for scheduling.
  double flops() const { return flops_; }
  /// Whether images are [n, height, width, channels] in memory: true for every network with a convolution.
  bool channels_last() const { return channels_last_; }

  // For the factories. Each adds arrays named "<name>.<key>" and returns the index of the first.
  /// weight [outputs, inputs], bias [outputs].
  std::size_t add_dense(const std::string& name, std::int64_t inputs, std::int64_t outputs);
  /// weight [outputs, input.channels, kernel, kernel] and, where asked, bias [outputs].
  std::size_t add_conv(const std::string& name, const Extent& input, std::int64_t outputs,
                       std::int64_t kernel, std::int64_t stride, std::int64_t padding, bool bias = true);
  /// weight, bias, running_mean, running_var, all [channels].
  std::size_t add_batch_norm(const std::string& name, std::int64_t channels);
  /// weight, bias, both [channels].
  std::size_t add_layer_norm(const std::string& name, std::int64_t channels);
  void set_plan(Plan plan) { plan_ = std::move(plan); }

 private:
  std::string network_;
  std::vector<ArraySpec> arrays_;
  std::vector<Layer> layers_;
  Plan plan_;
  double flops_ = 0;
  bool channels_last_ = false;
};

/// Builds a network one operation after the other; shapes follow from the input.
///   NetworkBuilder net("cnn", input);
///   net.conv("c", 16, 3, 1, 1).batch_norm("n").activation(Activation::relu).max_pool().flatten();
///   net.dense("head", input.classes);
///   return net.finish();
/// Each operation reads the output of the one before. value() names that output, and from() goes back to one:
///   const auto shortcut = net.value();
///   net.conv("a", c, 3, 1, 1).add(shortcut);
class NetworkBuilder {
 public:
  NetworkBuilder(std::string network, const InputShape& input);
  /// Of what the next operation sees.
  const Extent& extent() const { return extents_[current_]; }
  std::size_t value() const { return current_; }
  NetworkBuilder& from(std::size_t value);

  NetworkBuilder& add(std::size_t value);     // of the same extent
  NetworkBuilder& concat(std::size_t value);  // of the same height and width
  NetworkBuilder& layer_norm(const std::string& name);
  /// weight [height width, positions], bias [height width]: from the positions of each channel to height x width others.
  NetworkBuilder& token_dense(const std::string& name, std::int64_t height, std::int64_t width);
  NetworkBuilder& dense(const std::string& name, std::int64_t outputs);  // the extent must be flat
  NetworkBuilder& conv(const std::string& name, std::int64_t outputs, std::int64_t kernel,
                       std::int64_t stride, std::int64_t padding, bool bias = true);
  NetworkBuilder& batch_norm(const std::string& name);
  NetworkBuilder& activation(Activation kind);
  /// 2x2, stride 2; an odd last row or column is left out. The extent must be at least 2x2.
  NetworkBuilder& max_pool();
  NetworkBuilder& mean_pool();
  /// Nothing for probability 0.
  NetworkBuilder& dropout(double probability);
  NetworkBuilder& flatten();
  NetworkBuilder& mean_positions();
  std::unique_ptr<Architecture> finish();

 private:
  Op& append(OpKind kind, const Extent& out);
  NetworkBuilder& pool(OpKind kind);
  std::unique_ptr<Architecture> architecture_;
  Plan plan_;
  std::vector<Extent> extents_;  // of each value
  std::size_t current_ = 0;
};

/// Builds the network that the hyper-parameters name. Throws InputError where it does not fit the input.
std::unique_ptr<Architecture> make_architecture(const HyperParameters& hp, const InputShape& input);

// One factory per architecture file.
std::unique_ptr<Architecture> make_fcn(const HyperParameters& hp, const InputShape& input);
std::unique_ptr<Architecture> make_nin(const HyperParameters& hp, const InputShape& input);
std::unique_ptr<Architecture> make_cnn(const HyperParameters& hp, const InputShape& input);
std::unique_ptr<Architecture> make_vgg(const HyperParameters& hp, const InputShape& input);
std::unique_ptr<Architecture> make_resnet(const HyperParameters& hp, const InputShape& input);
std::unique_ptr<Architecture> make_densenet(const HyperParameters& hp, const InputShape& input);
std::unique_ptr<Architecture> make_mixer(const HyperParameters& hp, const InputShape& input);

// What the factories share.
Activation activation_of(const HyperParameters& hp);
/// batch_norm of the hyper-parameters, with `automatic` for "auto".
bool batch_norm_of(const HyperParameters& hp, bool automatic);
/// channels times width_multiplier, rounded, at least 1.
std::int64_t scaled_width(const HyperParameters& hp, std::int64_t channels);

/// Initial values of all arrays: He et al. 2015, weights ~ N(0, 2 / fan_in) times init_scale, all others
/// ArraySpec::initial. A pure function of the model id and the scale. Returns one row-major buffer per array, in
/// arrays() order.
std::vector<std::vector<float>> initial_values(const Architecture& architecture, const std::string& model_id,
                                               double init_scale);

}  // namespace gapbench
