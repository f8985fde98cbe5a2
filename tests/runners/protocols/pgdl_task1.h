// The 96 published models of PGDL task 1 (runners/ranking/published/README.md) as a design, gaps and measures.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "runners/ledger/table.h"
#include "runners/ranking/design.h"

namespace gapbench::testing {

struct PgdlTask1 {
  Design design;
  std::vector<double> gap;
  std::map<std::string, std::vector<double>> measures;  // by the names of the expected file
  nlohmann::json expected;
};

inline PgdlTask1 pgdl_task1() {
  const std::filesystem::path folder = GAPBENCH_SOURCE_DIR;
  const Table table = Table::read_csv(folder / "runners/ranking/published/pgdl_task1.csv");
  PgdlTask1 task;
  task.design.items = table.rows();
  const auto column = [&](const std::string& name) {
    std::vector<double> values;
    for (std::size_t r = 0; r < table.rows(); ++r) values.push_back(*table.number(r, table.at(name)));
    return values;
  };
  for (const std::string& name : table.matching("hp.*")) {
    const std::vector<double> values = column(name);
    std::vector<double> levels = values;
    std::sort(levels.begin(), levels.end());
    levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
    DesignAxis axis{name.substr(3), static_cast<std::uint32_t>(levels.size()), {}};
    for (const double v : values)
      axis.level.push_back(
          static_cast<std::uint32_t>(std::lower_bound(levels.begin(), levels.end(), v) - levels.begin()));
    task.design.axes.push_back(std::move(axis));
  }
  task.gap = column("gen.gap");
  for (const auto& [ours, theirs] : {std::pair{"vpm_1", "VPM_1"}, std::pair{"vpm_80", "VPM_80"},
                                     std::pair{"vr", "VR"}, std::pair{"wcv", "WCV"}})
    task.measures[theirs] = column(std::string("complexity.") + ours);
  std::ifstream in(folder / "tests/data/pgdl_task1_expected.json");
  task.expected = nlohmann::json::parse(in);
  return task;
}

}  // namespace gapbench::testing
