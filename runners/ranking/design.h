// The hyper-parameter design of a set of items: which level of which axis each item has. An item is a
// configuration (its seeds averaged) or a single model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gapbench {

struct DesignAxis {
  std::string name;
  std::uint32_t levels = 0;
  std::vector<std::uint32_t> level;  ///< of each item, in [0, levels)
};

struct Design {
  std::size_t items = 0;
  std::vector<DesignAxis> axes;
  /// An extra coordinate that two items must share to be compared along an axis, for example the seed. Empty:
  /// none.
  std::vector<std::uint32_t> fixed;

  /// The design of some of the items, in the order given. Levels keep their numbers.
  Design subset(const std::vector<std::uint32_t>& chosen) const;
  /// Items that agree on every axis but `axis` (and on `fixed`), sorted by level: one list a cell, cells in
  /// the order of their first item.
  std::vector<std::vector<std::uint32_t>> cells(std::size_t axis) const;
  /// How many cells a full grid has: the product of the other axes' levels, times the values of `fixed`.
  std::uint64_t possible_cells(std::size_t axis) const;
  /// Nothing when every combination of levels is there exactly once; else what is wrong, in words.
  std::optional<std::string> why_not_full_grid() const;
};

}  // namespace gapbench
