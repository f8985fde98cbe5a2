#include "runners/ranking/design.h"

#include <algorithm>
#include <map>
#include <set>

namespace gapbench {

Design Design::subset(const std::vector<std::uint32_t>& chosen) const {
  Design d;
  d.items = chosen.size();
  for (const DesignAxis& a : axes) {
    DesignAxis part{a.name, a.levels, {}};
    for (const std::uint32_t i : chosen) part.level.push_back(a.level[i]);
    d.axes.push_back(std::move(part));
  }
  if (!fixed.empty())
    for (const std::uint32_t i : chosen) d.fixed.push_back(fixed[i]);
  return d;
}

std::vector<std::vector<std::uint32_t>> Design::cells(std::size_t axis) const {
  std::map<std::vector<std::uint32_t>, std::size_t> index;
  std::vector<std::vector<std::uint32_t>> cells;
  std::vector<std::uint32_t> key;
  for (std::uint32_t i = 0; i < items; ++i) {
    key.clear();
    for (std::size_t a = 0; a < axes.size(); ++a)
      if (a != axis) key.push_back(axes[a].level[i]);
    if (!fixed.empty()) key.push_back(fixed[i]);
    const auto [it, fresh] = index.try_emplace(key, cells.size());
    if (fresh) cells.emplace_back();
    cells[it->second].push_back(i);
  }
  const std::vector<std::uint32_t>& level = axes[axis].level;
  for (auto& cell : cells)
    std::stable_sort(cell.begin(), cell.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return level[a] < level[b]; });
  return cells;
}

std::uint64_t Design::possible_cells(std::size_t axis) const {
  std::uint64_t cells = 1;
  for (std::size_t a = 0; a < axes.size(); ++a)
    if (a != axis) cells *= axes[a].levels;
  if (!fixed.empty()) cells *= std::set<std::uint32_t>(fixed.begin(), fixed.end()).size();
  return cells;
}

std::optional<std::string> Design::why_not_full_grid() const {
  std::uint64_t combinations = 1;
  for (const DesignAxis& a : axes) combinations *= a.levels;
  std::set<std::vector<std::uint32_t>> seen;
  for (std::size_t i = 0; i < items; ++i) {
    std::vector<std::uint32_t> key;
    for (const DesignAxis& a : axes) key.push_back(a.level[i]);
    seen.insert(std::move(key));
  }
  if (seen.size() < items)
    return std::to_string(items - seen.size()) + " of " + std::to_string(items) +
           " items repeat a combination of levels";
  if (seen.size() < combinations)
    return std::to_string(combinations - seen.size()) + " of the grid's " + std::to_string(combinations) +
           " combinations of levels are missing";
  return std::nullopt;
}

}  // namespace gapbench
