// The list of all measures. Filled by a function that CMake generates from gapbench_measure(...) lines, not
// by static initialisers, so that no linker can drop one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "measures/api/glob.h"
#include "measures/api/measure.h"

namespace gapbench {

class Registry {
 public:
  /// Throws InternalError on a duplicate or malformed id, or a null compute function.
  void add(const Measure& measure);
  /// All measures, in the order of registration (grouped by family).
  const std::vector<Measure>& all() const { return measures_; }
  /// Throws InputError that names the nearest id.
  const Measure& at(std::string_view id) const;
  /// Measures that match any of the patterns (`*` and `?`; "pbc", "wc-*"), in registration order, each once.
  /// A pattern that matches nothing throws InputError with the nearest id. No pattern at all selects every
  /// measure that is not on request.
  std::vector<const Measure*> select(std::span<const std::string> patterns) const;

 private:
  std::vector<Measure> measures_;
};

/// Every measure gapbench is built with (generated).
const Registry& all_measures();

}  // namespace gapbench
