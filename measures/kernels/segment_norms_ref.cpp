#include <cmath>
#include <limits>

#include "measures/kernels/segment_norms.h"

namespace gapbench::kernels {

void segment_norms_ref(const Segment* segments, std::int64_t count, double p, double q, SegmentNorms* out) {
  for (std::int64_t s = 0; s < count; ++s) {
    const Segment& in = segments[s];
    SegmentNorms n;
    for (std::int64_t r = 0; r < in.rows; ++r) {
      double power = 0;
      for (std::int64_t k = 0; k < in.length; ++k) {
        const std::int64_t i = r * in.length + k;
        const double d =
            std::abs(static_cast<double>(in.a[i]) - (in.b != nullptr ? static_cast<double>(in.b[i]) : 0.0));
        n.squares += d * d;
        n.absolute += d;
        n.largest = d > n.largest ? d : n.largest;
        power += std::pow(d, p);
      }
      n.groups += std::pow(power, q / p);
    }
    if (std::isnan(n.absolute)) {
      const double nan = std::numeric_limits<double>::quiet_NaN();
      n = {nan, nan, nan, nan};
    }
    out[s] = n;
  }
}

}  // namespace gapbench::kernels
