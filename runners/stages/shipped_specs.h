// The specs that come with gapbench (zoo/specs/), built into the program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "zoo/spec/zoo_spec.h"

namespace gapbench {

struct ShippedSpec {
  std::string_view name;
  std::string_view text;
};

const std::vector<ShippedSpec>& shipped_specs();

/// A spec file, or a shipped spec by name (a file of that name comes first). Throws InputError when it is
/// neither.
ZooSpec load_spec(const std::string& file_or_name);

}  // namespace gapbench
