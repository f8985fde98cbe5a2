// What the rank stage and `gapbench rank` share.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "runners/ranking/rank.h"
#include "runners/stages/zoo.h"

namespace gapbench {

/// What the registry says of each measure, for the ranking document.
std::map<std::string, MeasureDescription> measure_descriptions();

/// What a zoo's spec says of its ranking.
RankOptions zoo_rank_options(Zoo& zoo);

/// Ranks ledger.csv; returns the document (write_reports writes it). Descriptions and threads are set here.
nlohmann::ordered_json rank_zoo(Zoo& zoo, const StageSummary& trained, const StageSummary& measured,
                                RankOptions options);

/// Versions, time and command of a ranking document's provenance.
nlohmann::json base_provenance(const std::string& command);

}  // namespace gapbench
