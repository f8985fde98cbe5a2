// "unknown key 'batchsize'; did you mean 'batch_size'?": the nearest valid name for a misspelt one. std only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace gapbench {

/// Edit distance that counts an insertion, a deletion, a substitution or a swap of neighbours as one.
/// Cost: O(|a| |b|).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

/// The valid name nearest to `name`, or an empty string when none is within a third of its length (at least
/// 2).
template <class Names>
std::string nearest_name(std::string_view name, const Names& valid) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const auto& candidate : valid) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best = std::string(candidate);
      best_distance = distance;
    }
  }
  return best;
}

/// Ends an "unknown X" message: "; did you mean 'Y'?" where a near name exists, then all valid names, or, of more than a
/// screen can show, the `command` that lists them.
template <class Names>
std::string suggestion(std::string_view name, const Names& valid, std::string_view command = {}) {
  std::string text;
  if (const std::string near = nearest_name(name, valid); !near.empty())
    text = "; did you mean '" + near + "'?";
  if (valid.size() > 40 && !command.empty())
    return text + " (" + std::to_string(valid.size()) + " are there; to see them: " + std::string(command) +
           ")";
  text += " (valid:";
  for (const auto& candidate : valid) text += " " + std::string(candidate);
  return text + ")";
}

}  // namespace gapbench
