// Reference: every pair, by the definition.
#include "measures/kernels/pair_counts.h"

namespace gapbench::kernels {

void pair_counts_ref(const double* x, const double* y, std::int64_t n, PairCounts* out) {
  PairCounts c;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = i + 1; j < n; ++j) {
      const int sx = (x[i] > x[j]) - (x[i] < x[j]), sy = (y[i] > y[j]) - (y[i] < y[j]);
      c.concordant += sx * sy > 0;
      c.discordant += sx * sy < 0;
      c.ties_x += sx == 0;
      c.ties_y += sy == 0;
      c.ties_both += sx == 0 && sy == 0;
    }
  *out = c;
}

void sign_counts_ref(const std::int32_t* gap, const std::int32_t* x, std::int64_t n, std::int64_t measures,
                     const std::int32_t* begin, std::int64_t groups, std::int64_t* both) {
  for (std::int64_t m = 0; m < measures; ++m)
    for (std::int64_t u = 0; u < groups; ++u)
      for (std::int64_t v = 0; v < groups; ++v) {
        std::int64_t count = 0;
        for (std::int64_t p = begin[u]; p < begin[u + 1]; ++p)
          for (std::int64_t q = begin[v]; q < begin[v + 1]; ++q)
            count += gap[p] > gap[q] && x[m * n + p] > x[m * n + q];
        both[(m * groups + u) * groups + v] = count;
      }
}

}  // namespace gapbench::kernels
