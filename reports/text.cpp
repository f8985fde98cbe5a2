#include "reports/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gapbench::reports {

std::string fixed(const Document& value, int decimals) {
  if (value.is_null()) return "";
  std::string text = fmt::format("{:.{}f}", value.get<double>(), decimals);
  if (text.find_first_not_of("-0.") == std::string::npos && text[0] == '-') text.erase(0, 1);
  return text;
}

std::string p_text(const Document& value) {
  if (value.is_null()) return "";
  const double p = value;
  return p >= 0.001 || p == 0 ? fixed(value, 3) : fmt::format("{:.1e}", p);
}

std::string interval_text(const Document& interval) {
  if (interval.is_null()) return "";
  return "[" + fixed(interval["low"], 3) + ", " + fixed(interval["high"], 3) + "]";
}

std::string population_sentence(const Document& ranking) {
  const Document& p = ranking["population"];
  const auto measures = std::count_if(ranking["measures"].begin(), ranking["measures"].end(),
                                      [](const Document& m) { return m["kind"] == "measure"; });
  std::string text = fmt::format("{} models of {} configurations, ranked by {} measures and {} baselines",
                                 p["models"].dump(), p["configurations"].dump(), measures,
                                 static_cast<std::ptrdiff_t>(ranking["measures"].size()) - measures);
  if (!ranking["axes"].empty()) {
    std::string axes;
    for (const Document& a : ranking["axes"])
      axes += (axes.empty() ? "" : ", ") + a["name"].get<std::string>();
    text += ", over the axes " + axes;
  }
  text += ".";
  std::string left;
  for (const auto& [reason, count] : p["excluded"].items()) {
    if (count == 0) continue;
    std::string words = reason;
    std::replace(words.begin(), words.end(), '_', ' ');
    left += (left.empty() ? "" : ", ") + count.dump() + " " + words;
  }
  if (!left.empty()) text += " Left out: " + left + ".";
  return text;
}

std::vector<std::string> evidence(const Document& ranking, std::size_t gap) {
  std::vector<std::string> sentences;
  std::vector<std::string> positive, negative;
  std::size_t ranked = 0;
  Document band = nullptr;
  double best_size = -2;
  std::string size_id;
  for (const Document& m : ranking["measures"]) {
    const Document& r = m["results"][gap];
    if (!r["null_band"].is_null()) band = r["null_band"];
    if (m["kind"] == "baseline" && m["id"].get<std::string>().rfind("baseline-", 0) != 0 &&
        !r["tau_b"].is_null() && r["tau_b"].get<double>() > best_size) {
      best_size = r["tau_b"];
      size_id = m["id"];
    }
    if (m["kind"] != "measure") continue;
    ++ranked;
    if (r["interval"].is_null()) continue;
    if (r["interval"]["low"].get<double>() > 0) positive.push_back(m["id"]);
    if (r["interval"]["high"].get<double>() < 0) negative.push_back(m["id"]);
  }
  const auto have = [](auto count) { return count == 1 ? "has" : "have"; };
  const auto join = [](const std::vector<std::string>& ids) {
    return fmt::format("{}", fmt::join(ids, ", "));
  };
  const std::string level = fmt::format("{:g} %", 100 * ranking["bootstrap"]["level"].get<double>());
  if (positive.empty() && negative.empty())
    sentences.push_back(
        fmt::format("No {} interval of the {} measures leaves out 0: these models do not tell the measures "
                    "from no association.",
                    level, ranked));
  if (!positive.empty())
    sentences.push_back(fmt::format("{} of {} measures {} a {} interval above 0: {}.", positive.size(),
                                    ranked, have(positive.size()), level, join(positive)));
  if (!negative.empty())
    sentences.push_back(fmt::format(
        "{} of {} measures {} a {} interval below 0, which is the wrong way round for a measure that "
        "claims +: {}.",
        negative.size(), ranked, have(negative.size()), level, join(negative)));
  if (!band.is_null())
    sentences.push_back(fmt::format("A random score falls between {} and {} in {} of draws.",
                                    fixed(band["low"], 3), fixed(band["high"], 3), level));
  if (best_size > -2) {
    const auto above =
        std::count_if(ranking["measures"].begin(), ranking["measures"].end(), [&](const Document& m) {
          return m["kind"] == "measure" && !m["results"][gap]["tau_b"].is_null() &&
                 m["results"][gap]["tau_b"].get<double>() > best_size;
        });
    sentences.push_back(
        fmt::format("The number of weights alone ({}) has tau-b {}; {} of {} measures {} a larger one.",
                    size_id, fixed(Document(best_size), 3), above, ranked, have(above)));
  }
  if (ranked > 1)
    sentences.push_back(fmt::format(
        "The intervals are for one measure at a time: among {} of them, some leave out 0 by chance.",
        ranked));
  // a document of an earlier version has none
  if (ranking.contains("protocols") && ranking["protocols"][gap].contains("evidence"))
    for (const Document& finding : ranking["protocols"][gap]["evidence"])
      sentences.push_back(finding["text"].get<std::string>());
  return sentences;
}

std::string noise_ceiling_sentence(const Document& ranking, std::size_t gap) {
  const Document& c = ranking["protocols"][gap]["noise_ceiling"];
  if (c["tau_b"].is_null())
    return "Noise ceiling not computed: " +
           (c["reason"].is_null() ? "no reason given" : std::string(c["reason"])) + ".";
  return fmt::format("Noise ceiling: between the gaps on two halves of the test set, tau-b is {}{} ({} models).",
                     fixed(c["tau_b"], 3),
                     c["spearman"].is_null() ? "" : " and Spearman's correlation " + fixed(c["spearman"], 3),
                     c["n"].dump());
}

std::string level_text(const Document& level) {
  return level.is_string() ? level.get<std::string>() : level.is_null() ? "none" : level.dump();
}

Document comparisons(const Document& ranking, std::size_t gap) {
  Document all = Document::array();
  if (!ranking.contains("comparison")) return all;
  const Document& comparison = ranking["comparison"];
  for (const Document& test : comparison["tests"]) {
    if (test["gap"] != ranking["gaps"][gap]["id"]) continue;
    std::vector<std::size_t> order(test["measures"].size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return test["mean_rank"][a].get<double>() < test["mean_rank"][b].get<double>();
    });
    std::vector<std::string> ids, ranked, groups;
    std::vector<double> ranks;
    for (const std::size_t i : order) {
      ids.push_back(test["measures"][i]);
      ranks.push_back(test["mean_rank"][i]);
      ranked.push_back(ids.back() + " " + fixed(test["mean_rank"][i], 2));
    }
    const double difference = test["critical_difference"];
    Document cliques = Document::array();
    for (std::size_t first = 0, end = 0; first < ids.size(); ++first) {
      const std::size_t before = end;  // a run that ends where the last one did is part of it
      while (end < ids.size() && ranks[end] - ranks[first] <= difference) ++end;
      if (end == before || end - first < 2) continue;
      cliques.push_back({first, end - 1});
      groups.push_back(fmt::format("{}", fmt::join(ids.begin() + static_cast<std::ptrdiff_t>(first),
                                                   ids.begin() + static_cast<std::ptrdiff_t>(end), ", ")));
    }
    std::string label = test["statistic"];
    for (const Document& s : ranking["statistics"])
      if (s["id"] == label) label = std::string(s["label"]);
    const std::string sentence = fmt::format(
        "{} over {} ledgers: mean ranks {}. Friedman p {}; critical difference {} (Nemenyi, {:g} %). {}.",
        label, comparison["ledgers"].size(), fmt::join(ranked, ", "), p_text(test["p_value"]),
        fixed(difference, 2), 100 * comparison["alpha"].get<double>(),
        groups.empty() ? "All are told apart" : fmt::format("Not told apart: {}", fmt::join(groups, "; ")));
    all.push_back({{"statistic", label},
                   {"sentence", sentence},
                   {"measures", ids},
                   {"mean_rank", ranks},
                   {"critical_difference", difference},
                   {"cliques", cliques}});
  }
  return all;
}

}  // namespace gapbench::reports
