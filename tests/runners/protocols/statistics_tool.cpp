// statistics_tool: reads one JSON request a line from stdin, writes one JSON answer a line, for the Python oracle.
#include <iostream>
#include <nlohmann/json.hpp>

#include "measures/api/error.h"
#include "runners/ranking/correlation.h"
#include "runners/ranking/friedman.h"
#include "runners/ranking/multiplicity.h"
#include "runners/ranking/prediction.h"
#include "runners/ranking/rank.h"
#include "runners/ranking/robust_rmse.h"
#include "runners/ranking/weighted_tau.h"

using namespace gapbench;
using nlohmann::json;

namespace {

json or_null(const std::optional<double>& v) {
  return v ? json(*v) : json(nullptr);
}

json correlations(const json& request) {
  const auto x = request["x"].get<std::vector<double>>(), y = request["y"].get<std::vector<double>>();
  const Kendall k = kendall(x, y);
  json answer = {{"tau_a", or_null(k.tau_a)},
                 {"tau_b", or_null(k.tau_b)},
                 {"tau_c", or_null(tau_c(k, dense_ranks(x).distinct, dense_ranks(y).distinct))},
                 {"p_value", or_null(k.p_value)},
                 {"pearson", or_null(pearson(x, y))},
                 {"spearman", or_null(spearman(x, y))}};
  for (const bool additive : {true, false})
    for (const auto& [name, rank] :
         {std::pair{"both", ImportanceRank::both}, std::pair{"x", ImportanceRank::by_x},
          std::pair{"input", ImportanceRank::input_order}})
      answer[std::string("weighted_") + name + (additive ? "_add" : "_mul")] =
          or_null(weighted_tau(x, y, {rank, additive, {}}));
  return answer;
}

json robust(const json& request) {
  const auto r = robust_rmse(request["x"].get<std::vector<double>>(), request["y"].get<std::vector<double>>(),
                             request["groups"].get<Groups>());
  return {{"rmse", r->rmse}, {"baseline", r->baseline}, {"w", r->w}, {"b", r->b}};
}

json predict(const json& request) {
  const auto gap = request["y"].get<std::vector<double>>();
  const auto configuration = request["configuration"].get<std::vector<std::uint32_t>>();
  Design d;
  for (const auto& axis : request["axes"])
    d.axes.push_back({"", axis["levels"], axis["level"].get<std::vector<std::uint32_t>>()});
  d.items = d.axes.front().level.size();
  const auto by_configuration = configuration_folds(d.items, request["folds"], 1);
  std::vector<std::uint32_t> fold;
  for (const std::uint32_t c : configuration) fold.push_back(by_configuration[c]);
  const Features levels = level_features(d, configuration),
                 both = with_rank(levels, request["x"].get<std::vector<double>>());
  json answer = {{"fold", fold}, {"in_sample", in_sample(both, gap)}};
  for (const auto& [name, features] : {std::pair{"levels", &levels}, std::pair{"both", &both}}) {
    const OutOfFold fit = out_of_fold(*features, gap, fold);
    const PredictionScore s = score(fit, gap);
    answer[name] = {{"prediction", fit.prediction}, {"r2", *s.r2}, {"mae", s.mae}};
  }
  return answer;
}

json many(const json& request) {
  const auto f = friedman(request["score"].get<std::vector<std::vector<double>>>());
  std::vector<std::optional<double>> p;
  for (const double v : request["p"]) p.push_back(v);
  json q = json::array(), ranges = json::array();
  for (const auto& v : benjamini_hochberg(p)) q.push_back(*v);
  for (std::size_t k = 2; k < 40; k += 6) ranges.push_back(range_quantile(k, 0.05));
  return {{"chi2", f->chi2}, {"p", f->p_value}, {"mean_rank", f->mean_rank}, {"cd", f->critical_difference},
          {"q", q},          {"ranges", ranges}};
}

json rank_csvs(const json& request) {
  std::vector<nlohmann::ordered_json> rankings;
  RankOptions options;
  options.resamples = options.permutations = request.value("draws", 40);
  options.complete_cases = request.value("complete_cases", false);
  options.infinite_is_extreme = request.value("inf_is_extreme", false);
  options.axes = request.value("axes", options.axes);
  options.halves = request.value("halves", options.halves);
  options.threads = request.value("threads", 0);
  try {
    for (const std::string csv : request["csv"]) {
      options.title = "ledger " + std::to_string(rankings.size());
      rankings.push_back(rank(Table::parse_csv(csv, "ledger"), options));
    }
    if (rankings.size() > 1) rankings.front()["comparison"] = compare_rankings(rankings);
  } catch (const InputError& e) {
    return {{"error", e.what()}};
  }
  return json(rankings.front());
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const json request = json::parse(line);
    std::cout << (request.contains("csv")      ? rank_csvs(request)
                  : request.contains("folds")  ? predict(request)
                  : request.contains("score")  ? many(request)
                  : request.contains("groups") ? robust(request)
                                               : correlations(request))
              << "\n";
  }
}
