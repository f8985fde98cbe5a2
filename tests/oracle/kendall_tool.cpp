// For test_kendall.py. Each line of stdin is one JSON request:
//   {"x": [...], "y": [...]}                                            -> counts, taus and p-value
//   {"x": [...], "y": [...], "configuration": [...], "resamples": n, "seed": s, "level": l} -> bootstrap interval too
// and each line of stdout its JSON answer.
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "runners/ranking/bootstrap.h"
#include "runners/ranking/kendall.h"

int main() {
  using nlohmann::json;
  const auto or_null = [](const std::optional<double>& v) { return v ? json(*v) : json(nullptr); };
  for (std::string line; std::getline(std::cin, line);) {
    const json request = json::parse(line);
    const auto x = request.at("x").get<std::vector<double>>(), y = request.at("y").get<std::vector<double>>();
    const gapbench::Kendall k = gapbench::kendall(x, y);
    json answer = {{"concordant", k.concordant}, {"discordant", k.discordant},    {"ties_x", k.ties_x},
                   {"ties_y", k.ties_y},         {"ties_both", k.ties_both},      {"tau_a", or_null(k.tau_a)},
                   {"tau_b", or_null(k.tau_b)},  {"p_value", or_null(k.p_value)}, {"p_method", k.p_method}};
    if (request.contains("configuration")) {
      const auto configuration = request.at("configuration").get<std::vector<std::uint32_t>>();
      const auto configurations = *std::max_element(configuration.begin(), configuration.end()) + 1;
      const gapbench::BootstrapDraws draws(configurations, request.at("resamples"), request.at("seed"));
      if (const auto i = gapbench::bootstrap_tau_b(x, y, configuration, draws, request.at("level")))
        answer["interval"] = {i->low, i->high};
    }
    std::cout << answer.dump() << '\n';
  }
}
