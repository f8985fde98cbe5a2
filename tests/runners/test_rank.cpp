// rank(): which rows count, axes, statuses, baselines, notes, errors, and that threads change nothing.
#include <cmath>
#include <map>
#include <set>

#include "measures/api/error.h"
#include "runners/ranking/evidence.h"
#include "runners/ranking/rank.h"
#include "tests/support/catch.h"

using namespace gapbench;
using nlohmann::ordered_json;

namespace {

constexpr const char* small =
    "experiment_id,repeat_id,is.converged,is.high_train_accuracy,hp.lr,hp.width,hp.act,gen.gap,complexity.up,"
    "complexity.down,complexity.flat,complexity.part,complexity.num-params\n"
    "a,0,True,True,0.1,16,relu,0.10,1,9,5,1,100\n"
    "a,1,True,True,0.1,16,relu,0.11,2,8,5,,100\n"
    "b,0,True,True,0.01,16,relu,0.20,3,7,5,inf,200\n"
    "b,1,True,True,0.01,16,relu,0.21,4,6,5,,200\n"
    "c,0,True,True,1,16,relu,0.30,5,5,5,,300\n"
    "c,1,False,True,1,16,relu,0.31,0,0,1,,300\n"
    "d,0,True,False,1,16,relu,0.31,0,0,1,,300\n"
    "e,0,True,True,1,16,relu,,0,0,1,,300\n";

ordered_json ranked(const std::string& csv, RankOptions options = {}) {
  options.resamples = options.resamples == 1000 ? 50 : options.resamples;
  return rank(Table::parse_csv(csv, "t.csv"), options);
}

const ordered_json& measure(const ordered_json& document, const std::string& id) {
  for (const auto& m : document["measures"])
    if (m["id"] == id) return m;
  FAIL("no measure " << id);
  return document;
}

std::string error_of(const std::string& csv, const RankOptions& options) {
  try {
    ranked(csv, options);
  } catch (const InputError& e) {
    return e.what();
  }
  return "no error";
}

void check_contains(const std::string& text, const std::string& part) {
  INFO(text << " | " << part);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("rows that did not converge, fit badly or lack a gap are counted and left out") {
  const ordered_json d = ranked(small);
  CHECK(d["population"]["rows"] == 8);
  CHECK(d["population"]["models"] == 5);
  CHECK(d["population"]["configurations"] == 3);
  CHECK(
      d["population"]["excluded"] ==
      ordered_json({{"not_converged", 1}, {"low_train_accuracy", 1}, {"missing_gap", 1}, {"incomplete", 0}}));
  const auto& up = measure(d, "up")["results"][0];
  CHECK(up["tau_b"] == 1.0);
  CHECK(up["n"] == 5);
  CHECK(up["concordant"] == 10);
  CHECK(measure(d, "down")["results"][0]["tau_b"] == -1.0);
  RankOptions all;
  all.keep_all = true;
  const ordered_json everything = ranked(small, all);
  CHECK(everything["population"]["models"] == 7);
  CHECK(measure(everything, "up")["results"][0]["tau_b"].get<double>() < 1);
}

TEST_CASE("a measure without a tau says why") {
  const ordered_json d = ranked(small);
  const auto& flat = measure(d, "flat")["results"][0];
  CHECK(flat["status"] == "constant-measure");
  CHECK(flat["tau_b"].is_null());
  CHECK(flat["interval"].is_null());
  CHECK(flat["ties"]["measure"] == 10);
  const auto& part = measure(d, "part");
  CHECK(part["results"][0]["status"] == "too-few");
  CHECK(part["counts"]["values"] == 1);
  CHECK(part["counts"]["missing"] == 4);
  CHECK(part["counts"]["infinite"] == 1);
  double last = 2;  // sorted by tau-b
  for (const auto& m : d["measures"]) {
    const auto& tau = m["results"][0]["tau_b"];
    const double value = tau.is_null() ? -2 : tau.get<double>();
    CHECK(value <= last);
    last = value;
  }
}

TEST_CASE("infinite values are missing, or extremes where asked for") {
  const std::string csv = "gen.gap,complexity.m\n1,1\n2,2\n3,3\n4,inf\n0,-inf\n";
  const ordered_json missing = ranked(csv);
  CHECK(measure(missing, "m")["results"][0]["n"] == 3);
  RankOptions extreme;
  extreme.infinite_is_extreme = true;
  const ordered_json kept = ranked(csv, extreme);
  CHECK(measure(kept, "m")["results"][0]["n"] == 5);
  CHECK(measure(kept, "m")["results"][0]["tau_b"] == 1.0);
  CHECK(measure(kept, "m")["counts"]["infinite"] == 2);
}

TEST_CASE("axes are the columns with more than one level, sorted as numbers") {
  const ordered_json d = ranked(small);
  REQUIRE(d["axes"].size() == 1);
  CHECK(d["axes"][0]["name"] == "lr");
  CHECK(d["axes"][0]["column"] == "hp.lr");
  CHECK(d["axes"][0]["levels"] == ordered_json({0.01, 0.1, 1}));
  RankOptions none;
  none.axes = {"nothing.*"};
  CHECK(ranked(small, none)["axes"].empty());
}

TEST_CASE("columns that follow from another axis are no axes of their own, and a note says so") {
  const auto csv = [](bool contrary) {
    std::string text =
        "experiment_id,hp.network,hp.depth,hp.width,hp.widths,hp.lr,hp.steps,gen.gap,complexity.m\n";
    int c = 0;
    for (const char* shape : {"1,16,16", "2,16,16-16", "2,32,32-16"})
      for (const char* lr : {"0.1,100", "0.01,1000"}) {
        ++c;
        text += "c" + std::to_string(c) + ",fcn," + (contrary && c == 1 ? "3,16,16" : shape) + "," + lr +
                "," + std::to_string(c) + "," + std::to_string(c) + "\n";
      }
    return text;
  };
  const auto names = [](const ordered_json& document) {
    std::set<std::string> all;
    for (const auto& axis : document["axes"]) all.insert(axis["name"]);
    return all;
  };
  const ordered_json d = ranked(csv(false));
  CHECK(names(d) == std::set<std::string>{"lr", "widths"});
  CHECK(measure(d, "m")["results"][0]["axes"].size() == 2);
  CHECK(d["protocols"][0]["full_grid"] == true);
  check_contains(d["notes"].dump(), "hp.width follows from hp.widths in every configuration");
  check_contains(d["notes"].dump(), "hp.steps follows from hp.lr");
  // one configuration says otherwise: depth does not follow
  CHECK(names(ranked(csv(true))) == std::set<std::string>{"depth", "lr", "widths"});
  // axes that cross are kept, and so are those with a level of its own for every configuration
  CHECK(names(ranked("hp.a,hp.b,gen.gap,complexity.m\n1,2,1,1\n2,1,2,2\n3,3,3,3\n")) ==
        std::set<std::string>{"a", "b"});
  CHECK(names(ranked("hp.a,hp.b,gen.gap,complexity.m\n1,1,1,1\n1,2,2,2\n2,1,3,3\n2,2,4,4\n")) ==
        std::set<std::string>{"a", "b"});
}

TEST_CASE("one configuration has no intervals, and the note is a sentence") {
  const ordered_json d = ranked("experiment_id,repeat_id,gen.gap,complexity.m\na,0,1,1\na,1,2,3\na,2,3,2\n");
  CHECK(measure(d, "m")["results"][0]["interval"].is_null());
  check_contains(d["notes"].dump(), "There is a single configuration, so there are no bootstrap intervals.");
  CHECK(d["notes"].dump().find("With only") == std::string::npos);
  check_contains(ranked(small)["notes"].dump(), "With only 3 configurations, bootstrap intervals are rough.");
}

TEST_CASE("measures that are not told apart are said as runs with their ends") {
  // ranks 1, 2, 2.5, 4 with a critical difference of 1.5: {1, 2, 2.5} and {2.5, 4}
  ordered_json test = {{"measures", {"a", "b", "c", "d"}},
                       {"mean_rank", {1, 2, 2.5, 4}},
                       {"p_value", 0.0004},
                       {"critical_difference", 1.5}};
  test["cliques"] = cliques({1, 2, 2.5, 4}, 1.5);
  CHECK(test["cliques"] == ordered_json({{0, 2}, {2, 3}}));
  CHECK(comparison_text("Psi", test, 5, 0.05) ==
        "Psi over 5 ledgers: best mean ranks of 4 measures a 1.00, b 2.00, c 2.50. Friedman p 4.0e-04; "
        "critical difference "
        "1.50 (Nemenyi, 5 %). Not told apart: a to c (3 measures); c and d.");
  CHECK(cliques({1, 3, 5}, 0.5).empty());
  CHECK(noise_ceiling_text({{"tau_b", 0.875}, {"spearman", 0.9}, {"n", 6}, {"reason", nullptr}}) ==
        "Noise ceiling: between the gaps on two halves of the test set, tau-b is 0.875 and Spearman's "
        "correlation 0.900 (6 models).");
}

TEST_CASE("the evidence in words is what the numbers of the document say") {
  // `up` orders 12 gaps as they are; `mixed` rises with the gap at lr 1 and falls at lr 2; the axis is half of the gap
  std::string csv = "experiment_id,hp.lr,gen.gap,complexity.up,complexity.mixed,complexity.flat\n";
  for (int i = 0; i < 12; ++i) {
    const int lr = i < 6 ? 1 : 2, gap = i < 6 ? 2 * i + 3 : 2 * i - 8;
    csv += "c" + std::to_string(i) + "," + std::to_string(lr) + "," + std::to_string(gap) + "," +
           std::to_string(gap) + "," + std::to_string(lr == 1 ? gap : -gap) + ",7\n";
  }
  RankOptions options;
  options.permutations = 200;
  const ordered_json d = ranked(csv, options);
  const ordered_json& evidence = d["protocols"][0]["evidence"];
  std::map<std::string, ordered_json> by_topic;
  std::string text;
  for (const ordered_json& e : evidence) {
    by_topic[e["topic"]] = e;
    text += e["text"].get<std::string>() + "\n";
  }
  // an interval contradicts a sign only where one is declared
  check_contains(text, "1 of 3 measures has a 95 % interval above 0: up.\n");
  CHECK(by_topic.at("random")["measures"].empty());
  check_contains(by_topic.at("random")["text"], "The tau-b of a random score falls between −0.");
  options.descriptions["up"].sign = "-";
  check_contains(ranked(csv, options)["protocols"][0]["evidence"][0]["text"],
                 "interval above 0: up. That contradicts the declared sign − of up.");
  options.descriptions.clear();
  check_contains(d["population"]["text"], "12 models of 12 configurations, ranked by 3 measures and ");
  CHECK(by_topic.at("chance")["measures"] == ordered_json({"up"}));
  CHECK(
      by_topic.at("chance")["text"] ==
      "tau-b outside chance after correction for all measures (family-wise p below 0.05, either sign): up.");
  CHECK(by_topic.at("groups")["measures"] == ordered_json({"mixed"}));
  CHECK(by_topic.at("groups")["text"] == "The sign of tau-b differs between the levels of some axis: mixed.");
  ordered_json better = ordered_json::array();
  const double alone = measure(d, "baseline-hyperparameters")["results"][0]["tau_b"];
  for (const auto& m : d["measures"])
    if (m["kind"] == "measure" && !m["results"][0]["tau_b"].is_null() && m["results"][0]["tau_b"] > alone)
      better.push_back(m["id"]);
  REQUIRE_FALSE(better.empty());
  CHECK(by_topic.at("hyperparameters")["measures"] == better);
  check_contains(by_topic.at("hyperparameters")["text"], "up");
  check_contains(by_topic.at("hyperparameters")["text"], ". The difference is not tested.");
  check_contains(text,
                 "Not computed for any measure, needs a full grid: 10 of 12 items repeat a combination of "
                 "levels: PGDL.");
  // without axes nothing is said of groups or hyper-parameters
  options.axes = {"nothing.*"};
  const ordered_json without = ranked(csv, options);
  CHECK_FALSE(without["protocols"][0]["evidence"].empty());
  for (const ordered_json& e : without["protocols"][0]["evidence"]) {
    CHECK(e["topic"] != "groups");
    CHECK(e["topic"] != "hyperparameters");
  }
}

TEST_CASE("the bootstrap draws configurations: two rows of one are never parted") {
  // within a configuration the order is wrong, between configurations right
  std::string csv = "experiment_id,gen.gap,complexity.m\n";
  for (int c = 0; c < 6; ++c)
    for (int s = 0; s < 2; ++s)
      csv += "c" + std::to_string(c) + "," + std::to_string(10 * c + s) + "," + std::to_string(10 * c - s) +
             "\n";
  RankOptions options;
  options.resamples = 500;
  options.level = 0.999;
  const ordered_json by_configuration = ranked(csv, options);
  CHECK(by_configuration["bootstrap"]["resamples"] == 500);
  CHECK(by_configuration["population"]["configurations"] == 6);
  const auto& interval = measure(by_configuration, "m")["results"][0]["interval"];
  const double tau = measure(by_configuration, "m")["results"][0]["tau_b"];
  CHECK(tau == Approx((66 - 12) / 66.0));  // 6 discordant pairs of 66
  CHECK(interval["low"].get<double>() <= tau);
  CHECK(interval["high"].get<double>() >= interval["low"].get<double>());
  options.configuration = "gen.gap";  // every row by itself
  const ordered_json by_row = ranked(csv, options);
  CHECK(by_row["population"]["configurations"] == 12);
  CHECK(measure(by_row, "m")["results"][0]["interval"]["high"] ==
        1.0);                                   // a resample may miss all wrong pairs
  CHECK(interval["high"].get<double>() < 1.0);  // whole configurations bring theirs
}

TEST_CASE("baselines are there; the oracle is the gap with noise of the stated size") {
  std::string csv = "gen.gap,complexity.num-params\n";
  for (int i = 0; i < 400; ++i) csv += std::to_string(0.5 * i / 400) + "," + std::to_string(i % 7) + "\n";
  RankOptions options;
  options.resamples = 0;
  const ordered_json d = ranked(csv, options);
  std::set<std::string> baselines;
  for (const auto& m : d["measures"])
    if (m["kind"] == "baseline") baselines.insert(m["id"]);
  CHECK(baselines == std::set<std::string>{"baseline-random", "baseline-oracle-0.02", "baseline-oracle-0.05",
                                           "num-params"});
  const auto& random = measure(d, "baseline-random")["results"][0];
  CHECK(std::abs(random["tau_b"].get<double>()) < 0.01);  // median of 1,000 draws
  // the band of independent orders is +-1.96 sqrt(2 (2 n + 5) / (9 n (n - 1)))
  const double half = 1.96 * std::sqrt(2 * 805.0 / (9 * 400 * 399));
  CHECK(random["null_band"]["high"].get<double>() == Approx(half).epsilon(0.2));
  CHECK(random["null_band"]["low"].get<double>() == Approx(-half).epsilon(0.2));
  // gap uniform on [0, 1/2] with normal noise s: P(discordant) = E[Phi(-|d| / (s sqrt 2))], d triangular on [0, 1/2]
  for (const double s : {0.02, 0.05}) {
    double discordant = 0;
    const int steps = 4000;
    for (int i = 0; i < steps; ++i) {
      const double u = (i + 0.5) / steps;  // |d| / 0.5 has density 2 (1 - u)
      discordant += 2 * (1 - u) * 0.5 * std::erfc(0.5 * u / (2 * s)) / steps;
    }
    const auto& m = measure(d, s < 0.03 ? "baseline-oracle-0.02" : "baseline-oracle-0.05");
    CHECK(m["results"][0]["tau_b"].get<double>() == Approx(1 - 2 * discordant).margin(0.03));
  }
}

TEST_CASE("declared signs are compared with what is found") {
  RankOptions options;
  options.descriptions["up"] = {"Up", "family", "-", "formula", "source"};
  options.descriptions["down"] = {"Down", "family", "-", "formula", "source"};
  const ordered_json d = ranked(small, options);
  CHECK(measure(d, "up")["results"][0]["agrees_with_sign"] == false);
  CHECK(measure(d, "down")["results"][0]["agrees_with_sign"] == true);
  CHECK(measure(d, "flat")["results"][0]["agrees_with_sign"].is_null());
  CHECK(measure(d, "up")["name"] == "Up");
}

TEST_CASE("wrong options and tables are errors that name the thing") {
  RankOptions options;
  options.gaps = {"gen.gpa"};
  check_contains(error_of(small, options), "t.csv: no column 'gen.gpa'; did you mean 'gen.gap'?");
  options = {};
  options.measures = {"complexity.upp"};
  check_contains(error_of(small, options),
                 "no column matches the measure pattern 'complexity.upp'; did you mean 'complexity.up'?");
  options = {};
  options.configuration = "experiment";
  check_contains(error_of(small, options), "no column 'experiment'");
  check_contains(error_of("a,complexity.m\n1,2\n", {}),
                 "t.csv has no column gen.gap; name the column of the gap with --gap");
  check_contains(error_of("gen.gap,complexity.m\n1,2\n2,x\n", {}),
                 "row 2, column 'complexity.m': expected a number, found 'x'");
  check_contains(error_of("gen.gap,complexity.m\n,2\n,3\n", {}),
                 "t.csv: none of its 2 rows can be ranked: none has a finite gap (column gen.gap)");
}

TEST_CASE("the number of threads changes no byte") {
  std::string csv = "experiment_id,gen.gap,gen.gap_loss,complexity.a,complexity.b,complexity.c\n";
  for (int i = 0; i < 60; ++i)
    csv += std::to_string(i / 3) + "," + std::to_string(i * 37 % 61) + "," + std::to_string(i * 13 % 17) +
           "," + std::to_string(i * 7 % 23) + "," + std::to_string(i % 5) + "," +
           std::to_string(i * i % 101) + "\n";
  RankOptions options;
  options.threads = 1;
  const std::string one = ranked(csv, options).dump();
  for (const int threads : {2, 5}) {
    options.threads = threads;
    CHECK(ranked(csv, options).dump() == one);
  }
  options.random_seed = 1;
  CHECK(ranked(csv, options).dump() != one);
}
