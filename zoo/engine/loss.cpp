#include "zoo/engine/loss.h"

#include <algorithm>
#include <cmath>

namespace gapbench {

Metrics LossSum::means() const {
  const auto n = static_cast<double>(samples), even = static_cast<double>((samples + 1) / 2),
             odd = static_cast<double>(samples / 2);
  const auto wrong_even = static_cast<double>(wrong[0]), wrong_odd = static_cast<double>(wrong[1]);
  return {cross_entropy / n, (wrong_even + wrong_odd) / n, {wrong_even / even, wrong_odd / odd}};
}

void add_losses(const float* logits, const std::int64_t* labels, std::int64_t n, std::int64_t classes,
                LossSum& sum) {
  for (std::int64_t i = 0; i < n; ++i, logits += classes) {
    const std::int64_t best = std::max_element(logits, logits + classes) - logits;
    double others = 0;  // beside the largest, whose exponential is 1: small losses keep their digits
    for (std::int64_t k = 0; k < classes; ++k) {
      const double difference = static_cast<double>(logits[k]) - static_cast<double>(logits[best]);
      others += k == best ? difference : std::exp(difference);  // 0, or NaN for an infinite logit
    }
    sum.cross_entropy +=
        std::log1p(others) + (static_cast<double>(logits[best]) - static_cast<double>(logits[labels[i]]));
    sum.count(best != labels[i]);
  }
}

}  // namespace gapbench
