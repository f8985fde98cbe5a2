#include "runners/stages/cells.h"

#include "measures/api/error.h"

namespace gapbench {

using nlohmann::json;

namespace {

Outcome outcome_from_json(const json& j) {
  const std::string status = j.at("status"), reason = j.value("reason", "");
  if (status == "not-applicable") return Outcome::not_applicable(reason);
  if (status == "undefined") return Outcome::undefined(reason);
  if (status == "not-converged") return Outcome::not_converged(reason);
  if (status != "ok") return Outcome::failed(reason);
  const double v = j.at("value");
  Outcome outcome =
      j.contains("standard_error") ? Outcome::value(v, j["standard_error"].get<double>()) : Outcome::value(v);
  return j.value("censored", false) ? std::move(outcome).as_censored(reason) : outcome;
}

}  // namespace

json to_json(const MeasureCell& cell) {
  json j = {{"measure", cell.measure},
            {"revision", cell.revision},
            {"status", to_string(cell.outcome.status())},
            {"seconds", cell.seconds}};
  if (cell.outcome.value()) j["value"] = *cell.outcome.value();
  if (cell.outcome.standard_error()) j["standard_error"] = *cell.outcome.standard_error();
  if (cell.outcome.censored()) j["censored"] = true;
  if (!cell.outcome.reason().empty()) j["reason"] = cell.outcome.reason();
  return j;
}

std::vector<MeasureCell> read_cells(const ModelStore& store, const std::string& model_id) {
  std::vector<MeasureCell> cells;
  for (const json& line : store.read_json_lines(model_id, "measures.jsonl")) {
    try {
      MeasureCell cell;
      cell.measure = line.at("measure");
      cell.revision = line.at("revision");
      cell.seconds = line.at("seconds");
      cell.outcome = outcome_from_json(line);
      cells.push_back(std::move(cell));
    } catch (const json::exception& e) {
      throw InputError(store.file(model_id, "measures.jsonl").string() + ": line " +
                       std::to_string(cells.size() + 1) + " is not a measure cell (" + e.what() +
                       "); delete the file and measure again");
    }
  }
  return cells;
}

void write_cells(const ModelStore& store, const std::string& model_id,
                 const std::vector<MeasureCell>& cells) {
  std::vector<json> lines;
  for (const MeasureCell& cell : cells) lines.push_back(to_json(cell));
  store.write_json_lines(model_id, "measures.jsonl", lines);
  store.remove_leftovers(model_id);
}

}  // namespace gapbench
