#include "runners/ledger/pgdl.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "measures/api/error.h"

namespace gapbench {

namespace {

using nlohmann::ordered_json;

ordered_json read_object(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw InputError("cannot read " + file.string() + ": no such file, or it is not readable");
  try {
    ordered_json object = ordered_json::parse(in);
    if (object.is_object() && !object.empty()) return object;
  } catch (const nlohmann::json::exception& e) {
    throw InputError(file.string() + ": not valid JSON: " + e.what());
  }
  throw InputError(file.string() + ": expected an object with one entry per model");
}

std::string text_of(const ordered_json& v) {
  return v.is_string() ? v.get<std::string>() : v.is_number() ? number_text(v.get<double>()) : v.dump();
}

const ordered_json& member(const ordered_json& object, const std::string& where, const std::string& key) {
  if (const auto it = object.is_object() ? object.find(key) : object.end(); it != object.end()) return *it;
  throw InputError(where + ": the key '" + key + "' is missing");
}

double number_of(const ordered_json& object, const std::string& where, const std::string& key) {
  const ordered_json& v = member(object, where, key);
  if (!v.is_number()) throw InputError(where + ": '" + key + "' is no number: " + v.dump());
  return v;
}

}  // namespace

Table read_pgdl(const std::filesystem::path& model_configs,
                const std::vector<std::filesystem::path>& predictions) {
  if (predictions.empty())
    throw InputError(model_configs.string() +
                     ": needs at least one file of predictions, for example: gapbench rank " +
                     model_configs.string() + " my_measure.predict");
  const ordered_json configs = read_object(model_configs);
  const auto where_of = [&](const std::string& id) {
    return model_configs.string() + ": model '" + id + "'";
  };
  std::vector<std::string> axes, columns = {"experiment_id", "model_id"};
  const std::string first = configs.begin().key();
  for (const auto& item : member(configs.begin().value(), where_of(first), "hparams").items())
    axes.push_back(item.key());
  for (const std::string& axis : axes) columns.push_back("hp." + axis);
  for (const char* c : {"gen.train_acc", "gen.test_acc", "gen.gap"}) columns.emplace_back(c);
  std::vector<ordered_json> predicted;
  for (const auto& file : predictions) {
    predicted.push_back(read_object(file));
    columns.push_back("complexity." + file.stem().string());
  }
  Table table(columns, model_configs.string());
  for (const auto& [id, config] : configs.items()) {
    std::vector<std::string> row = {id, "model_" + id};
    const ordered_json &hparams = member(config, where_of(id), "hparams"),
                       &metrics = member(config, where_of(id), "metrics");
    for (const std::string& axis : axes)
      row.push_back(text_of(
          member(member(hparams, where_of(id), axis), where_of(id) + ", '" + axis + "'", "current_value")));
    const double train = number_of(metrics, where_of(id), "train_acc"),
                 test = number_of(metrics, where_of(id), "test_acc");
    for (const double v : {train, test, train - test}) row.push_back(number_text(v));
    for (std::size_t k = 0; k < predicted.size(); ++k) {
      const std::string key = predicted[k].contains("model_" + id) ? "model_" + id : id;
      row.push_back(number_text(number_of(predicted[k], predictions[k].string(), key)));
    }
    table.add_row(std::move(row));
  }
  return table;
}

}  // namespace gapbench
