#include "runners/ranking/evidence.h"

#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace gapbench {

using nlohmann::ordered_json;

namespace {

constexpr double alpha = 0.05;

// Three digits, the minus sign of running text.
std::string fixed(double v) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.3f", v);
  std::string text = digits;
  if (text == "-0.000") return "0.000";
  if (text[0] == '-') text.replace(0, 1, "−");
  return text;
}

std::string join(const std::vector<std::string>& parts, const char* between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

bool changes_sign(const ordered_json& groups, const ordered_json& axis) {
  bool positive = false, negative = false;
  for (const ordered_json& g : groups) {
    if (g["axis"] != axis || g["tau_b"].is_null()) continue;
    positive = positive || g["tau_b"] > 0;
    negative = negative || g["tau_b"] < 0;
  }
  return positive && negative;
}

}  // namespace

ordered_json evidence_json(const ordered_json& document, std::size_t gap) {
  ordered_json list = ordered_json::array();
  using Results = std::vector<std::pair<std::string, const ordered_json*>>;
  Results measures;
  const ordered_json* hyperparameters = nullptr;
  for (const ordered_json& m : document["measures"]) {
    if (m["kind"] == "measure") measures.emplace_back(m["id"], &m["results"][gap]);
    if (m["id"] == "baseline-hyperparameters") hyperparameters = &m["results"][gap];
  }
  const auto add = [&](const char* topic, const std::string& claim, const std::string& after,
                       const std::function<bool(const ordered_json&)>& holds) {
    std::vector<std::string> ids;
    for (const auto& [id, result] : measures)
      if (holds(*result)) ids.push_back(id);
    list.push_back({{"topic", topic},
                    {"text", claim + ": " + (ids.empty() ? "none" : join(ids, ", ")) + "." + after},
                    {"measures", ids}});
  };

  const auto band = [](const ordered_json& r) -> const ordered_json& { return r["statistics"]["tau_b"]["null"]; };
  bool tested = false;
  for (const auto& [id, result] : measures) tested = tested || !band(*result).is_null();
  if (tested)
    add("chance", "tau-b outside chance after correction for all measures (family-wise p below 0.05, either sign)", "",
        [&](const ordered_json& r) { return !band(r).is_null() && band(r)["p_family"] < alpha; });
  if (hyperparameters && !(*hyperparameters)["tau_b"].is_null()) {
    const double tau = (*hyperparameters)["tau_b"];
    add("hyperparameters", "tau-b larger than that of the hyper-parameters alone, out of fold (" + fixed(tau) + ")",
        " The difference is not tested.",
        [&](const ordered_json& r) { return !r["tau_b"].is_null() && r["tau_b"] > tau; });
  }
  if (!document["axes"].empty())
    add("groups", "The sign of tau-b differs between the levels of some axis", "", [&](const ordered_json& r) {
      for (const ordered_json& axis : document["axes"])
        if (changes_sign(r["groups"], axis["name"])) return true;
      return false;
    });

  std::vector<std::pair<std::string, std::vector<std::string>>> reasons;  // why, and the statistics, in their order
  for (const ordered_json& s : document["statistics"]) {
    const std::string id = s["id"];
    bool absent = !measures.empty();
    for (const auto& [name, result] : measures) absent = absent && (*result)["statistics"][id]["value"].is_null();
    if (!absent) continue;
    const ordered_json& given = (*measures.front().second)["statistics"][id]["reason"];
    const std::string reason = given.is_null() ? "no reason given" : given.get<std::string>();
    auto it = reasons.begin();
    while (it != reasons.end() && it->first != reason) ++it;
    if (it == reasons.end()) it = reasons.insert(it, {reason, {}});
    it->second.push_back(s["label"]);
  }
  for (const auto& [reason, labels] : reasons)
    list.push_back({{"topic", "not_computed"},
                    {"text", "Not computed for any measure, " + reason + ": " + join(labels, "; ") + "."},
                    {"measures", ordered_json::array()}});
  return list;
}

}  // namespace gapbench
