#include "runners/ranking/pgdl_score.h"

#include <cmath>
#include <numbers>

namespace gapbench {

namespace {

// Items of each group, from the pairs of a grid in which no item is there twice: n_u (n_u - 1) = pairs (u, u).
std::vector<std::int64_t> group_sizes(const CellCounts& c) {
  std::vector<std::int64_t> sizes;
  for (std::uint32_t u = 0; u < c.groups; ++u) {
    const auto pairs = static_cast<double>(c.pairs[std::size_t{u} * c.groups + u]);
    sizes.push_back(std::llround(0.5 + std::sqrt(0.25 + pairs)));
  }
  return sizes;
}

double entropy_term(double p) {
  return -p * std::log2(p + 1e-12);
}

}  // namespace

std::vector<PgdlScore> pgdl_score(const Conditioning& conditioning, const std::vector<CellCounts>& counts,
                                  const LaneBlock& block, bool single_level_axis) {
  std::vector<PgdlScore> results(block.measures.size());
  std::vector<double> information;
  for (std::size_t s = 0; s < conditioning.sets.size(); ++s) {
    for (PgdlScore& r : results) r.ratio.emplace_back();
    const std::size_t size = conditioning.sets[s].size();
    if (size != 2 && !(size == 1 && single_level_axis)) continue;
    const Conditioning::Source& source = conditioning.sources[s];
    CellCounts merged;
    if (!source.into.empty()) merged = merge_cells(counts[source.partition], source.into, source.groups);
    const CellCounts& c = source.into.empty() ? counts[source.partition] : merged;
    const std::vector<std::int64_t> self = group_sizes(c);
    cell_information(c, block, self, information);
    double entropy = 0;
    std::vector<double> sum(block.measures.size(), 0.0);
    for (std::uint32_t u = 0; u < c.groups; ++u)
      for (std::uint32_t v = 0; v < c.groups; ++v) {
        const std::size_t cell = std::size_t{u} * c.groups + v;
        const auto n = static_cast<double>(c.pairs[cell] + (u == v ? self[u] : 0));
        const double larger = static_cast<double>(c.gap_larger[cell]) / n;
        entropy += entropy_term(larger) + entropy_term(1 - larger);
        for (std::size_t m = 0; m < sum.size(); ++m)
          sum[m] += information[cell * lane_count + m] / n / std::numbers::ln2;
      }
    if (!(entropy > 0)) continue;
    for (std::size_t m = 0; m < sum.size(); ++m) {
      PgdlScore& r = results[m];
      r.ratio.back() = sum[m] / entropy;
      if (!r.score || *r.ratio.back() < *r.score) {
        r.score = r.ratio.back();
        r.set = s;
      }
    }
  }
  return results;
}

}  // namespace gapbench
