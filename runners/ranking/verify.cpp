#include "runners/ranking/verify.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "measures/api/error.h"
#include "pgdl_task1.embedded.h"
#include "runners/ranking/correlation.h"
#include "runners/ranking/rank.h"
#include "runners/ranking/sign_error.h"
#include "runners/ranking/weighted_tau.h"
#include "weight_correlation_cifar10.embedded.h"

namespace gapbench {

using nlohmann::ordered_json;

namespace {

using Values = std::vector<double>;

void add(std::vector<VerifyRow>& rows, std::string what, double published,
         const std::optional<double>& computed, double tolerance) {
  const double value = computed.value_or(std::numeric_limits<double>::infinity());
  rows.push_back({std::move(what), published, value, tolerance, std::abs(value - published) <= tolerance});
}

void scipy_tables(std::vector<VerifyRow>& rows) {
  struct Case {
    const char* name;
    Values x, y;
    double tau_b, p;
  };
  const Values ten = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<Case> cases = {
      {"8 items", {5, 2, 1, 3, 6, 4, 7, 8}, {5, 2, 6, 3, 1, 8, 7, 4}, 0, 1},
      {"7 items", {5, 2, 1, 3, 6, 4, 7}, {5, 2, 6, 3, 1, 7, 4}, -0.14285714286, 0.77261904762},
      {"other 7 items", {2, 1, 3, 6, 4, 7, 8}, {2, 6, 3, 1, 8, 7, 4}, 0.047619047619, 1},
      {"10 in order", ten, ten, 1, 5.511463844797e-07},
      {"10, one swap", ten, {0, 2, 1, 3, 4, 5, 6, 7, 8, 9}, 0.9555555555555556, 5.511463844797e-06},
      {"10, two swaps", ten, {0, 2, 1, 3, 4, 6, 5, 7, 8, 9}, 0.9111111111111111, 2.976190476190e-05},
      {"5 with ties", {12, 2, 1, 12, 2}, {1, 4, 7, 1, 0}, -0.47140452079103173, 0.28274545993277}};
  for (const Case& c : cases) {
    const Kendall k = kendall(c.x, c.y);
    add(rows, std::string("Kendall, ") + c.name + ": tau-b", c.tau_b, k.tau_b, 1e-10);
    add(rows, std::string("Kendall, ") + c.name + ": p", c.p, k.p_value, 1e-10);
  }
  const Values &x = cases.back().x, &y = cases.back().y;
  add(rows, "Kendall, 5 with ties: tau-a", -0.4, kendall(x, y).tau_a, 1e-12);
  add(rows, "Kendall, 5 with ties: tau-c", -0.48, tau_c(kendall(x, y), 3, 4), 1e-12);
  add(rows, "weighted tau, 5 with ties", -0.5669496815368272, weighted_tau(x, y), 1e-12);
  add(rows, "weighted tau, multiplicative", -0.6220571695180104,
      weighted_tau(x, y, {ImportanceRank::both, false, {}}), 1e-12);
}

void nine_networks(std::vector<VerifyRow>& rows) {
  const Table table = Table::parse_csv(embedded::weight_correlation_cifar10(), "nine networks");
  const auto column = [&](const std::string& name) {
    Values v;
    for (std::size_t r = 0; r < table.rows(); ++r) v.push_back(*table.number(r, table.at(name)));
    return v;
  };
  const Values gap = column("gen.gap");
  for (const auto& [name, tau] : {std::pair{"pfn", 6.0},
                                  {"psn", 6.0},
                                  {"nop", 8.0},
                                  {"sosp", 16.0},
                                  {"wc", 12.0},
                                  {"pb", 12.0},
                                  {"g", 12.0},
                                  {"pbc", 22.0}})
    add(rows, std::string("nine networks, ") + name + ": tau", tau / 36,
        kendall(column(std::string("complexity.") + name), gap).tau_a, 1e-12);
}

RankOptions plain_options() {
  RankOptions options;
  options.resamples = options.permutations = 0;
  return options;
}

std::optional<double> statistic(const ordered_json& document, const std::string& measure, const char* id) {
  for (const ordered_json& m : document["measures"])
    if (m["id"] == measure) {
      const ordered_json& v = m["results"][0]["statistics"][id]["value"];
      if (v.is_number()) return v.get<double>();
    }
  return std::nullopt;
}

void pgdl(std::vector<VerifyRow>& rows) {
  const Table table = Table::parse_csv(embedded::pgdl_task1(), "PGDL task 1");
  const ordered_json document = rank(table, plain_options());
  struct Published {
    const char* measure;
    double score, pearson, tau_b, spearman, psi, k;
  };
  // the first two to the 12 decimals published, the others as computed apart from gapbench
  for (const Published& p :
       {Published{"vpm_1", 0.060700993773, 0.657140412705, 0.5004385965, 0.667173, 0.3958333, 0.057475},
        {"vpm_80", 0.056105256539, 0.680144358142, 0.5035087719, 0.676858, 0.4097222, 0.052297},
        {"vr", 0.093162888051, 0.697525388471, 0.5442982456, 0.715247, 0.4791667, 0.087400},
        {"wcv", 0.277451042877, 0.896790453243, 0.7855263158, 0.939881, 0.5451389, 0.271096}}) {
    const auto check = [&](const char* label, const char* id, double published, double tolerance) {
      add(rows, std::string("PGDL task 1, ") + p.measure + ": " + label, published,
          statistic(document, p.measure, id), tolerance);
    };
    check("PGDL score", "pgdl", p.score, 6e-13);
    check("Pearson", "pearson", p.pearson, 6e-13);
    check("tau-b", "tau_b", p.tau_b, 6e-11);
    check("Spearman", "spearman", p.spearman, 6e-7);
    check("Psi", "psi", p.psi, 6e-8);
    check("Jiang's K", "jiang_k", p.k, 6e-7);
  }
}

void small_environments(std::vector<VerifyRow>& rows) {
  struct Case {
    const char* name;
    Values gap, x;
    std::vector<std::uint32_t> configuration;
    double weight, squares, ess, loss;
  };
  for (const Case& c : {Case{"3 and 2 runs",
                             {.10, .12, .09, .20, .18},
                             {1.0, 1.2, 0.9, 2.0, 1.8},
                             {0, 0, 0, 1, 1},
                             2.99999993908,
                             1.49999993908,
                             6,
                             0},
                        {"2 and 2 runs", {.10, .11, .30, .31}, {1, 2, 3, 4}, {0, 0, 1, 1}, 2, 1, 4, 0},
                        {"3 and 3 runs",
                         {.100, .110, .118, .120, .125, .140},
                         {1, 5, 2, 3, 3, 0},
                         {0, 0, 0, 1, 1, 1},
                         1.4945535037,
                         0.5988302484,
                         3.7300890887,
                         0.7565189177}}) {
    Design d;
    d.items = 2;
    d.axes.push_back({"axis", 2, {0, 1}});
    const Runs runs = Runs::from(c.gap, c.configuration, 2);
    const Environments environments(axis_pairs(d), runs, {});
    const Environment& e = environments.all()[0];
    const std::string name = std::string("environment, ") + c.name;
    add(rows, name + ": sum of weights", c.weight, e.weight, 6e-11);
    add(rows, name + ": sum of squares", c.squares, e.weight_squares, 6e-11);
    add(rows, name + ": effective sample size", c.ess, e.ess, 6e-10);
    add(rows, name + ": sign error", c.loss, environments.losses(c.x)[0], 6e-11);
  }
}

bool is_missing(const std::string& cell) {
  static constexpr std::array names = {"", "nan", "NaN", "NA", "inf", "-inf"};
  return std::find(names.begin(), names.end(), cell) != names.end();
}

// The ledger as the published code reads it: a plain spectral column goes where its _fft twin is there, learning rates are
// rounded, the size of the training set is the column without a prefix, rows with any cell missing or infinite go, and a
// configuration is its hyper-parameters, whatever its experiment_id.
Table as_published(const Table& ledger) {
  const bool size = ledger.has("train_dataset_size");
  std::vector<std::size_t> kept;
  std::vector<std::string> columns;
  for (std::size_t c = 0; c < ledger.columns().size(); ++c) {
    const std::string& name = ledger.columns()[c];
    if (ledger.has(name + "_fft") || (size && name == "hp.train_dataset_size") || name == "repeat_id" ||
        name == "published_configuration")
      continue;
    kept.push_back(c);
    columns.push_back(size && name == "train_dataset_size" ? "hp.train_size" : name);
  }
  columns.emplace_back("published_configuration");
  Table table(columns, ledger.source());
  for (std::size_t r = 0; r < ledger.rows(); ++r) {
    std::vector<std::string> cells;
    std::string configuration;
    bool complete = true;
    for (std::size_t k = 0; k < kept.size(); ++k) {
      const auto lr = columns[k] == "hp.lr" ? ledger.number(r, kept[k]) : std::nullopt;
      cells.push_back(lr ? number_text(std::round(*lr * 1e4) / 1e4) : ledger.cell(r, kept[k]));
      if (columns[k].rfind("hp.", 0) == 0) configuration += cells.back() + " ";
      complete = complete && !is_missing(cells.back());
    }
    cells.push_back(configuration);
    if (complete) table.add_row(std::move(cells));
  }
  return table;
}

}  // namespace

std::vector<VerifyRow> verify_published() {
  std::vector<VerifyRow> rows;
  scipy_tables(rows);
  nine_networks(rows);
  pgdl(rows);
  small_environments(rows);
  return rows;
}

std::vector<VerifyRow> verify_dziugaite(const Table& ledger) {
  for (const char* column : {"hp.lr", "gen.gap", "is.converged", "is.high_train_accuracy"}) ledger.at(column);
  RankOptions options = plain_options();
  options.gaps = {"gen.gap"};
  options.complete_cases = true;
  options.configuration = "published_configuration";
  options.min_ess = 12;
  const ordered_json document = rank(as_published(ledger), options);
  std::vector<VerifyRow> rows;
  const ordered_json& environments = document["protocols"][0]["environments"];
  // each environment counts once here and in both directions there
  add(rows, "environments, all axes", 9242, 2 * environments["kept"].get<double>(), 0);
  for (const auto& [word, count] :
       {std::pair{"lr", 2418.0}, {"depth", 2538.0}, {"width", 328.0}, {"size", 2972.0}, {"dataset", 986.0}})
    for (const ordered_json& axis : environments["axes"])
      if (axis["axis"].get<std::string>().find(word) != std::string::npos)
        add(rows, "environments along " + axis["axis"].get<std::string>(), count,
            2 * axis["kept"].get<double>(), 0);
  const std::vector<std::pair<const char*, double>> means = {{"pacbayes_orig", .09718},
                                                             {"pacbayes_flatness", .10243},
                                                             {"pacbayes_init", .10625},
                                                             {"path_norm_over_margin", .12170},
                                                             {"pacbayes_mag_flatness", .12614},
                                                             {"path_norm", .12736},
                                                             {"fro_dist", .14035},
                                                             {"log_sum_of_fro", .16159},
                                                             {"param_norm", .17876},
                                                             {"log_sum_of_fro_over_margin", .18568},
                                                             {"log_prod_of_fro_over_margin", .29856},
                                                             {"log_prod_of_fro", .30133},
                                                             {"log_sum_of_spec_fft", .30341},
                                                             {"fro_over_spec_fft", .31152},
                                                             {"inverse_margin", .32957},
                                                             {"log_sum_of_spec_over_margin_fft", .33490},
                                                             {"dist_spec_init_fft", .37458},
                                                             {"pacbayes_mag_orig", .40706},
                                                             {"pacbayes_mag_init", .41733},
                                                             {"params", .43341},
                                                             {"log_spec_orig_main_fft", .55063},
                                                             {"log_spec_init_main_fft", .56135},
                                                             {"log_prod_of_spec_fft", .59647},
                                                             {"log_prod_of_spec_over_margin_fft", .61854}};
  double previous = -1;
  bool ordered = true;
  for (const auto& [measure, mean] : means) {
    const auto computed = statistic(document, measure, "sign_error_mean");
    add(rows, std::string("mean sign error, ") + measure, mean, computed, 6e-6);
    ordered = ordered && computed && *computed >= previous;
    previous = computed.value_or(previous);
  }
  add(rows, "order of the measures by mean sign error (1 = as published)", 1, ordered ? 1 : 0, 0);
  return rows;
}

}  // namespace gapbench
