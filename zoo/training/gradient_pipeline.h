// From the network's gradient to the change of its weights: what the hyper-parameters of training put in between.
// Torch-free.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "zoo/spec/hyperparameters.h"
#include "zoo/training/optimizer.h"
#include "zoo/training/trainable_network.h"

namespace gapbench {

/// One model's steps. In order: the gradient of the loss, at the weights or, with sam_radius r > 0, at w + r g / |g|
/// (Foret et al. 2021); clipped to clip_norm; changed by the collision of each weight layer; weight-correlation descent added
/// to the layers it covers; then the optimiser.
class GradientPipeline {
 public:
  GradientPipeline(const HyperParameters& hp, const std::string& model_id, TrainableNetwork& network);

  /// `loss` computes loss and gradients at the network's present weights; its argument says whether the running
  /// statistics of batch norm move. Returns the loss at the weights before the step; where that is not finite, the
  /// weights stay as they are.
  double step(std::int64_t step, double lr, const std::function<double(bool update_statistics)>& loss);

  /// The optimiser's buffers row-major, for checkpoints, and back. Throws InternalError on another number of them.
  std::vector<std::vector<float>> state() const;
  void set_state(const std::vector<std::vector<float>>& rows);

 private:
  struct LayerRule {
    std::size_t trained;  // which of trained_
    bool descent;
  };
  double gradient_norm() const;
  void climb();
  std::span<const float> gradient(std::size_t k) const;

  const HyperParameters hp_;
  const std::uint64_t collision_key_;
  TrainableNetwork& network_;
  std::vector<std::size_t> trained_;  // indices of arrays that are no buffers
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<LayerRule> rules_;  // weight layers that a collision or descent changes
  std::vector<std::vector<float>>
      changed_;  // per trained array: the gradient where it is not the network's own
  std::vector<std::vector<float>> before_sam_;  // weights to go back to
};

}  // namespace gapbench
