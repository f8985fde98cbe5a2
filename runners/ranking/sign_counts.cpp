#include "runners/ranking/sign_counts.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "measures/api/error.h"
#include "runners/ranking/clones.h"
#include "runners/ranking/correlation.h"

namespace gapbench {

namespace {

using Bytes = std::uint8_t __attribute__((vector_size(64), aligned(1), may_alias));
constexpr std::size_t L = lane_count;

// row[q] = x_self > x_q for every lane, q in [first, n)
GAPBENCH_CLONES void compare_row(const std::uint16_t* __restrict rank, const std::uint32_t* measured, std::size_t first,
                                 std::size_t n, std::uint32_t self, std::uint8_t* __restrict row) {
  const std::uint16_t* const own = rank + self * L;
  for (std::size_t q = first; q < n; ++q) {
    const std::uint16_t* const other = rank + measured[q] * L;
    std::uint8_t* const out = row + q * L;
    for (std::size_t l = 0; l < L; ++l) out[l] = own[l] > other[l];
  }
}

// cells[g] += sum of row[q] over the members q of group g from the group's cursor on
GAPBENCH_CLONES void add_groups(const std::uint8_t* row, const std::uint32_t* members,
                                const std::uint32_t* cursor, const std::uint32_t* end, std::uint32_t groups,
                                std::uint16_t* cells) {
  for (std::uint32_t g = 0; g < groups; ++g) {
    std::uint16_t* const out = cells + g * L;
    for (std::uint32_t m = cursor[g]; m < end[g];) {
      const std::uint32_t stop = std::min(end[g], m + 255);  // bytes hold up to 255
      Bytes sum = {};
      for (; m < stop; ++m) sum += *reinterpret_cast<const Bytes*>(row + members[m] * L);
      std::uint8_t lanes[L];
      std::memcpy(lanes, &sum, L);
      for (std::size_t l = 0; l < L; ++l) out[l] = static_cast<std::uint16_t>(out[l] + lanes[l]);
    }
  }
}

GAPBENCH_CLONES void drain(std::uint16_t* from, std::uint32_t* to, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) to[i] += from[i];
  std::memset(from, 0, n * sizeof *from);
}

}  // namespace

std::vector<LaneBlock> lane_blocks(const std::vector<std::span<const double>>& measures) {
  std::vector<LaneBlock> blocks;
  std::uint32_t next = L;
  const auto put = [&](const DenseRanks& d, bool reversed) {
    if (d.distinct > 65536) throw InternalError("lane_blocks: more than 65,536 distinct values");
    for (std::size_t i = 0; i < d.rank.size(); ++i)
      blocks.back().rank[i * L + next] =
          static_cast<std::uint16_t>(reversed ? d.distinct - 1 - d.rank[i] : d.rank[i]);
    return next++;
  };
  for (std::size_t m = 0; m < measures.size(); ++m) {
    const DenseRanks d = dense_ranks(measures[m]);
    const bool tied = d.distinct < d.rank.size();
    if (next + (tied ? 2u : 1u) > L) {
      blocks.emplace_back();
      blocks.back().rank.assign(d.rank.size() * L, 0);
      next = 0;
    }
    const std::uint32_t lane = put(d, false);
    blocks.back().measures.push_back({m, lane, tied ? put(d, true) : lane});
  }
  return blocks;
}

Partition partition_by(const Design& design, std::vector<std::size_t> axes) {
  Partition p;
  p.axes = std::move(axes);
  std::map<std::vector<std::uint32_t>, std::uint32_t> index;
  for (std::size_t i = 0; i < design.items; ++i) {
    std::vector<std::uint32_t> key;
    for (const std::size_t a : p.axes) key.push_back(design.axes[a].level[i]);
    p.group.push_back(index.try_emplace(std::move(key), static_cast<std::uint32_t>(index.size())).first->second);
  }
  p.groups = static_cast<std::uint32_t>(index.size());
  return p;
}

PairSample sort_sample(std::span<const double> gap, std::span<const std::uint32_t> item,
                       std::span<const std::uint32_t> measured) {
  const std::size_t n = item.size();
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  // copies of an item stand side by side
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const double ga = gap[item[a]], gb = gap[item[b]];
    return ga != gb ? ga > gb : item[a] < item[b];
  });
  PairSample s;
  s.item.resize(n);
  s.measured.resize(n);
  s.tie_end.resize(n);
  for (std::size_t p = 0; p < n; ++p) {
    s.item[p] = item[order[p]];
    s.measured[p] = measured[order[p]];
  }
  for (std::size_t start = 0; start < n;) {
    std::size_t end = start;
    for (; end < n && gap[s.item[end]] == gap[s.item[start]]; ++end)
      s.gap_ties = s.gap_ties || s.item[end] != s.item[start];
    std::fill(s.tie_end.begin() + static_cast<std::ptrdiff_t>(start),
              s.tie_end.begin() + static_cast<std::ptrdiff_t>(end), static_cast<std::uint32_t>(end));
    start = end;
  }
  return s;
}

PairSample identity_sample(std::span<const double> gap) {
  std::vector<std::uint32_t> all(gap.size());
  std::iota(all.begin(), all.end(), 0u);
  return sort_sample(gap, all, all);
}

void count_signs(const std::vector<Partition>& partitions, const PairSample& sample, const LaneBlock& block,
                 SignCountsMemory& memory, std::vector<CellCounts>& counts) {
  const std::size_t n = sample.item.size(), parts = partitions.size();
  counts.resize(parts);
  for (auto* lists : {&memory.members, &memory.begin, &memory.cursor, &memory.group}) lists->resize(parts);
  memory.cells.resize(parts);
  memory.row.resize(n * L);
  std::vector<std::size_t> largest(parts, 0), filled(parts, 0);
  for (std::size_t k = 0; k < parts; ++k) {
    const std::uint32_t groups = partitions[k].groups;
    auto &group = memory.group[k], &begin = memory.begin[k], &members = memory.members[k];
    group.resize(n);
    begin.assign(groups + 1, 0);
    for (std::size_t p = 0; p < n; ++p) ++begin[(group[p] = partitions[k].group[sample.item[p]]) + 1];
    for (std::uint32_t g = 0; g < groups; ++g) {
      largest[k] = std::max<std::size_t>(largest[k], begin[g + 1]);
      begin[g + 1] += begin[g];
    }
    memory.cursor[k].assign(begin.begin(), begin.end() - 1);
    members.resize(n);
    for (std::size_t p = 0; p < n; ++p) members[memory.cursor[k][group[p]]++] = static_cast<std::uint32_t>(p);
    memory.cursor[k].assign(begin.begin(), begin.end() - 1);

    const std::size_t cells = std::size_t{groups} * groups;
    memory.cells[k].assign(cells * L, 0);
    CellCounts& c = counts[k];
    c.groups = groups;
    c.both.assign(cells * L, 0);
    c.pairs.resize(cells);
    c.gap_larger.assign(cells, 0);
    c.tied_gap.clear();
    if (sample.gap_ties) c.tied_gap.assign(cells * L, 0);
    for (std::uint32_t u = 0; u < groups; ++u)
      for (std::uint32_t v = 0; v < groups; ++v)
        c.pairs[std::size_t{u} * groups + v] =
            std::int64_t{begin[u + 1] - begin[u]} * std::int64_t{begin[v + 1] - begin[v]};
    for (std::size_t start = 0; start < n;) {  // copies of one item, itself included, are no pairs
      std::size_t end = start;
      while (end < n && sample.item[end] == sample.item[start]) ++end;
      const auto copies = static_cast<std::int64_t>(end - start);
      c.pairs[std::size_t{group[start]} * groups + group[start]] -= copies * copies;
      start = end;
    }
  }

  for (std::size_t p = 0; p < n; ++p) {
    const std::size_t first = sample.tie_end[p];
    compare_row(block.rank.data(), sample.measured.data(), first, n, sample.measured[p], memory.row.data());
    for (std::size_t k = 0; k < parts; ++k) {
      const std::uint32_t groups = partitions[k].groups;
      const auto &members = memory.members[k], &begin = memory.begin[k];
      auto& cursor = memory.cursor[k];
      std::int64_t* const larger = &counts[k].gap_larger[std::size_t{memory.group[k][p]} * groups];
      for (std::uint32_t g = 0; g < groups; ++g) {
        while (cursor[g] < begin[g + 1] && members[cursor[g]] < first) ++cursor[g];
        larger[g] += begin[g + 1] - cursor[g];
      }
      if ((filled[k] += largest[k]) > 65535) {  // 16 bits might overflow
        drain(memory.cells[k].data(), counts[k].both.data(), memory.cells[k].size());
        filled[k] = largest[k];
      }
      add_groups(memory.row.data(), members.data(), cursor.data(), begin.data() + 1, groups,
                 memory.cells[k].data() + std::size_t{memory.group[k][p]} * groups * L);
    }
  }
  for (std::size_t k = 0; k < parts; ++k) {
    CellCounts& c = counts[k];
    drain(memory.cells[k].data(), c.both.data(), memory.cells[k].size());
  }
  if (!sample.gap_ties) return;
  for (std::size_t p = 0; p < n; ++p)
    for (std::size_t q = p + 1; q < sample.tie_end[p]; ++q) {
      if (sample.item[p] == sample.item[q]) continue;
      const std::uint16_t* const a = &block.rank[sample.measured[p] * L];
      const std::uint16_t* const b = &block.rank[sample.measured[q] * L];
      for (std::size_t k = 0; k < parts; ++k) {
        const std::uint32_t groups = partitions[k].groups, u = memory.group[k][p], v = memory.group[k][q];
        std::uint32_t* const forward = &counts[k].tied_gap[(std::size_t{u} * groups + v) * L];
        std::uint32_t* const back = &counts[k].tied_gap[(std::size_t{v} * groups + u) * L];
        for (std::size_t l = 0; l < L; ++l) forward[l] += a[l] > b[l];
        for (std::size_t l = 0; l < L; ++l) back[l] += b[l] > a[l];
      }
    }
}

CellCounts merge_cells(const CellCounts& fine, std::span<const std::uint32_t> into, std::uint32_t groups) {
  CellCounts c;
  c.groups = groups;
  const std::size_t cells = std::size_t{groups} * groups;
  c.pairs.assign(cells, 0);
  c.gap_larger.assign(cells, 0);
  c.both.assign(cells * L, 0);
  if (!fine.tied_gap.empty()) c.tied_gap.assign(cells * L, 0);
  for (std::uint32_t u = 0; u < fine.groups; ++u)
    for (std::uint32_t v = 0; v < fine.groups; ++v) {
      const std::size_t from = std::size_t{u} * fine.groups + v, to = std::size_t{into[u]} * groups + into[v];
      c.pairs[to] += fine.pairs[from];
      c.gap_larger[to] += fine.gap_larger[from];
      for (std::size_t l = 0; l < L; ++l) c.both[to * L + l] += fine.both[from * L + l];
      if (!fine.tied_gap.empty())
        for (std::size_t l = 0; l < L; ++l) c.tied_gap[to * L + l] += fine.tied_gap[from * L + l];
    }
  return c;
}

}  // namespace gapbench
