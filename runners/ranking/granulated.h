// Granulated Kendall: rank correlation along one axis at a time, all others held fixed.
//
// Formula   psi_i = mean over the cells of axis i of tau-a within the cell; Psi = mean of the psi_i.
//           A cell holds the items that agree on every axis but i. tau-a in a cell = sum of
//           sign(x_a - x_b) sign(y_a - y_b) over the pairs of different level, divided by their number: with
//           one item a level that is Kendall's tau-a, with several seeds a level it is "all cross pairs".
// Inputs    x, y: measure and gap of each item of the design, finite.
// Returns   per axis psi (nothing without a cell of two levels) and the counts of cells. A cell in which the
//           measure is constant counts as 0, or is passed over with `constant = skip`.
// Source    Jiang et al., "Fantastic generalization measures and where to find them", ICLR 2020, section 3.2.
//           They need a full grid; here cells that exist are used, and counted.
// Error     rounding.
// Cost      O(items * axes) and the pairs within cells.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "runners/ranking/design.h"

namespace gapbench {

enum class ConstantCell { zero, skip };

struct AxisPsi {
  std::optional<double> psi;
  std::size_t cells_used = 0;        ///< in the mean
  std::uint64_t cells_possible = 0;  ///< of a full grid
  std::size_t cells_constant = 0;    ///< with two levels, but a constant measure
  std::size_t cells_tied_gap = 0;    ///< with at least one pair of equal gaps
};

struct Granulated {
  std::vector<AxisPsi> axes;
  std::optional<double> psi;  ///< mean over the axes that have one
};

/// The cells of every axis as pairs of items, made once for many measures. A pair (a, b) differs in the axis
/// alone.
struct AxisPairs {
  struct Pair {
    std::uint32_t a, b;
  };
  std::vector<Pair> pairs;          ///< cell after cell; the level of a is below that of b
  std::vector<std::size_t> offset;  ///< of each cell with at least one pair, and the end
  std::uint64_t possible = 0;
  std::size_t cells() const { return offset.size() - 1; }
};
std::vector<AxisPairs> axis_pairs(const Design& design);

/// tau-a of each cell of one axis; nothing where it is to be passed over.
std::vector<std::optional<double>> cell_taus(const AxisPairs& axis, std::span<const double> x,
                                             std::span<const double> y, ConstantCell constant);

Granulated granulated(const std::vector<AxisPairs>& axes, std::span<const double> x,
                      std::span<const double> y, ConstantCell constant = ConstantCell::zero);

}  // namespace gapbench
