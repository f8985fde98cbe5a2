// Designs and values the protocol tests share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "measures/numerics/philox.h"
#include "runners/ranking/design.h"

namespace gapbench::testing {

using Values = std::vector<double>;

/// A full grid, the first axis slowest, each combination `repeats` times.
inline Design grid(const std::vector<std::uint32_t>& levels, std::uint32_t repeats = 1) {
  Design d;
  d.items = repeats;
  for (const std::uint32_t l : levels) d.items *= l;
  std::size_t block = d.items;
  for (const std::uint32_t l : levels) {
    block /= l;
    DesignAxis axis{"axis" + std::to_string(d.axes.size()), l, {}};
    for (std::size_t i = 0; i < d.items; ++i) axis.level.push_back(static_cast<std::uint32_t>(i / block % l));
    d.axes.push_back(std::move(axis));
  }
  return d;
}

inline Values random_values(std::size_t n, std::uint64_t key) {
  RandomStream random(key);
  Values v;
  for (std::size_t i = 0; i < n; ++i) v.push_back(random.uniform());
  return v;
}

/// Few distinct values, so many ties.
inline Values coarse_values(std::size_t n, std::uint64_t key, std::uint32_t levels) {
  RandomStream random(key);
  Values v;
  for (std::size_t i = 0; i < n; ++i) v.push_back(random.below(levels));
  return v;
}

}  // namespace gapbench::testing
