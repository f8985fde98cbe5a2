#include "zoo/training/gradient_pipeline.h"

#include <algorithm>
#include <cmath>

#include "measures/api/error.h"
#include "measures/numerics/philox.h"
#include "zoo/training/gradient_map.h"

namespace gapbench {

GradientPipeline::GradientPipeline(const HyperParameters& hp, const std::string& model_id,
                                   TrainableNetwork& network)
    : hp_(hp), collision_key_(random_key(model_id, "collision")), network_(network) {
  const Architecture& a = network.architecture();
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < a.arrays().size(); ++i) {
    if (!a.arrays()[i].trained) continue;
    trained_.push_back(i);
    sizes.push_back(network.array(i).size());
  }
  optimizer_ = make_optimizer(hp, sizes);
  changed_.resize(trained_.size());
  for (std::size_t l = 0; l < a.layers().size(); ++l) {
    const bool descent = hp.wcd > 0 && descent_covers(hp.wcd_layers, hp.network, l, a.layers().size());
    if (!descent && hp.collision == "off") continue;
    const auto at = std::find(trained_.begin(), trained_.end(), a.layers()[l].weight);
    rules_.push_back({static_cast<std::size_t>(at - trained_.begin()), descent});
  }
}

std::span<const float> GradientPipeline::gradient(std::size_t k) const {
  return changed_[k].empty() ? network_.gradient(trained_[k]) : std::span<const float>(changed_[k]);
}

double GradientPipeline::gradient_norm() const {
  double sum = 0;
  for (std::size_t k = 0; k < trained_.size(); ++k)
    for (const float g : gradient(k)) sum += static_cast<double>(g) * static_cast<double>(g);
  return std::sqrt(sum);
}

void GradientPipeline::climb() {
  const double norm = gradient_norm();
  const auto scale = static_cast<float>(norm > 0 ? hp_.sam_radius / norm : 0);
  before_sam_.resize(trained_.size());
  for (std::size_t k = 0; k < trained_.size(); ++k) {
    const std::span<float> w = network_.array(trained_[k]);
    const std::span<const float> g = network_.gradient(trained_[k]);
    before_sam_[k].assign(w.begin(), w.end());
    for (std::size_t i = 0; i < w.size(); ++i) w[i] += scale * g[i];
  }
}

double GradientPipeline::step(std::int64_t step, double lr, const std::function<double(bool)>& loss) {
  for (std::vector<float>& g : changed_) g.clear();
  const double value = loss(true);
  if (!std::isfinite(value)) return value;
  if (hp_.sam_radius > 0) {
    climb();
    const double uphill = loss(false);
    for (std::size_t k = 0; k < trained_.size(); ++k)
      std::copy(before_sam_[k].begin(), before_sam_[k].end(), network_.array(trained_[k]).begin());
    if (!std::isfinite(uphill)) return uphill;
  }
  if (hp_.clip_norm > 0) {
    if (const double norm = gradient_norm(); norm > hp_.clip_norm) {
      const auto scale = static_cast<float>(hp_.clip_norm / norm);
      for (std::size_t k = 0; k < trained_.size(); ++k) {
        const std::span<const float> g = network_.gradient(trained_[k]);
        changed_[k].assign(g.begin(), g.end());
        for (float& x : changed_[k]) x *= scale;
      }
    }
  }
  const Collision collision = parse_collision(hp_.collision);
  const DescentForm form = parse_descent_form(hp_.wcd_form);
  for (const LayerRule& rule : rules_) {
    const std::size_t array = trained_[rule.trained];
    // units are rows only in row-major order
    const std::vector<std::int64_t>& shape = network_.architecture().arrays()[array].shape;
    const std::int64_t positions = shape.size() == 4 ? shape[2] * shape[3] : 1;
    const LayerShape layer{shape[0], shape[1], positions};
    const std::vector<float> w = network_.to_row_major(array, network_.array(array));
    std::vector<float> g = network_.to_row_major(array, gradient(rule.trained));
    collide(collision, hp_.collision_coefficient, hp_.collision_mask_diagonal, layer, w.data(), g.data(),
            collision_key_ + array, static_cast<std::uint64_t>(step));
    if (rule.descent) add_weight_correlation_gradient(form, hp_.wcd, layer, w.data(), g.data());
    changed_[rule.trained] = network_.from_row_major(array, g);
  }
  for (std::size_t k = 0; k < trained_.size(); ++k) {
    const std::span<float> weights = network_.array(trained_[k]);
    optimizer_->update(k, step, lr, weights.data(), gradient(k).data(), weights.size());
  }
  return value;
}

std::vector<std::vector<float>> GradientPipeline::state() const {
  std::vector<std::vector<float>> rows;
  for (std::size_t s = 0; s < optimizer_->state().size(); ++s)
    rows.push_back(network_.to_row_major(trained_[s % trained_.size()], optimizer_->state()[s]));
  return rows;
}

void GradientPipeline::set_state(const std::vector<std::vector<float>>& rows) {
  if (rows.size() != optimizer_->state().size())
    throw InternalError("checkpoint with another optimizer's state");
  for (std::size_t s = 0; s < rows.size(); ++s)
    optimizer_->state()[s] = network_.from_row_major(trained_[s % trained_.size()], rows[s]);
}

}  // namespace gapbench
