#include "runners/ranking/evidence.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace gapbench {

using nlohmann::ordered_json;

namespace {

constexpr double alpha = 0.05;

std::string printed(const char* format, double v) {
  char digits[32];
  std::snprintf(digits, sizeof digits, format, v);
  return digits;
}

// A number with the minus sign of running text; never "-0.000".
std::string fixed(double v, const char* format = "%.3f") {
  std::string text = printed(format, v);
  if (text[0] != '-') return text;
  const bool zero = text.find_first_not_of("-0.") == std::string::npos;
  return (zero ? "" : "−") + text.substr(1);
}

std::string percent(double share) {
  return printed("%g", 100 * share) + " %";
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

using Ids = std::vector<std::string>;

ordered_json finding(const char* topic, const std::string& text, const Ids& ids) {
  return {{"topic", topic}, {"text", text}, {"measures", ids}};
}

// What the rows of the table say one at a time: intervals, a random score, the number of weights.
void rows_in_words(const ordered_json& document, std::size_t gap, ordered_json& list) {
  Ids above, below, above_against, below_against, larger;
  const ordered_json *band = nullptr, *size = nullptr;  // the row of the number of weights, the larger if two
  std::size_t measures = 0, intervals = 0;
  for (const ordered_json& m : document["measures"]) {
    const ordered_json& r = m["results"][gap];
    const std::string id = m["id"];
    if (!r["null_band"].is_null()) band = &r["null_band"];
    if (m["kind"] == "baseline") {
      if (id.rfind("baseline-", 0) != 0 && !r["tau_b"].is_null() &&
          (size == nullptr || r["tau_b"] > (*size)["results"][gap]["tau_b"]))
        size = &m;
      continue;
    }
    ++measures;
    if (r["interval"].is_null()) continue;
    ++intervals;
    const auto add = [&](Ids& all, Ids& against, const char* opposite) {
      all.push_back(id);
      if (m["sign"] == opposite) against.push_back(id);
    };
    if (r["interval"]["low"] > 0) add(above, above_against, "-");
    if (r["interval"]["high"] < 0) add(below, below_against, "+");
  }
  const std::string level = percent(document["bootstrap"]["level"]),
                    of = " of " + std::to_string(measures) + " measures ";
  const auto have = [](std::size_t count) { return count == 1 ? "has" : "have"; };
  const auto tell = [&](const char* side, const Ids& ids, const Ids& against, const char* opposite) {
    if (ids.empty()) return;
    std::string text = std::to_string(ids.size()) + of + have(ids.size()) + " a " + level + " interval " +
                       side + " 0: " + join(ids, ", ") + ".";
    if (!against.empty())
      text +=
          std::string(" That contradicts the declared sign ") + opposite + " of " + join(against, ", ") + ".";
    list.push_back(finding("intervals", text, ids));
  };
  tell("above", above, above_against, "−");
  tell("below", below, below_against, "+");
  if (measures > 0 && intervals == 0)
    list.push_back(finding(
        "intervals", "No measure has an interval: they were not asked for, or cannot be computed.", {}));
  else if (measures > 0 && above.empty() && below.empty())
    list.push_back(finding("intervals",
                           "No " + level + " interval of the " + std::to_string(measures) +
                               " measures leaves out 0: these models do not tell the measures from no "
                               "association.",
                           {}));
  if (measures > 1 && intervals > 0)
    list.push_back(finding("intervals",
                           "The intervals are for one measure at a time: among " + std::to_string(measures) +
                               " of them, some leave out 0 by chance.",
                           {}));
  if (band != nullptr)
    list.push_back(finding("random",
                           "The tau-b of a random score falls between " + fixed((*band)["low"]) + " and " +
                               fixed((*band)["high"]) + " in " + level + " of draws.",
                           {}));
  if (size == nullptr) return;
  const double tau = (*size)["results"][gap]["tau_b"];
  for (const ordered_json& m : document["measures"])
    if (const ordered_json& t = m["results"][gap]["tau_b"]; m["kind"] == "measure" && !t.is_null() && t > tau)
      larger.push_back(m["id"]);
  list.push_back(finding("size",
                         "The number of weights alone (" + (*size)["id"].get<std::string>() + ") has tau-b " +
                             fixed(tau) + "; " + std::to_string(larger.size()) + of + have(larger.size()) +
                             " a larger one.",
                         larger));
}

}  // namespace

std::string population_text(const ordered_json& document) {
  const ordered_json& p = document["population"];
  const std::size_t all = document["measures"].size();
  std::size_t measures = 0;
  for (const ordered_json& m : document["measures"]) measures += m["kind"] == "measure";
  std::string text = p["models"].dump() + " models of " + p["configurations"].dump() +
                     " configurations, ranked by " + std::to_string(measures) + " measures and " +
                     std::to_string(all - measures) + " baselines";
  Ids axes, left;
  for (const ordered_json& axis : document["axes"]) axes.push_back(axis["name"]);
  text += (axes.empty() ? "" : ", over the axes " + join(axes, ", ")) + ".";
  for (const auto& [reason, count] : p["excluded"].items()) {
    if (count == 0) continue;
    std::string words = reason;
    std::replace(words.begin(), words.end(), '_', ' ');
    left.push_back(count.dump() + " " + words);
  }
  return text + (left.empty() ? "" : " Left out: " + join(left, ", ") + ".");
}

std::string noise_ceiling_text(const ordered_json& ceiling) {
  if (ceiling["tau_b"].is_null())
    return "Noise ceiling not computed: " + ceiling["reason"].get<std::string>() + ".";
  return "Noise ceiling: between the gaps on two halves of the test set, tau-b is " +
         fixed(ceiling["tau_b"]) +
         (ceiling["spearman"].is_null() ? "" : " and Spearman's correlation " + fixed(ceiling["spearman"])) +
         " (" + ceiling["n"].dump() + " models).";
}

ordered_json cliques(const std::vector<double>& mean_rank, double critical_difference) {
  ordered_json list = ordered_json::array();
  for (std::size_t first = 0, end = 0; first < mean_rank.size(); ++first) {
    const std::size_t before = end;  // a run that ends where the last one did is part of it
    while (end < mean_rank.size() && mean_rank[end] - mean_rank[first] <= critical_difference) ++end;
    if (end > before && end - first > 1) list.push_back({first, end - 1});
  }
  return list;
}

std::string comparison_text(const std::string& label, const ordered_json& test, std::size_t ledgers,
                            double level) {
  constexpr std::size_t shown = 3;
  const Ids ids = test["measures"];
  Ids best, runs;
  for (std::size_t i = 0; i < std::min(shown, ids.size()); ++i)
    best.push_back(ids[i] + " " + fixed(test["mean_rank"][i], "%.2f"));
  for (const ordered_json& run : test["cliques"]) {
    const std::size_t first = run[0], last = run[1];
    runs.push_back(ids[first] + (last - first == 1 ? " and " : " to ") + ids[last] +
                   (last - first == 1 ? "" : " (" + std::to_string(last - first + 1) + " measures)"));
  }
  const double p = test["p_value"];
  return label + " over " + std::to_string(ledgers) + " ledgers: best mean ranks of " +
         std::to_string(ids.size()) + " measures " + join(best, ", ") + ". Friedman p " +
         printed(p >= 0.001 || p == 0 ? "%.3f" : "%.1e", p) + "; critical difference " +
         fixed(test["critical_difference"], "%.2f") + " (Nemenyi, " + percent(level) + "). " +
         (runs.empty() ? "All are told apart." : "Not told apart: " + join(runs, "; ") + ".");
}

ordered_json evidence_json(const ordered_json& document, std::size_t gap) {
  ordered_json list = ordered_json::array();
  rows_in_words(document, gap, list);
  using Results = std::vector<std::pair<std::string, const ordered_json*>>;
  Results measures;
  const ordered_json* hyperparameters = nullptr;
  for (const ordered_json& m : document["measures"]) {
    if (m["kind"] == "measure") measures.emplace_back(m["id"], &m["results"][gap]);
    if (m["id"] == "baseline-hyperparameters") hyperparameters = &m["results"][gap];
  }
  const auto add = [&](const char* topic, const std::string& claim, const std::string& after,
                       const std::function<bool(const ordered_json&)>& holds) {
    Ids ids;
    for (const auto& [id, result] : measures)
      if (holds(*result)) ids.push_back(id);
    list.push_back(
        finding(topic, claim + ": " + (ids.empty() ? "none" : join(ids, ", ")) + "." + after, ids));
  };

  const auto band = [](const ordered_json& r) -> const ordered_json& {
    return r["statistics"]["tau_b"]["null"];
  };
  bool tested = false;
  for (const auto& [id, result] : measures) tested = tested || !band(*result).is_null();
  if (tested)
    add("chance",
        "tau-b outside chance after correction for all measures (family-wise p below 0.05, either sign)", "",
        [&](const ordered_json& r) { return !band(r).is_null() && band(r)["p_family"] < alpha; });
  if (hyperparameters && !(*hyperparameters)["tau_b"].is_null()) {
    const double tau = (*hyperparameters)["tau_b"];
    add("hyperparameters",
        "tau-b larger than that of the hyper-parameters alone, out of fold (" + fixed(tau) + ")",
        " The difference is not tested.",
        [&](const ordered_json& r) { return !r["tau_b"].is_null() && r["tau_b"] > tau; });
  }
  if (!document["axes"].empty())
    add("groups", "The sign of tau-b differs between the levels of some axis", "",
        [&](const ordered_json& r) {
          for (const ordered_json& axis : document["axes"])
            if (changes_sign(r["groups"], axis["name"])) return true;
          return false;
        });

  std::vector<std::pair<std::string, std::vector<std::string>>>
      reasons;  // why, and the statistics, in their order
  for (const ordered_json& s : document["statistics"]) {
    const std::string id = s["id"];
    bool absent = !measures.empty();
    for (const auto& [name, result] : measures)
      absent = absent && (*result)["statistics"][id]["value"].is_null();
    if (!absent) continue;
    const ordered_json& given = (*measures.front().second)["statistics"][id]["reason"];
    const std::string reason = given.is_null() ? "no reason given" : given.get<std::string>();
    auto it = reasons.begin();
    while (it != reasons.end() && it->first != reason) ++it;
    if (it == reasons.end()) it = reasons.insert(it, {reason, {}});
    it->second.push_back(s["label"]);
  }
  for (const auto& [reason, labels] : reasons)
    list.push_back(finding("not_computed",
                           "Not computed for any measure, " + reason + ": " + join(labels, "; ") + ".", {}));
  return list;
}

}  // namespace gapbench
