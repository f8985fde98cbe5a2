// Jiang's K: conditional mutual information between the orders of measure and gap, normalised, at its worst over
// what is conditioned on.
//
// Formula   I(V_x; V_g | U_S) = sum_u p(u) I_u,  H(V_g | U_S) = sum_u p(u) H_u, over the cells u of the levels of
//           the axes in S of both items of an ordered pair of distinct items; p(u) the share of pairs in u.
//           K = min over S with |S| <= 2 of I / H.
// Inputs    counts over the pair partitions of `conditioning`.
// Returns   I / H per set (nothing where H = 0), the minimum and the set that gives it; in [0, 1], blind to the
//           sign of the association.
// Source    Jiang et al. 2020, equations 3 to 9. The ratio does not depend on the logarithm. A tie counts as
//           "not larger", in gap and measure.
// Error     about 1e-12.
// Cost      that of the counts, and six look-ups per cell and measure.
#pragma once

#include <optional>
#include <vector>

#include "runners/ranking/sign_counts.h"
#include "runners/ranking/sign_information.h"

namespace gapbench {

/// The conditioning sets over the axes of a design: none, each axis, each pair of axes; and the partitions that
/// are counted, from which the others follow.
struct Conditioning {
  std::vector<std::vector<std::size_t>> sets;
  SummationPlan plan;  ///< over the partitions
  struct Source {
    std::size_t partition;            ///< to merge
    std::vector<std::uint32_t> into;  ///< empty: as it is
    std::uint32_t groups;
  };
  std::vector<Source> sources;  ///< of each set
  std::size_t cells = 0;        ///< of all partitions: what the memory grows with

  explicit Conditioning(const Design& design);
  const std::vector<Partition>& partitions() const { return plan.partitions; }
};

struct JiangK {
  std::vector<std::optional<double>> ratio;  ///< per set of the conditioning
  std::optional<double> k;
  std::size_t set = 0;  ///< that gives K
};

/// For each measure of the block, in its order.
std::vector<JiangK> jiang_k(const Conditioning& conditioning, const std::vector<CellCounts>& counts,
                            const LaneBlock& block);

}  // namespace gapbench
