#include "zoo/spec/zoo_spec.h"

#include <algorithm>
#include <array>
#include <set>

#include "measures/api/error.h"
#include "measures/api/suggest.h"
#include "zoo/store/atomic_file.h"
#include "zoo/store/sha256.h"

namespace gapbench {

using nlohmann::json;

namespace {

template <class Keys>
void check_keys(const json& object, const Keys& valid, const std::string& where) {
  if (!object.is_object())
    throw InputError(where + " must be a JSON object, found " + std::string(object.type_name()));
  for (const auto& [key, value] : object.items())
    if (std::find(valid.begin(), valid.end(), key) == valid.end())
      throw InputError(where + ": unknown key '" + key + "'" + suggestion(key, valid));
}

std::string text_at(const json& object, const char* key, const std::string& fallback,
                    const std::string& where) {
  if (!object.contains(key)) return fallback;
  if (!object[key].is_string())
    throw InputError(where + ": " + key + " must be a text, found " + object[key].dump());
  return object[key];
}

std::vector<std::uint64_t> parse_seeds(const json& value, const std::string& where) {
  const std::string allowed =
      where + ": seeds must be a number of seeds (1 to 1000000) or a list of distinct integers >= 0, found ";
  std::vector<std::uint64_t> seeds;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() >= 1 &&
      value.get<std::uint64_t>() <= 1000000) {
    for (std::uint64_t s = 0; s < value.get<std::uint64_t>(); ++s) seeds.push_back(s);
    return seeds;
  }
  if (!value.is_array() || value.empty()) throw InputError(allowed + value.dump());
  for (const json& s : value) {
    if (!s.is_number_unsigned()) throw InputError(allowed + value.dump());
    seeds.push_back(s);
  }
  if (std::set<std::uint64_t>(seeds.begin(), seeds.end()).size() != seeds.size())
    throw InputError(allowed + value.dump());
  return seeds;
}

LogIterates parse_log_iterates(const json& value, const std::string& where) {
  const std::string here = where + ": log_iterates";
  check_keys(value, std::array<std::string_view, 2>{"last", "dimension"}, here);
  LogIterates log;
  log.last = 1000;
  const auto read = [&](const char* key, std::int64_t lowest, std::int64_t highest, std::int64_t& number) {
    if (!value.contains(key)) return;
    const json& v = value[key];
    if (!v.is_number_unsigned() || v.get<std::uint64_t>() > static_cast<std::uint64_t>(highest) ||
        v.get<std::int64_t>() < lowest || v.get<std::int64_t>() % lowest != 0)
      throw InputError(here + ": " + key + " must be " +
                       (lowest == 1 ? "an integer" : "a multiple of " + std::to_string(lowest)) + " from " +
                       std::to_string(lowest) + " to " + std::to_string(highest) + ", found " + v.dump());
    number = v;
  };
  read("last", 1, 1000000, log.last);
  read("dimension", 4, 100000, log.dimension);
  return log;
}

// A partial assignment {name: value or [values]}: values checked, each a list of allowed values.
json parse_exclusion(const json& rule, const std::string& where) {
  if (!rule.is_object() || rule.empty())
    throw InputError(
        where + " must be an object of hyper-parameters such as {\"depth\": 4, \"width\": [16, 32]}, found " +
        rule.dump());
  json checked = json::object();
  for (const auto& [name, value] : rule.items()) {
    json list = json::array();
    const bool list_of_values =
        value.is_array() && !(name == "widths" && (value.empty() || !value[0].is_array()));
    if (list_of_values)
      for (const json& v : value) list.push_back(checked_hyperparameter(name, v, where));
    else
      list.push_back(checked_hyperparameter(name, value, where));
    checked[name] = list;
  }
  return checked;
}

}  // namespace

ZooSpec ZooSpec::parse(std::string_view text, const std::string& where) {
  ZooSpec spec;
  json root;
  try {
    root = json::parse(text);
    spec.source = nlohmann::ordered_json::parse(text);
  } catch (const json::parse_error& e) {
    throw InputError(where + ": not valid JSON at byte " + std::to_string(e.byte) + ": " + e.what());
  }
  static constexpr std::array<std::string_view, 12> keys = {
      "$schema", "name",  "description", "data",        "fixed",        "axes",
      "exclude", "seeds", "measures",    "keep_epochs", "log_iterates", "ranking"};
  check_keys(root, keys, where);
  spec.name = text_at(root, "name", "zoo", where);
  spec.description = text_at(root, "description", "", where);

  if (!root.contains("data"))
    throw InputError(where + ": key 'data' is missing, for example \"data\": {\"name\": \"digits\"}");
  check_keys(root["data"], std::array<std::string_view, 2>{"name", "dir"}, where + ": data");
  spec.dataset = text_at(root["data"], "name", "", where + ": data");
  if (spec.dataset.empty())
    throw InputError(where + ": data needs a \"name\", for example \"digits\" (gapbench list datasets)");
  spec.data_dir = text_at(root["data"], "dir", "", where + ": data");

  spec.fixed = json::object();
  if (root.contains("fixed")) {
    if (!root["fixed"].is_object()) throw InputError(where + ": fixed must be an object of hyper-parameters");
    for (const auto& [name, value] : root["fixed"].items())
      spec.fixed[name] = checked_hyperparameter(name, value, where + ": fixed");
  }
  if (root.contains("axes")) {
    if (!root["axes"].is_object())
      throw InputError(where + ": axes must be an object such as {\"lr\": [0.01, 0.1]}");
    for (const auto& [name, values] : spec.source["axes"].items()) {  // ordered: the user's order of axes
      const std::string here = where + ": axes";
      if (!values.is_array() || values.empty())
        throw InputError(here + ": " + name + " needs a list of at least one value");
      if (spec.fixed.contains(name)) throw InputError(where + ": " + name + " is both fixed and an axis");
      Axis axis{name, {}};
      for (const auto& value : values) {
        json checked = checked_hyperparameter(name, json(value), here);
        if (std::find(axis.values.begin(), axis.values.end(), checked) != axis.values.end())
          throw InputError(here + ": " + name + " lists " + checked.dump() + " twice");
        axis.values.push_back(std::move(checked));
      }
      spec.axes.push_back(std::move(axis));
    }
  }
  if (root.contains("exclude")) {
    if (!root["exclude"].is_array()) throw InputError(where + ": exclude must be a list of objects");
    for (std::size_t i = 0; i < root["exclude"].size(); ++i)
      spec.exclude.push_back(
          parse_exclusion(root["exclude"][i], where + ": exclude[" + std::to_string(i) + "]"));
  }
  spec.seeds = root.contains("seeds") ? parse_seeds(root["seeds"], where) : std::vector<std::uint64_t>{0};
  if (root.contains("measures")) {
    if (!root["measures"].is_array())
      throw InputError(where + ": measures must be a list of patterns such as [\"wc-*\", \"pbc\"]");
    for (const json& m : root["measures"]) {
      if (!m.is_string()) throw InputError(where + ": measures: " + m.dump() + " is not a text");
      spec.measures.push_back(m);
    }
  }
  if (root.contains("keep_epochs")) {
    const json& epochs = root["keep_epochs"];
    const auto is_epoch = [](const json& e) { return e.is_number_unsigned() && e.get<std::uint64_t>() >= 1; };
    if (!epochs.is_array() || !std::all_of(epochs.begin(), epochs.end(), is_epoch))
      throw InputError(where + ": keep_epochs must be a list of epochs from 1 such as [1, 10], found " +
                       epochs.dump());
    spec.keep_epochs = epochs.get<std::vector<std::int64_t>>();
  }
  if (root.contains("log_iterates")) spec.log_iterates = parse_log_iterates(root["log_iterates"], where);
  if (root.contains("ranking")) {
    const json& ranking = root["ranking"];
    check_keys(ranking, std::array<std::string_view, 2>{"resamples", "level"}, where + ": ranking");
    if (ranking.contains("resamples")) {
      const json& r = ranking["resamples"];
      if (!r.is_number_unsigned() || r.get<std::uint64_t>() > 1000000)
        throw InputError(where + ": ranking: resamples must be an integer from 0 to 1000000, found " +
                         r.dump());
      spec.bootstrap_resamples = r;
    }
    if (ranking.contains("level")) {
      const json& l = ranking["level"];
      if (!l.is_number() || l.get<double>() <= 0 || l.get<double>() >= 1)
        throw InputError(where + ": ranking: level must be a number between 0 and 1, found " + l.dump());
      spec.bootstrap_level = l;
    }
  }
  return spec;
}

ZooSpec ZooSpec::load(const std::filesystem::path& file) {
  return parse(read_file(file), file.string());
}

ModelSpec::ModelSpec(std::string dataset_, std::string data_sha256_, HyperParameters hp_, std::uint64_t seed_)
    : dataset(std::move(dataset_)), data_sha256(std::move(data_sha256_)), hp(std::move(hp_)), seed(seed_) {
  json j = {{"data", {{"name", dataset}, {"sha256", data_sha256}}},
            {"hp", hp.not_default()},
            {"revision", training_revision}};
  configuration = sha256_hex(j.dump()).substr(0, 16);
  j["seed"] = seed;
  id = sha256_hex(j.dump()).substr(0, 16);
}

json ModelSpec::to_json() const {
  return {{"id", id},
          {"configuration", configuration},
          {"data", {{"name", dataset}, {"sha256", data_sha256}}},
          {"hp", hp.to_json()},
          {"revision", training_revision},
          {"seed", seed}};
}

ModelSpec ModelSpec::from_json(const json& j, const std::string& where) {
  try {
    json hp = j.at("hp");
    // what is derived is not read: depth and width of explicit widths, and of networks with their own
    if (!hp.at("widths").empty() || HyperParameters::has_own_depth(hp.at("network").get<std::string>())) {
      hp.erase("depth");
      hp.erase("width");
    }
    ModelSpec m(j.at("data").at("name"), j.at("data").at("sha256"), HyperParameters::from_json(hp, where),
                j.at("seed"));
    if (m.id != j.at("id"))
      throw InputError(where + ": the recorded id " + j.at("id").dump() +
                       " does not belong to these hyper-parameters (" + m.id +
                       "); the file was edited, or written by another version of gapbench");
    return m;
  } catch (const json::exception& e) {
    throw InputError(where + ": not a model record: " + e.what());
  }
}

std::vector<ModelSpec> expand(const ZooSpec& spec, const std::string& data_sha256) {
  std::vector<ModelSpec> models;
  std::vector<std::size_t> index(spec.axes.size(), 0);
  std::set<std::string> seen;
  for (bool more = true; more;) {
    json values = spec.fixed;
    for (std::size_t a = 0; a < spec.axes.size(); ++a)
      values[spec.axes[a].name] = spec.axes[a].values[index[a]];
    const HyperParameters hp = HyperParameters::from_json(values, "spec " + spec.name);
    const json complete = hp.to_json();
    const auto matches = [&complete](const json& rule) {
      for (const auto& [name, allowed] : rule.items())
        if (std::find(allowed.begin(), allowed.end(), complete[name]) == allowed.end()) return false;
      return true;
    };
    if (std::none_of(spec.exclude.begin(), spec.exclude.end(), matches))
      for (const std::uint64_t seed : spec.seeds) {
        ModelSpec model(spec.dataset, data_sha256, hp, seed);
        if (seen.insert(model.id).second) models.push_back(std::move(model));
      }
    more = false;
    for (std::size_t a = spec.axes.size(); a-- > 0 && !more;) {  // odometer, last axis fastest
      more = ++index[a] < spec.axes[a].values.size();
      if (!more) index[a] = 0;
    }
  }
  if (models.empty())
    throw InputError("spec " + spec.name + ": the exclusions leave no model; remove one of them");
  return models;
}

}  // namespace gapbench
