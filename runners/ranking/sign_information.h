// How much the order of a measure tells about the order of the gaps within the cells of a partition.
//
// Formula   in a cell of n pairs with counts n_ab of (V_x = a, V_g = b):
//           n I = sum_ab f(n_ab) - sum_a f(n_a.) - sum_b f(n_.b) + f(n), f(k) = k ln k, f(0) = 0.
// Inputs    counts of runners/ranking/sign_counts.h.
// Returns   n I in nats, per cell and measure of the block.
// Source    the plug-in estimate; how cells are weighted is what tells Jiang's K from the PGDL score.
// Error     rounding: about 1e-15 n ln n.
// Cost      six look-ups per cell and measure.
#pragma once

#include <vector>

#include "runners/ranking/sign_counts.h"

namespace gapbench {

/// k ln k.
double k_log_k(std::int64_t k);

/// out[cell * 64 + m] = n I of the block's m-th measure. `self_pairs`: how many pairs of an item with itself to
/// add to cell (u, u), as pairs with V_x = V_g = 0; empty: none.
void cell_information(const CellCounts& counts, const LaneBlock& block,
                      std::span<const std::int64_t> self_pairs, std::vector<double>& out);

}  // namespace gapbench
