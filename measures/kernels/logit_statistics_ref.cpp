#include <algorithm>
#include <cmath>
#include <limits>

#include "measures/kernels/logit_statistics.h"
#include "measures/numerics/sum.h"

namespace gapbench::kernels {

void logit_statistics_ref(const float* logits, const std::int64_t* labels, std::int64_t samples,
                          std::int64_t classes, double* margins, LogitStatistics* out) {
  *out = {};
  CompensatedSum cross_entropy;
  for (std::int64_t i = 0; i < samples; ++i) {
    const float* const z = logits + i * classes;
    double largest = -std::numeric_limits<double>::infinity(), rival = largest;
    bool finite = true;
    for (std::int64_t k = 0; k < classes; ++k) {
      finite = finite && std::isfinite(z[k]);
      largest = std::max(largest, static_cast<double>(z[k]));
      if (k != labels[i]) rival = std::max(rival, static_cast<double>(z[k]));
    }
    const double margin =
        finite ? static_cast<double>(z[labels[i]]) - rival : std::numeric_limits<double>::quiet_NaN();
    if (margins != nullptr) margins[i] = margin;
    out->not_finite += !finite;
    out->correct += margin > 0;
    if (!finite) continue;
    double sum = 0;
    for (std::int64_t k = 0; k < classes; ++k) sum += std::exp(static_cast<double>(z[k]) - largest);
    cross_entropy.add(std::log(sum) + (largest - static_cast<double>(z[labels[i]])));
  }
  out->cross_entropy = cross_entropy.value();
}

double kth_smallest_ref(double* values, std::int64_t n, std::int64_t k) {
  std::sort(values, values + n);
  return values[k - 1];
}

}  // namespace gapbench::kernels
