#include "zoo/training/optimizer.h"

#include <cmath>

#include "measures/api/error.h"

// The loops are compiled for the vector registers of the machine they run on; fused products make the last bits depend on the
// instruction set, as those of the networks' products do.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define GAPBENCH_VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define GAPBENCH_VECTORISED
#endif

namespace gapbench {
namespace {

GAPBENCH_VECTORISED void momentum_update(float* __restrict w, const float* __restrict g, float* __restrict v,
                                         std::size_t n, float lr, float momentum, float decay) {
  for (std::size_t i = 0; i < n; ++i) {
    v[i] = momentum * v[i] + (g[i] + decay * w[i]);
    w[i] -= lr * v[i];
  }
}

GAPBENCH_VECTORISED void nesterov_update(float* __restrict w, const float* __restrict g, float* __restrict v,
                                         std::size_t n, float lr, float momentum, float decay) {
  for (std::size_t i = 0; i < n; ++i) {
    const float gradient = g[i] + decay * w[i];
    v[i] = momentum * v[i] + gradient;
    w[i] -= lr * (gradient + momentum * v[i]);
  }
}

// `shrink` is AdamW's factor on the weights, `decay` Adam's term of the gradient.
GAPBENCH_VECTORISED void adam_update(float* __restrict w, const float* __restrict g, float* __restrict m,
                                     float* __restrict v, std::size_t n, float scale, float correction,
                                     float shrink, float decay) {
  for (std::size_t i = 0; i < n; ++i) {
    const float gradient = g[i] + decay * w[i];
    m[i] = 0.9f * m[i] + 0.1f * gradient;
    v[i] = 0.999f * v[i] + 0.001f * gradient * gradient;
    w[i] = shrink * w[i] - scale * m[i] / (std::sqrt(v[i]) / correction + 1e-8f);
  }
}

GAPBENCH_VECTORISED void rmsprop_update(float* __restrict w, const float* __restrict g, float* __restrict v,
                                        std::size_t n, float lr, float decay) {
  for (std::size_t i = 0; i < n; ++i) {
    const float gradient = g[i] + decay * w[i];
    v[i] = 0.99f * v[i] + 0.01f * gradient * gradient;
    w[i] -= lr * gradient / (std::sqrt(v[i]) + 1e-8f);
  }
}

class Sgd final : public Optimizer {
 public:
  Sgd(const HyperParameters& hp, const std::vector<std::size_t>& sizes, bool nesterov)
      : Optimizer(sizes, 1),
        rule_(nesterov ? &nesterov_update : &momentum_update),
        momentum_(static_cast<float>(hp.momentum)),
        decay_(static_cast<float>(hp.weight_decay)) {}

  void update(std::size_t index, std::int64_t, double lr, float* w, const float* g, std::size_t n) override {
    rule_(w, g, buffer(index, 0), n, static_cast<float>(lr), momentum_, decay_);
  }

 private:
  decltype(&momentum_update) rule_;
  float momentum_, decay_;
};

class Adam final : public Optimizer {
 public:
  Adam(const HyperParameters& hp, const std::vector<std::size_t>& sizes, bool decoupled)
      : Optimizer(sizes, 2), decay_(hp.weight_decay), decoupled_(decoupled) {}

  void update(std::size_t index, std::int64_t step, double lr, float* w, const float* g,
              std::size_t n) override {
    const auto t = static_cast<double>(step);
    adam_update(w, g, buffer(index, 0), buffer(index, 1), n, static_cast<float>(lr / (1 - std::pow(0.9, t))),
                static_cast<float>(std::sqrt(1 - std::pow(0.999, t))),
                static_cast<float>(decoupled_ ? 1 - lr * decay_ : 1),
                static_cast<float>(decoupled_ ? 0 : decay_));
  }

 private:
  double decay_;
  bool decoupled_;
};

class RmsProp final : public Optimizer {
 public:
  RmsProp(const HyperParameters& hp, const std::vector<std::size_t>& sizes)
      : Optimizer(sizes, 1), decay_(static_cast<float>(hp.weight_decay)) {}

  void update(std::size_t index, std::int64_t, double lr, float* w, const float* g, std::size_t n) override {
    rmsprop_update(w, g, buffer(index, 0), n, static_cast<float>(lr), decay_);
  }

 private:
  float decay_;
};

}  // namespace

Optimizer::Optimizer(const std::vector<std::size_t>& sizes, int sets) : arrays_(sizes.size()) {
  for (int s = 0; s < sets; ++s)
    for (const std::size_t n : sizes) state_.emplace_back(n, 0.0f);
}

std::unique_ptr<Optimizer> make_optimizer(const HyperParameters& hp, const std::vector<std::size_t>& sizes) {
  if (hp.optimizer == "sgd" || hp.optimizer == "nesterov")
    return std::make_unique<Sgd>(hp, sizes, hp.optimizer == "nesterov");
  if (hp.optimizer == "adam" || hp.optimizer == "adamw")
    return std::make_unique<Adam>(hp, sizes, hp.optimizer == "adamw");
  if (hp.optimizer == "rmsprop") return std::make_unique<RmsProp>(hp, sizes);
  throw InternalError("no optimizer is named " + hp.optimizer);
}

}  // namespace gapbench
