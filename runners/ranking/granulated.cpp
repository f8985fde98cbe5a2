#include "runners/ranking/granulated.h"

namespace gapbench {

namespace {

int sign(double v) {
  return (v > 0) - (v < 0);
}

bool constant_cell(const AxisPairs& axis, std::size_t cell, std::span<const double> x) {
  for (std::size_t i = axis.offset[cell]; i < axis.offset[cell + 1]; ++i)
    if (x[axis.pairs[i].a] != x[axis.pairs[i].b]) return false;
  return true;
}

}  // namespace

std::vector<AxisPairs> axis_pairs(const Design& design) {
  std::vector<AxisPairs> all;
  for (std::size_t a = 0; a < design.axes.size(); ++a) {
    AxisPairs axis;
    axis.possible = design.possible_cells(a);
    axis.offset.push_back(0);
    const auto& level = design.axes[a].level;
    for (const auto& cell : design.cells(a)) {
      for (std::size_t i = 0; i < cell.size(); ++i)
        for (std::size_t j = i + 1; j < cell.size(); ++j)
          if (level[cell[i]] != level[cell[j]]) axis.pairs.push_back({cell[i], cell[j]});
      if (axis.pairs.size() > axis.offset.back()) axis.offset.push_back(axis.pairs.size());
    }
    all.push_back(std::move(axis));
  }
  return all;
}

std::vector<std::optional<double>> cell_taus(const AxisPairs& axis, std::span<const double> x,
                                             std::span<const double> y, ConstantCell constant) {
  std::vector<std::optional<double>> taus;
  for (std::size_t c = 0; c < axis.cells(); ++c) {
    if (constant == ConstantCell::skip && constant_cell(axis, c, x)) {
      taus.emplace_back();
      continue;
    }
    std::int64_t sum = 0;
    for (std::size_t i = axis.offset[c]; i < axis.offset[c + 1]; ++i) {
      const auto [a, b] = axis.pairs[i];
      sum += sign(x[a] - x[b]) * sign(y[a] - y[b]);
    }
    taus.emplace_back(static_cast<double>(sum) / static_cast<double>(axis.offset[c + 1] - axis.offset[c]));
  }
  return taus;
}

Granulated granulated(const std::vector<AxisPairs>& axes, std::span<const double> x,
                      std::span<const double> y, ConstantCell constant) {
  Granulated g;
  double total = 0;
  std::size_t with_psi = 0;
  for (const AxisPairs& axis : axes) {
    AxisPsi result;
    result.cells_possible = axis.possible;
    double sum = 0;
    for (const auto& tau : cell_taus(axis, x, y, constant))
      if (tau) {
        sum += *tau;
        ++result.cells_used;
      }
    for (std::size_t c = 0; c < axis.cells(); ++c) {
      result.cells_constant += constant_cell(axis, c, x);
      bool tied = false;
      for (std::size_t i = axis.offset[c]; i < axis.offset[c + 1]; ++i)
        tied = tied || y[axis.pairs[i].a] == y[axis.pairs[i].b];
      result.cells_tied_gap += tied;
    }
    if (result.cells_used > 0) {
      result.psi = sum / static_cast<double>(result.cells_used);
      total += *result.psi;
      ++with_psi;
    }
    g.axes.push_back(result);
  }
  if (with_psi > 0) g.psi = total / static_cast<double>(with_psi);
  return g;
}

}  // namespace gapbench
