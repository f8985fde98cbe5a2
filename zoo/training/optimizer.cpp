#include "zoo/training/optimizer.h"

#include <cmath>

#include "measures/api/error.h"

namespace gapbench {
namespace {

std::vector<std::vector<float>> zeros(const std::vector<std::size_t>& sizes, int copies) {
  std::vector<std::vector<float>> all;
  for (int c = 0; c < copies; ++c)
    for (const std::size_t n : sizes) all.emplace_back(n, 0.0f);
  return all;
}

class Sgd final : public Optimizer {
 public:
  Sgd(const HyperParameters& hp, const std::vector<std::size_t>& sizes)
      : lr_(static_cast<float>(hp.lr)),
        momentum_(static_cast<float>(hp.momentum)),
        decay_(static_cast<float>(hp.weight_decay)),
        velocity_(zeros(sizes, 1)) {}

  void update(std::size_t index, std::int64_t, float* __restrict w, const float* __restrict g,
              std::size_t n) override {
    float* __restrict v = velocity_[index].data();
    for (std::size_t i = 0; i < n; ++i) {
      v[i] = momentum_ * v[i] + (g[i] + decay_ * w[i]);
      w[i] -= lr_ * v[i];
    }
  }
  std::vector<std::vector<float>>& state() override { return velocity_; }

 private:
  float lr_, momentum_, decay_;
  std::vector<std::vector<float>> velocity_;
};

class Adam final : public Optimizer {
 public:
  Adam(const HyperParameters& hp, const std::vector<std::size_t>& sizes)
      : lr_(hp.lr),
        decay_(static_cast<float>(hp.weight_decay)),
        arrays_(sizes.size()),
        moments_(zeros(sizes, 2)) {}

  void update(std::size_t index, std::int64_t step, float* __restrict w, const float* __restrict g,
              std::size_t n) override {
    const auto t = static_cast<double>(step);
    const auto scale = static_cast<float>(lr_ / (1 - std::pow(0.9, t)));
    const auto correction = static_cast<float>(std::sqrt(1 - std::pow(0.999, t)));
    float* __restrict m = moments_[index].data();
    float* __restrict v = moments_[arrays_ + index].data();
    for (std::size_t i = 0; i < n; ++i) {
      const float gradient = g[i] + decay_ * w[i];
      m[i] = 0.9f * m[i] + 0.1f * gradient;
      v[i] = 0.999f * v[i] + 0.001f * gradient * gradient;
      w[i] -= scale * m[i] / (std::sqrt(v[i]) / correction + 1e-8f);
    }
  }
  std::vector<std::vector<float>>& state() override { return moments_; }

 private:
  double lr_;
  float decay_;
  std::size_t arrays_;
  std::vector<std::vector<float>> moments_;
};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const HyperParameters& hp, const std::vector<std::size_t>& sizes) {
  if (hp.optimizer == "sgd") return std::make_unique<Sgd>(hp, sizes);
  if (hp.optimizer == "adam") return std::make_unique<Adam>(hp, sizes);
  throw InternalError("no optimizer is named " + hp.optimizer);
}

}  // namespace gapbench
