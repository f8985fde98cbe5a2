#include "runners/ranking/jiang_k.h"

#include <algorithm>

namespace gapbench {

namespace {

std::vector<std::vector<std::size_t>> sets_of(std::size_t axes) {
  std::vector<std::vector<std::size_t>> sets = {{}};
  for (std::size_t a = 0; a < axes; ++a) sets.push_back({a});
  for (std::size_t a = 0; a < axes; ++a)
    for (std::size_t b = a + 1; b < axes; ++b) sets.push_back({a, b});
  return sets;
}

// The largest sets: all pairs of axes where there are two.
std::vector<Partition> partitions_of(const Design& design,
                                     const std::vector<std::vector<std::size_t>>& sets) {
  std::vector<Partition> partitions;
  for (const auto& set : sets)
    if (set.size() == std::min<std::size_t>(2, design.axes.size()))
      partitions.push_back(partition_by(design, set));
  return partitions;
}

}  // namespace

Conditioning::Conditioning(const Design& design)
    : sets(sets_of(design.axes.size())), plan(design, partitions_of(design, sets)) {
  const std::vector<Partition>& parts = plan.partitions;
  for (const auto& set : sets) {
    // the first partition whose axes hold the set
    std::size_t p = 0;
    const auto holds = [&](const Partition& q) {
      return std::includes(q.axes.begin(), q.axes.end(), set.begin(), set.end());
    };
    while (!holds(parts[p])) ++p;
    Source source{p, {}, parts[p].groups};
    if (parts[p].axes.size() != set.size()) {
      const Partition coarse = partition_by(design, set);
      source.groups = coarse.groups;
      source.into.resize(parts[p].groups);
      for (std::size_t i = 0; i < design.items; ++i) source.into[parts[p].group[i]] = coarse.group[i];
    }
    sources.push_back(std::move(source));
  }
  for (const Partition& p : parts) cells += std::size_t{p.groups} * p.groups;
}

std::vector<JiangK> jiang_k(const Conditioning& conditioning, const std::vector<CellCounts>& counts,
                            const LaneBlock& block) {
  std::vector<JiangK> results(block.measures.size());
  std::vector<double> information;
  for (std::size_t s = 0; s < conditioning.sets.size(); ++s) {
    const Conditioning::Source& source = conditioning.sources[s];
    CellCounts merged;
    if (!source.into.empty()) merged = merge_cells(counts[source.partition], source.into, source.groups);
    const CellCounts& c = source.into.empty() ? counts[source.partition] : merged;
    cell_information(c, block, {}, information);
    double entropy = 0;
    std::vector<double> sum(block.measures.size(), 0.0);
    for (std::size_t cell = 0; cell < c.pairs.size(); ++cell) {
      entropy +=
          k_log_k(c.pairs[cell]) - k_log_k(c.gap_larger[cell]) - k_log_k(c.pairs[cell] - c.gap_larger[cell]);
      for (std::size_t m = 0; m < sum.size(); ++m) sum[m] += information[cell * lane_count + m];
    }
    for (std::size_t m = 0; m < sum.size(); ++m) {
      JiangK& r = results[m];
      r.ratio.emplace_back();
      if (entropy <= 0) continue;
      r.ratio.back() = std::min(1.0, sum[m] / entropy);
      if (!r.k || *r.ratio.back() < *r.k) {
        r.k = r.ratio.back();
        r.set = s;
      }
    }
  }
  return results;
}

}  // namespace gapbench
