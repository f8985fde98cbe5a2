#include "runners/stages/cells.h"

#include <chrono>

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

namespace {

void add_outcome(json& j, const Outcome& outcome) {
  if (outcome.value()) j["value"] = *outcome.value();
  if (outcome.standard_error()) j["standard_error"] = *outcome.standard_error();
  if (outcome.censored()) j["censored"] = true;
  if (!outcome.reason().empty()) j["reason"] = outcome.reason();
}

[[noreturn]] void malformed(const ModelStore& store, const std::string& model_id, const char* file,
                            std::size_t line, const char* what, const std::exception& e) {
  throw InputError(store.file(model_id, file).string() + ": line " + std::to_string(line) + " is not " +
                   what + " (" + e.what() + "); delete the file and measure again");
}

}  // namespace

MeasureCell compute_cell(const Measure& measure, const Snapshot& snapshot, Probe* probe) {
  MeasureCell cell;
  cell.measure = measure.info.id;
  cell.revision = measure.info.revision;
  if (probe != nullptr && (measure.info.needs & needs_probe) != 0) cell.executor = probe->execution();
  const auto start = std::chrono::steady_clock::now();
  try {
    cell.outcome = measure.compute(snapshot, probe);
  } catch (const std::exception& e) {
    cell.outcome = Outcome::failed(e.what());
  }
  cell.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return cell;
}

std::set<std::string> executors_of(const std::vector<MeasureCell>& cells) {
  std::set<std::string> names;
  for (const MeasureCell& cell : cells)
    if (!cell.executor.empty()) names.insert(cell.executor);
  return names;
}

json to_json(const MeasureCell& cell) {
  json j = {{"measure", cell.measure},
            {"revision", cell.revision},
            {"status", to_string(cell.outcome.status())},
            {"seconds", cell.seconds}};
  add_outcome(j, cell.outcome);
  if (!cell.executor.empty()) j["executor"] = cell.executor;
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
      cell.executor = line.value("executor", "");
      cell.outcome = outcome_from_json(line);
      cells.push_back(std::move(cell));
    } catch (const json::exception& e) {
      malformed(store, model_id, "measures.jsonl", cells.size() + 1, "a measure cell", e);
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

std::map<std::string, StoredSearch> read_searches(const ModelStore& store, const std::string& model_id) {
  std::map<std::string, StoredSearch> searches;
  for (const json& line : store.read_json_lines(model_id, "searches.jsonl")) {
    try {
      searches[line.at("search")] = {line.at("revision"), outcome_from_json(line), line.at("seconds"),
                                     line.at("passes"), line.value("executor", "")};
    } catch (const json::exception& e) {
      malformed(store, model_id, "searches.jsonl", searches.size() + 1, "a search", e);
    }
  }
  return searches;
}

void write_searches(const ModelStore& store, const std::string& model_id,
                    const std::map<std::string, StoredSearch>& searches) {
  std::vector<json> lines;
  for (const auto& [name, search] : searches) {
    lines.push_back({{"search", name},
                     {"revision", search.revision},
                     {"status", to_string(search.outcome.status())},
                     {"seconds", search.seconds},
                     {"passes", search.passes}});
    add_outcome(lines.back(), search.outcome);
    if (!search.executor.empty()) lines.back()["executor"] = search.executor;
  }
  store.write_json_lines(model_id, "searches.jsonl", lines);
}

}  // namespace gapbench
