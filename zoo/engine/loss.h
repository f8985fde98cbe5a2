// Cross-entropy of logits, shared by everything that evaluates.
#pragma once

#include <array>
#include <cstdint>

#include "zoo/training/history.h"

namespace gapbench {

/// Sums over samples, to be added up over blocks and divided by their number.
struct LossSum {
  double cross_entropy = 0;  ///< nats
  std::int64_t samples = 0;
  std::array<std::int64_t, 2> wrong = {};  ///< at even and odd positions; ties go to the lowest class

  void count(bool is_wrong) { wrong[static_cast<std::size_t>(samples++ % 2)] += is_wrong; }
  /// NaN where there are no samples.
  Metrics means() const;
};

/// Adds n rows of row-major logits [n, classes]. Logits that are not finite give a sum that is not finite.
void add_losses(const float* logits, const std::int64_t* labels, std::int64_t n, std::int64_t classes,
                LossSum& sum);

}  // namespace gapbench
