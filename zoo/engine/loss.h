// Cross-entropy of logits, shared by everything that evaluates.
#pragma once

#include <cstdint>

namespace gapbench {

/// Sums over samples, to be added up over blocks and divided by their number.
struct LossSum {
  double cross_entropy = 0;  ///< nats
  std::int64_t wrong = 0;    ///< ties go to the lowest class
};

/// Adds n rows of row-major logits [n, classes]. Logits that are not finite give a sum that is not finite.
void add_losses(const float* logits, const std::int64_t* labels, std::int64_t n, std::int64_t classes,
                LossSum& sum);

}  // namespace gapbench
