// Counts of pairs by the signs of two differences, for many measures and many resamples: what Jiang's K, the
// PGDL score and rank correlation over items are made of.
//
// Formula   for an ordered pair (p, q) of distinct items: V_g = [g_p > g_q], V_x = [x_p > x_q]. A partition
//           puts every item into a group u by its levels of up to two axes; cell (u, v) holds the pairs with p
//           in u and q in v. Counted per cell: all pairs n, those with V_g = 1, and per measure those with
//           V_x = 1 and V_g = 1, and those with V_x = 1 and V_g = 0.
// Inputs    gap[items], finite; measures as dense ranks, up to 64 of them side by side in a `LaneBlock`.
//           A sample says which item stands at each position, and whose measure stands there: the identity, a
//           permutation of the measures over the items, or a bootstrap draw with repetitions. Two copies of
//           one item are no pair.
// Error     exact.
// Cost      N^2 / 2 vector operations for the comparisons and as many for each partition, N positions; one
//           operation serves all lanes. One bit a pair in 64-bit words, masks of the groups and population counts give
//           the same counts in 7 times the time (1,000 items, 64 measures, 16 partitions of five axes): a mask is read
//           for every group, a lane is added once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runners/ranking/design.h"

namespace gapbench {

constexpr std::size_t lane_count = 64;

/// Up to 64 columns of ranks, interleaved: rank[item * 64 + lane]. A measure with ties has a
/// second lane with its ranks reversed, so that V_x = 0 can be told from a tie.
struct LaneBlock {
  struct Lane {
    std::size_t measure;           ///< index in the list the blocks were made from
    std::uint32_t lane, reversed;  ///< equal for a measure without ties
    bool tied() const { return lane != reversed; }
  };
  std::vector<std::uint16_t> rank;
  std::vector<Lane> measures;
};

/// Blocks for all measures, each a list of one finite value an item. At most 65,536 distinct values.
std::vector<LaneBlock> lane_blocks(const std::vector<std::span<const double>>& measures);

/// Items grouped by the levels of some axes. Groups are numbered in the order of their first item.
struct Partition {
  std::vector<std::size_t> axes;     ///< none, one or two
  std::vector<std::uint32_t> group;  ///< of each item
  std::uint32_t groups = 0;
};
Partition partition_by(const Design& design, std::vector<std::size_t> axes);

/// How to sum a row of comparisons into the groups of all partitions: through finer partitions of three or four
/// axes, each of which serves several of them, where that saves additions.
struct SummationPlan {
  explicit SummationPlan(const Design& design, std::vector<Partition> partitions);
  std::vector<Partition> partitions;  ///< what is counted
  std::vector<Partition> finer;
  struct Through {
    std::optional<std::size_t> finer;           ///< nothing: straight from the row
    std::vector<std::uint32_t> members, begin;  ///< groups of the finer partition, by group
  };
  std::vector<Through> through;  ///< of each partition
};

/// Positions sorted by gap, largest first.
struct PairSample {
  std::vector<std::uint32_t> item;      ///< whose gap and levels stand at the position
  std::vector<std::uint32_t> measured;  ///< whose measures
  std::vector<std::uint32_t> tie_end;   ///< first position with a smaller gap
  bool gap_ties = false;                ///< two distinct items with equal gaps
};

/// `item` in any order; `measured[i]` belongs to item[i].
PairSample sort_sample(std::span<const double> gap, std::span<const std::uint32_t> item,
                       std::span<const std::uint32_t> measured);
PairSample identity_sample(std::span<const double> gap);

/// The counts of one partition. Cell (u, v) is at u * groups + v.
struct CellCounts {
  std::uint32_t groups = 0;
  std::vector<std::int64_t> pairs;       ///< ordered pairs of distinct items
  std::vector<std::int64_t> gap_larger;  ///< of these V_g = 1
  std::vector<std::uint32_t> both;       ///< [cell * 64 + lane] V_g = 1 and V_x = 1
  std::vector<std::uint32_t>
      tied_gap;  ///< as `both`: V_x = 1 in pairs of equal gaps; empty without such pairs

  /// V_x = 1 and V_g = 0 in cell (u, v).
  std::int64_t measure_only(std::uint32_t u, std::uint32_t v, const LaneBlock::Lane& lane) const {
    const std::size_t mirrored = (std::size_t{v} * groups + u), cell = std::size_t{u} * groups + v;
    // pairs (q, p) with g_q > g_p and x_q < x_p, seen from the other side
    const std::int64_t discordant = lane.tied()
                                        ? std::int64_t{both[mirrored * lane_count + lane.reversed]}
                                        : gap_larger[mirrored] - both[mirrored * lane_count + lane.lane];
    return discordant + (tied_gap.empty() ? 0 : tied_gap[cell * lane_count + lane.lane]);
  }
};

/// Reusable memory of `count_signs`, one per thread.
struct SignCountsMemory {
  struct Grouping {  ///< positions by group; those from the cursor on have a smaller gap than the row's
    std::vector<std::uint32_t> members, begin, cursor, group;
  };
  std::vector<std::uint8_t> row, sums;
  std::vector<std::vector<std::uint16_t>> cells;
  std::vector<Grouping> straight, finer;
};

/// Counts of all partitions of the plan.
void count_signs(const SummationPlan& plan, const PairSample& sample, const LaneBlock& block,
                 SignCountsMemory& memory, std::vector<CellCounts>& counts);

/// The counts of a coarser partition from those of a finer one: group u of the finer is part of group into[u].
CellCounts merge_cells(const CellCounts& fine, std::span<const std::uint32_t> into, std::uint32_t groups);

}  // namespace gapbench
