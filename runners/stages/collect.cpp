#include <algorithm>
#include <map>

#include "measures/api/error.h"
#include "runners/ledger/table.h"
#include "runners/stages/cells.h"
#include "runners/stages/zoo.h"
#include "zoo/store/atomic_file.h"
#include "zoo/training/training_data.h"

namespace gapbench {

using nlohmann::json;

namespace {

// Training accuracy from which a model counts as fitted, as in the ledgers of Dziugaite et al. 2020.
constexpr double high_train_accuracy = 0.99;

struct Run {
  ModelSpec model;
  std::string status;  // ok, diverged, failed
  json result;         // null for a failed model
  std::vector<MeasureCell> cells;
};

std::vector<Run> read_runs(const Zoo& zoo) {
  std::vector<Run> runs;
  for (const ModelSpec& m : zoo.models()) {
    if (zoo.store().is_trained(m.id)) {
      json result = zoo.store().read_json(m.id, "result.json");
      const std::string status = result.at("status");
      runs.push_back({m, status, std::move(result), read_cells(zoo.store(), m.id)});
    } else if (std::filesystem::exists(zoo.store().file(m.id, "failure.json"))) {
      runs.push_back({m, "failed", nullptr, {}});
    }
  }
  return runs;
}

std::string hp_text(const json& value) {
  if (value.is_string()) return value;
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_number_float()) return number_text(value);
  if (!value.is_array()) return value.dump();
  std::string text;  // [52, 48] is 52-48: a cell without commas
  for (const json& item : value) text += (text.empty() ? "" : "-") + item.dump();
  return text;
}

std::string text_of(const std::map<std::string, std::int64_t>& executors) {
  std::string text;
  for (const auto& [name, count] : executors)
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " by " + name;
  return text;
}

const char* flag(bool b) {
  return b ? "True" : "False";
}

}  // namespace

void collect_zoo(Zoo& zoo) {
  const std::vector<Run> runs = read_runs(zoo);
  if (runs.empty())
    throw InputError("no model of " + zoo.root().string() +
                     " is trained yet; run: gapbench run SPEC.json --out " + zoo.root().string());

  std::map<std::string, std::int64_t> executors;
  for (const Run& run : runs)
    if (!run.result.is_null()) ++executors[run.result.value("executor", "an earlier version")];
  if (executors.size() > 1 && zoo.options().progress != nullptr) {
    zoo.options().progress->note("models of this zoo were trained by different executors (" +
                                 text_of(executors) + "): the same model has other bits on another one");
  }

  // networks of one kind: those that stacks do not serve are measured by another executor on any machine
  std::map<std::string, std::map<std::string, std::int64_t>> probes;
  for (const Run& run : runs)
    for (const std::string& name : executors_of(run.cells)) ++probes[run.model.hp.network][name];
  for (const auto& [network, counts] : probes)
    if (counts.size() > 1 && zoo.options().progress != nullptr)
      zoo.options().progress->note(
          "measures of network " + network + " were computed by different executors (" + text_of(counts) +
          "): they agree to rounding, those of searches within their standard error");

  // measures that any model has a cell of, in the order of the first model that has it; censored columns
  // where one is
  std::vector<std::string> measures;
  std::map<std::string, bool> any_censored;
  for (const Run& run : runs)
    for (const MeasureCell& cell : run.cells) {
      if (std::find(measures.begin(), measures.end(), cell.measure) == measures.end())
        measures.push_back(cell.measure);
      any_censored[cell.measure] = any_censored[cell.measure] || cell.outcome.censored();
    }

  std::vector<std::string> columns = {
      "experiment_id",         "repeat_id", "model_id", "status", "stop_reason", "is.converged",
      "is.high_train_accuracy"};
  for (const HyperParameter& h : hyperparameters()) columns.push_back("hp." + std::string(h.name));
  for (const char* c : {"train_dataset_size", "epochs", "steps", "gen.train_acc", "gen.test_acc", "gen.gap",
                        "gen.train_loss", "gen.test_loss", "gen.gap_loss", "gen.gap_even", "gen.gap_odd",
                        "train.gradient_noise_epoch1", "train.gradient_noise_final"})
    columns.emplace_back(c);
  for (const std::string& m : measures) {
    columns.push_back("complexity." + m);
    if (any_censored[m]) columns.push_back("complexity." + m + ".censored");
  }

  Table ledger(columns, "ledger");
  std::string lines;
  for (const Run& run : runs) {
    const json hp = run.model.hp.to_json();
    const bool has_metrics = run.status == "ok";
    const auto metric = [&](const char* split, const char* name) {
      if (!has_metrics || run.result[split][name].is_null()) return std::string();
      return number_text(run.result[split][name]);
    };
    const auto number = [&](const char* name) {  // a result of an earlier version may lack it
      const bool there = has_metrics && run.result.contains(name) && !run.result[name].is_null();
      return there ? number_text(run.result[name]) : std::string();
    };
    const auto half = [&](std::size_t i) {
      const json halves = has_metrics ? run.result.value("gap_error_halves", json(nullptr)) : json(nullptr);
      return halves.is_array() && halves[i].is_number() ? number_text(halves[i]) : std::string();
    };
    const bool trained = !run.result.is_null();
    const std::string reason = trained ? run.result["stop_reason"].get<std::string>() : "";
    std::vector<std::string> row = {
        run.model.configuration, std::to_string(run.model.seed), run.model.id, run.status, reason,
        // without a target the cap is where training is meant to end
        flag(reason == "target" ||
             ((reason == "epoch-cap" || reason == "step-cap") && run.model.hp.target_cross_entropy == 0)),
        flag(has_metrics && run.result["train"]["accuracy"].get<double>() >= high_train_accuracy)};
    for (const HyperParameter& h : hyperparameters()) row.push_back(hp_text(hp[std::string(h.name)]));
    const std::int64_t size =
        run.model.hp.train_size > 0 ? run.model.hp.train_size : zoo.data().dataset().train.count;
    row.push_back(std::to_string(size));
    row.push_back(trained ? run.result["epochs"].dump() : "");
    row.push_back(trained ? run.result["steps"].dump() : "");
    for (const std::string& cell :
         {metric("train", "accuracy"), metric("test", "accuracy"), number("gap_error"),
          metric("train", "cross_entropy"), metric("test", "cross_entropy"), number("gap_loss"), half(0),
          half(1), number("gradient_noise_epoch1"), number("gradient_noise_final")})
      row.push_back(cell);
    json record = {{"experiment_id", run.model.configuration},
                   {"repeat_id", run.model.seed},
                   {"model_id", run.model.id},
                   {"status", run.status},
                   {"hp", hp},
                   {"result", run.result},
                   {"measures", json::object()}};
    for (const std::string& m : measures) {
      const auto cell = std::find_if(run.cells.begin(), run.cells.end(),
                                     [&](const MeasureCell& c) { return c.measure == m; });
      const bool there = cell != run.cells.end();
      row.push_back(there && cell->outcome.value() ? number_text(*cell->outcome.value()) : "");
      if (any_censored[m]) row.push_back(flag(there && cell->outcome.censored()));
      if (there) {
        record["measures"][m] = to_json(*cell);
        record["measures"][m].erase("measure");
      }
    }
    ledger.add_row(std::move(row));
    lines += record.dump() + "\n";
  }
  write_file_atomically(zoo.root() / "runs.jsonl", lines);
  write_file_atomically(zoo.root() / "ledger.csv", ledger.to_csv());
}

}  // namespace gapbench
