// The protocols' results as parts of the ranking document (reports/schemas/ranking.schema.json).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runners/ranking/protocols.h"

namespace gapbench {

/// What names the numbers of a ProtocolResult.
struct ProtocolNames {
  std::string gap;
  std::vector<std::string> axes;
  std::vector<std::vector<nlohmann::ordered_json>> levels;  ///< of each axis
  std::vector<std::string> measures;
};

/// The catalogue of statistics, the same for every document.
nlohmann::ordered_json statistics_json();
/// What holds for all measures against one gap: an entry of "protocols".
nlohmann::ordered_json protocol_json(const ProtocolResult& result, const ProtocolOptions& options,
                                     const ProtocolNames& names);
/// What holds for one measure: keys "statistics", "axes", "information", "sign_error", added to its result.
void add_measure_json(const MeasureResult& measure, const ProtocolNames& names,
                      nlohmann::ordered_json& result);

}  // namespace gapbench
