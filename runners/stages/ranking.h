// What the rank stage and `gapbench rank` share.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "runners/ranking/rank.h"

namespace gapbench {

/// What the registry says of each measure, for the ranking document.
std::map<std::string, MeasureDescription> measure_descriptions();

/// Versions, time and command of a ranking document's provenance.
nlohmann::json base_provenance(const std::string& command);

}  // namespace gapbench
