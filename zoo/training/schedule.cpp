#include "zoo/training/schedule.h"

#include <cmath>
#include <numbers>

#include "measures/api/error.h"

namespace gapbench {

double learning_rate(const HyperParameters& hp, std::int64_t epoch, std::int64_t batch,
                     std::int64_t batches) {
  const double part = 1 / static_cast<double>(batches),
               t = static_cast<double>(epoch - 1) + static_cast<double>(batch) * part;
  const auto warmup = static_cast<double>(hp.warmup_epochs);
  if (t < warmup) return hp.lr * (t + part) / warmup;
  if (hp.schedule == "constant") return hp.lr;
  if (hp.schedule == "cosine")
    return hp.lr *
           (1 + std::cos(std::numbers::pi * (t - warmup) / (static_cast<double>(hp.max_epochs) - warmup))) /
           2;
  if (hp.schedule == "step") {
    double lr = hp.lr;
    for (const std::int64_t milestone : hp.milestones)
      if (epoch > milestone) lr *= hp.schedule_factor;
    return lr;
  }
  throw InternalError("no schedule is named " + hp.schedule);
}

}  // namespace gapbench
