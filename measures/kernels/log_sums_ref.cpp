#include <cmath>

#include "measures/kernels/log_sums.h"
#include "measures/numerics/sum.h"

namespace gapbench::kernels {

void log_sums_ref(const Segment* segments, std::int64_t count, double floor, double scale, LogSums* out) {
  for (std::int64_t s = 0; s < count; ++s) {
    const Segment& in = segments[s];
    CompensatedSum logarithms, shares;
    double plain = 0, plain_shares = 0;  // compensation makes NaN of infinity
    for (std::int64_t i = 0; i < in.rows * in.length; ++i) {
      const double d = static_cast<double>(in.a[i]) - (in.b != nullptr ? static_cast<double>(in.b[i]) : 0.0);
      const double x = floor + scale * d * d, share = scale * d * d / x;
      logarithms.add(std::log(x));
      shares.add(share);
      plain += std::log(x);
      plain_shares += share;
    }
    out[s] = {std::isfinite(plain) ? logarithms.value() : plain,
              std::isfinite(plain_shares) ? shares.value() : plain_shares};
  }
}

}  // namespace gapbench::kernels
