// Shell-style patterns over names. std only.
#pragma once

#include <string_view>
#include <vector>

namespace gapbench {

/// Whether the pattern matches the whole text: `*` any run, `?` any one character. Cost: O(|pattern| |text|).
inline bool glob_match(std::string_view pattern, std::string_view text) {
  std::vector<bool> reach(text.size() + 1,
                          false);  // reach[j]: the pattern so far matches the first j characters
  reach[0] = true;
  for (const char p : pattern) {
    if (p == '*') {
      for (std::size_t j = 1; j <= text.size(); ++j) reach[j] = reach[j] || reach[j - 1];
      continue;
    }
    for (std::size_t j = text.size(); j > 0; --j) reach[j] = reach[j - 1] && (p == '?' || p == text[j - 1]);
    reach[0] = false;
  }
  return reach[text.size()];
}

}  // namespace gapbench
