#include "reports/report.h"

namespace gapbench::reports {

namespace {

constexpr const char* schema_id = "gapbench/ranking/2";

[[noreturn]] void wrong(const std::string& where, const char* expected, const Document& found) {
  std::string text = found.dump();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  throw DocumentError(where + ": expected " + expected + ", found " + text);
}

const Document& member(const Document& object, const std::string& where, const char* key) {
  if (!object.is_object()) wrong(where, "an object", object);
  const auto it = object.find(key);
  if (it == object.end()) throw DocumentError(where + ": the key '" + key + "' is missing");
  return *it;
}

void text(const Document& object, const std::string& where, const char* key, bool null_allowed = false) {
  const Document& v = member(object, where, key);
  if (!v.is_string() && !(null_allowed && v.is_null())) wrong(where + "." + key, "a text", v);
}

void number(const Document& object, const std::string& where, const char* key, bool null_allowed = false) {
  const Document& v = member(object, where, key);
  if (!v.is_number() && !(null_allowed && v.is_null()))
    wrong(where + "." + key, null_allowed ? "a number or null" : "a number", v);
}

const Document& list(const Document& object, const std::string& where, const char* key) {
  const Document& v = member(object, where, key);
  if (!v.is_array()) wrong(where + "." + key, "a list", v);
  return v;
}

void interval(const Document& result, const std::string& where, const char* key) {
  const Document& v = member(result, where, key);
  if (v.is_null()) return;
  number(v, where + "." + key, "low");
  number(v, where + "." + key, "high");
}

void statistic(const Document& s, const std::string& where) {
  number(s, where, "value", true);
  for (const char* key : {"reason", "interval_reason", "null_reason"}) text(s, where, key, true);
  interval(s, where, "interval");
  interval(s, where, "null");
  if (s["null"].is_null()) return;
  for (const char* key : {"p", "p_family"}) number(s["null"], where + ".null", key);
  number(s["null"], where + ".null", "q", true);
}

}  // namespace

void check(const Document& ranking) {
  const std::string root = "ranking";
  if (!ranking.is_object()) wrong(root, "an object", ranking);
  const Document& schema = member(ranking, root, "schema");
  if (schema != schema_id) wrong("ranking.schema", schema_id, schema);
  text(ranking, root, "title");
  if (!member(ranking, root, "provenance").is_object())
    wrong("ranking.provenance", "an object", ranking["provenance"]);
  const Document& population = member(ranking, root, "population");
  for (const char* key : {"rows", "models", "configurations"}) number(population, "ranking.population", key);
  const Document& excluded = member(population, "ranking.population", "excluded");
  if (!excluded.is_object()) wrong("ranking.population.excluded", "an object", excluded);
  for (const auto& item : excluded.items())
    number(excluded, "ranking.population.excluded", item.key().c_str());
  const Document& axes = list(ranking, root, "axes");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::string where = "ranking.axes[" + std::to_string(i) + "]";
    text(axes[i], where, "name");
    list(axes[i], where, "levels");
  }
  const Document& gaps = list(ranking, root, "gaps");
  if (gaps.empty()) wrong("ranking.gaps", "at least one gap", gaps);
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    const std::string where = "ranking.gaps[" + std::to_string(i) + "]";
    text(gaps[i], where, "id");
    text(gaps[i], where, "label");
    text(gaps[i], where, "unit", true);
  }
  const Document& bootstrap = member(ranking, root, "bootstrap");
  number(bootstrap, "ranking.bootstrap", "resamples");
  number(bootstrap, "ranking.bootstrap", "level");
  const Document& statistics = list(ranking, root, "statistics");
  for (std::size_t i = 0; i < statistics.size(); ++i)
    for (const char* key : {"id", "label", "better", "meaning"})
      text(statistics[i], "ranking.statistics[" + std::to_string(i) + "]", key);
  if (list(ranking, root, "protocols").size() != gaps.size())
    wrong("ranking.protocols", "one entry per gap", ranking["protocols"]);
  const Document& measures = list(ranking, root, "measures");
  for (std::size_t i = 0; i < measures.size(); ++i) {
    const std::string where = "ranking.measures[" + std::to_string(i) + "]";
    for (const char* key : {"id", "kind"}) text(measures[i], where, key);
    for (const char* key : {"name", "family", "sign", "formula", "source"})
      text(measures[i], where, key, true);
    for (const char* key : {"missing", "censored"})
      number(member(measures[i], where, "counts"), where + ".counts", key);
    const Document& results = list(measures[i], where, "results");
    if (results.size() != gaps.size()) wrong(where + ".results", "one result per gap", results);
    for (std::size_t g = 0; g < results.size(); ++g) {
      const std::string here = where + ".results[" + std::to_string(g) + "]";
      const Document& r = results[g];
      text(r, here, "status");
      if (member(r, here, "gap") != gaps[g]["id"])
        wrong(here + ".gap", gaps[g]["id"].get_ref<const std::string&>().c_str(), r["gap"]);
      number(r, here, "n");
      for (const char* key : {"tau_a", "tau_b", "p_value"}) number(r, here, key, true);
      text(r, here, "p_method", true);
      text(r, here, "reason", true);
      const Document& ties = member(r, here, "ties");
      for (const char* key : {"measure", "gap", "both"}) number(ties, here + ".ties", key);
      interval(r, here, "interval");
      interval(r, here, "null_band");
      const Document& all = member(r, here, "statistics");
      for (const Document& s : statistics)
        statistic(member(all, here + ".statistics", s["id"].get_ref<const std::string&>().c_str()),
                  here + ".statistics." + s["id"].get<std::string>());
    }
  }
  const Document& models = list(ranking, root, "models");
  for (std::size_t i = 0; i < models.size(); ++i) {
    const std::string where = "ranking.models[" + std::to_string(i) + "]";
    text(models[i], where, "id");
    for (const char* key : {"hp", "gaps", "measures"})
      if (!member(models[i], where, key).is_object()) wrong(where + "." + key, "an object", models[i][key]);
  }
  for (const Document& note : list(ranking, root, "notes"))
    if (!note.is_string()) wrong("ranking.notes", "texts", note);
}

}  // namespace gapbench::reports
