// The score of the competition "Predicting Generalization in Deep Learning" (PGDL, NeurIPS 2020), on its exact
// conventions, which are not those of Jiang's K.
//
// Formula   for every pair of axes: [unweighted mean over cells of I] / [unweighted mean over cells of H], I in
//           bits, H = - sum_b p_b log2(p_b + 1e-12) of the gap's sign; the score is the minimum over the pairs.
//           All ordered pairs count, those of an item with itself too (as "not larger" in both).
// Inputs    counts over the pair partitions of a `Conditioning`; the grid must be full, each combination once.
// Returns   the score as a fraction (the competition prints 100 times its mean over tasks), the ratio per pair
//           of axes and the pair that gives the minimum; blind to the sign of the association.
// Source    scoring program of the competition (its cell keys join texts without a separator; ours are tuples).
//           An axis of a single level, which the competition's files may carry, turns its pairs into single
//           axes: `single_level_axis`.
// Error     1e-12 against the published scores.
// Cost      that of the counts, and six look-ups per cell and measure.
#pragma once

#include "runners/ranking/jiang_k.h"

namespace gapbench {

struct PgdlScore {
  std::vector<std::optional<double>>
      ratio;  ///< per set of the conditioning; nothing for sets that do not count
  std::optional<double> score;
  std::size_t set = 0;
};

std::vector<PgdlScore> pgdl_score(const Conditioning& conditioning, const std::vector<CellCounts>& counts,
                                  const LaneBlock& block, bool single_level_axis = false);

}  // namespace gapbench
