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
GAPBENCH_CLONES void compare_row(const std::uint16_t* __restrict rank, const std::uint32_t* measured,
                                 std::size_t first, std::size_t n, std::uint32_t self,
                                 std::uint8_t* __restrict row) {
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

// sums[g] = sum of row[q] over the members q of group g from the cursor on; at most 255 of them
GAPBENCH_CLONES void sum_groups(const std::uint8_t* row, const std::uint32_t* members,
                                const std::uint32_t* cursor, const std::uint32_t* end, std::uint32_t groups,
                                std::uint8_t* sums) {
  for (std::uint32_t g = 0; g < groups; ++g) {
    Bytes sum = {};
    for (std::uint32_t m = cursor[g]; m < end[g]; ++m)
      sum += *reinterpret_cast<const Bytes*>(row + members[m] * L);
    *reinterpret_cast<Bytes*>(sums + g * L) = sum;
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
    p.group.push_back(
        index.try_emplace(std::move(key), static_cast<std::uint32_t>(index.size())).first->second);
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

SummationPlan::SummationPlan(const Design& design, std::vector<Partition> wanted)
    : partitions(std::move(wanted)), through(partitions.size()) {
  const std::size_t k = design.axes.size();
  std::vector<std::vector<std::size_t>> candidates;  // sets of three and four axes
  if (partitions.size() > 1 && k <= 16)
    for (std::size_t bits = 0; bits < (std::size_t{1} << k); ++bits) {
      std::vector<std::size_t> axes;
      for (std::size_t a = 0; a < k; ++a)
        if (bits >> a & 1) axes.push_back(a);
      if (axes.size() == 3 || axes.size() == 4) candidates.push_back(std::move(axes));
    }
  std::vector<Partition> made;
  for (const auto& axes : candidates) made.push_back(partition_by(design, axes));
  while (true) {
    double best = 0;
    std::size_t chosen = 0;
    std::vector<std::size_t> served;
    for (std::size_t c = 0; c < made.size(); ++c) {
      std::vector<std::size_t> serves;
      for (std::size_t p = 0; p < partitions.size(); ++p)
        if (!through[p].finer && std::includes(made[c].axes.begin(), made[c].axes.end(),
                                               partitions[p].axes.begin(), partitions[p].axes.end()))
          serves.push_back(p);
      const auto n = static_cast<double>(design.items), uses = static_cast<double>(serves.size());
      const double saved = uses * n - n - uses * made[c].groups;
      if (saved > best) {
        best = saved;
        chosen = c;
        served = serves;
      }
    }
    if (served.empty()) return;
    for (const std::size_t p : served) {
      Through& t = through[p];
      t.finer = finer.size();
      std::vector<std::uint32_t> into(made[chosen].groups);
      for (std::size_t i = 0; i < design.items; ++i) into[made[chosen].group[i]] = partitions[p].group[i];
      t.begin.assign(partitions[p].groups + 1, 0);
      for (std::uint32_t g = 0; g < partitions[p].groups; ++g) {
        for (std::uint32_t f = 0; f < into.size(); ++f)
          if (into[f] == g) t.members.push_back(f);
        t.begin[g + 1] = static_cast<std::uint32_t>(t.members.size());
      }
    }
    finer.push_back(made[chosen]);
  }
}

namespace {

using Grouping = SignCountsMemory::Grouping;

// Returns the size of the largest group.
std::size_t group_positions(const Partition& partition, const PairSample& sample, Grouping& g) {
  const std::size_t n = sample.item.size();
  g.group.resize(n);
  g.begin.assign(partition.groups + 1, 0);
  for (std::size_t p = 0; p < n; ++p) ++g.begin[(g.group[p] = partition.group[sample.item[p]]) + 1];
  std::size_t largest = 0;
  for (std::uint32_t u = 0; u < partition.groups; ++u) {
    largest = std::max<std::size_t>(largest, g.begin[u + 1]);
    g.begin[u + 1] += g.begin[u];
  }
  g.cursor.assign(g.begin.begin(), g.begin.end() - 1);
  g.members.resize(n);
  for (std::size_t p = 0; p < n; ++p) g.members[g.cursor[g.group[p]]++] = static_cast<std::uint32_t>(p);
  g.cursor.assign(g.begin.begin(), g.begin.end() - 1);
  return largest;
}

// Takes the positions [from, to) out: each is the first left of its group.
void advance(Grouping& g, std::size_t from, std::size_t to) {
  for (std::size_t q = from; q < to; ++q) ++g.cursor[g.group[q]];
}

// Pairs (p, q) with a smaller gap at q, by the groups of p and q.
void count_larger(const Grouping& g, const PairSample& sample, std::uint32_t groups, std::int64_t* larger) {
  std::vector<std::int64_t> smaller(groups, 0);  // positions with a smaller gap, by group
  std::size_t next = sample.item.size();
  for (std::size_t p = sample.item.size(); p-- > 0;) {
    while (next > sample.tie_end[p]) ++smaller[g.group[--next]];
    std::int64_t* const out = larger + std::size_t{g.group[p]} * groups;
    for (std::uint32_t v = 0; v < groups; ++v) out[v] += smaller[v];
  }
}

}  // namespace

void count_signs(const SummationPlan& plan, const PairSample& sample, const LaneBlock& block,
                 SignCountsMemory& memory, std::vector<CellCounts>& counts) {
  const std::size_t n = sample.item.size(), parts = plan.partitions.size();
  counts.resize(parts);
  memory.straight.resize(parts);
  memory.finer.resize(plan.finer.size());
  memory.cells.resize(parts);
  memory.row.resize(n * L);
  std::vector<std::size_t> largest(parts, 0), filled(parts, 0);
  std::vector<bool> through(parts, false);
  std::size_t most_groups = 0;
  for (std::size_t f = 0; f < plan.finer.size(); ++f) {
    group_positions(plan.finer[f], sample, memory.finer[f]);
    most_groups = std::max<std::size_t>(most_groups, plan.finer[f].groups);
  }
  memory.sums.resize(most_groups * L);
  for (std::size_t k = 0; k < parts; ++k) {
    const std::uint32_t groups = plan.partitions[k].groups;
    largest[k] = group_positions(plan.partitions[k], sample, memory.straight[k]);
    through[k] = plan.through[k].finer && largest[k] <= 255;  // sums of bytes must not overflow
    const std::size_t cells = std::size_t{groups} * groups;
    memory.cells[k].assign(cells * L, 0);
    CellCounts& c = counts[k];
    c.groups = groups;
    c.both.assign(cells * L, 0);
    c.pairs.resize(cells);
    c.gap_larger.assign(cells, 0);
    c.tied_gap.clear();
    if (sample.gap_ties) c.tied_gap.assign(cells * L, 0);
    const auto &begin = memory.straight[k].begin, &group = memory.straight[k].group;
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
    count_larger(memory.straight[k], sample, groups, c.gap_larger.data());
  }

  const auto add = [&](std::size_t k, std::size_t p, const std::uint8_t* from, const std::uint32_t* members,
                       const std::uint32_t* cursor, const std::uint32_t* end) {
    if ((filled[k] += largest[k]) > 65535) {  // 16 bits might overflow
      drain(memory.cells[k].data(), counts[k].both.data(), memory.cells[k].size());
      filled[k] = largest[k];
    }
    const std::uint32_t groups = plan.partitions[k].groups;
    add_groups(from, members, cursor, end, groups,
               memory.cells[k].data() + std::size_t{memory.straight[k].group[p]} * groups * L);
  };
  for (std::size_t p = 0; p < n; ++p) {
    const std::size_t before = p == 0 ? 0 : sample.tie_end[p - 1], first = sample.tie_end[p];
    compare_row(block.rank.data(), sample.measured.data(), first, n, sample.measured[p], memory.row.data());
    for (std::size_t f = 0; f < plan.finer.size(); ++f) {
      Grouping& g = memory.finer[f];
      advance(g, before, first);
      bool summed = false;
      for (std::size_t k = 0; k < parts; ++k) {
        if (!through[k] || *plan.through[k].finer != f) continue;
        if (!summed)
          sum_groups(memory.row.data(), g.members.data(), g.cursor.data(), g.begin.data() + 1,
                     plan.finer[f].groups, memory.sums.data());
        summed = true;
        const SummationPlan::Through& t = plan.through[k];
        add(k, p, memory.sums.data(), t.members.data(), t.begin.data(), t.begin.data() + 1);
      }
    }
    for (std::size_t k = 0; k < parts; ++k) {
      if (through[k]) continue;
      Grouping& g = memory.straight[k];
      advance(g, before, first);
      add(k, p, memory.row.data(), g.members.data(), g.cursor.data(), g.begin.data() + 1);
    }
  }
  for (std::size_t k = 0; k < parts; ++k)
    drain(memory.cells[k].data(), counts[k].both.data(), memory.cells[k].size());
  if (!sample.gap_ties) return;
  for (std::size_t p = 0; p < n; ++p)
    for (std::size_t q = p + 1; q < sample.tie_end[p]; ++q) {
      if (sample.item[p] == sample.item[q]) continue;
      const std::uint16_t* const a = &block.rank[sample.measured[p] * L];
      const std::uint16_t* const b = &block.rank[sample.measured[q] * L];
      for (std::size_t k = 0; k < parts; ++k) {
        const std::uint32_t groups = plan.partitions[k].groups, u = memory.straight[k].group[p],
                            v = memory.straight[k].group[q];
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
