#include "runners/ranking/sign_information.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace gapbench {

namespace {

constexpr std::int64_t table_size = 1 << 16;

const double* table() {
  static const std::vector<double> values = [] {
    std::vector<double> v(table_size, 0.0);
    for (std::size_t k = 2; k < v.size(); ++k)
      v[k] = static_cast<double>(k) * std::log(static_cast<double>(k));
    return v;
  }();
  return values.data();
}

}  // namespace

double k_log_k(std::int64_t k) {
  return k < table_size ? table()[k] : static_cast<double>(k) * std::log(static_cast<double>(k));
}

void cell_information(const CellCounts& counts, const LaneBlock& block,
                      std::span<const std::int64_t> self_pairs, std::vector<double>& out) {
  const std::uint32_t groups = counts.groups;
  const double* const f = table();
  out.resize(counts.pairs.size() * lane_count);
  const bool mirror_all = counts.tied_gap.empty();
  for (std::uint32_t u = 0; u < groups; ++u)
    for (std::uint32_t v = 0; v < groups; ++v) {
      const std::size_t cell = std::size_t{u} * groups + v, mirrored = std::size_t{v} * groups + u;
      const std::int64_t self = u == v && !self_pairs.empty() ? self_pairs[u] : 0;
      const std::int64_t n = counts.pairs[cell] + self, g = counts.gap_larger[cell];
      const double shared = k_log_k(n) - k_log_k(g) - k_log_k(n - g);
      const bool small = n < table_size;
      for (std::size_t m = 0; m < block.measures.size(); ++m) {
        const LaneBlock::Lane& lane = block.measures[m];
        double& value = out[cell * lane_count + m];
        if (v < u && mirror_all &&
            !lane.tied()) {  // seen from the other side: the same table with 0 and 1 swapped
          value = out[mirrored * lane_count + m];
          continue;
        }
        const std::int64_t n11 = counts.both[cell * lane_count + lane.lane];
        const std::int64_t n10 = counts.measure_only(u, v, lane);
        const std::int64_t n01 = g - n11, n00 = n - g - n10, nx = n11 + n10;
        value = small ? f[n11] + f[n10] + f[n01] + f[n00] - f[nx] - f[n - nx] + shared
                      : k_log_k(n11) + k_log_k(n10) + k_log_k(n01) + k_log_k(n00) - k_log_k(nx) -
                            k_log_k(n - nx) + shared;
        value = std::max(value, 0.0);
      }
    }
}

}  // namespace gapbench
