#include "runners/ranking/rank.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "measures/api/error.h"
#include "measures/api/suggest.h"
#include "measures/numerics/philox.h"
#include "runners/ranking/baselines.h"
#include "runners/ranking/bootstrap.h"
#include "runners/ranking/correlation.h"
#include "runners/ranking/evidence.h"
#include "runners/ranking/friedman.h"
#include "runners/ranking/kendall.h"
#include "runners/ranking/parallel.h"
#include "runners/ranking/protocol_document.h"

namespace gapbench {

using nlohmann::ordered_json;

namespace {

constexpr double missing = std::numeric_limits<double>::quiet_NaN();
constexpr int random_redraws = 1000;
constexpr std::size_t baseline_folds = 10;

struct Gap {
  std::string id, column, label, unit;
  std::vector<double> values;  // of the ranked models
  bool accuracy = true;        // a difference of shares of test points: Hoeffding's inequality holds
};

struct Candidate {
  std::string id, column, kind = "measure";
  std::int64_t infinite = 0, censored = 0;
  std::vector<std::vector<double>>
      values;  // per gap (baselines differ by gap), NaN = missing; one entry if all alike
  const std::vector<double>& for_gap(std::size_t g) const { return values[values.size() == 1 ? 0 : g]; }
};

ordered_json finite_or_null(double v) {
  return std::isfinite(v) ? ordered_json(v) : ordered_json(nullptr);
}

ordered_json or_null(const std::optional<double>& v) {
  return v ? ordered_json(*v) : ordered_json(nullptr);
}

std::size_t distinct(const std::vector<double>& values) {
  std::set<double> seen;
  for (const double v : values)
    if (!std::isnan(v)) seen.insert(v);
  return seen.size();
}

std::vector<Gap> find_gaps(const Table& table, const RankOptions& options) {
  std::vector<std::string> columns = options.gaps;
  if (columns.empty())
    for (const char* known : {"gen.gap", "gen.gap_loss"})
      if (table.has(known)) columns.emplace_back(known);
  if (columns.empty())
    throw InputError(table.source() + " has no column gen.gap; name the column of the gap with --gap" +
                     suggestion("gen.gap", table.columns()));
  std::vector<Gap> gaps;
  for (const std::string& column : columns) {
    table.at(column);
    if (column == "gen.gap")
      gaps.push_back({"gap_error", column, "test error − train error", "fraction", {}});
    else if (column == "gen.gap_loss")
      gaps.push_back({"gap_loss", column, "test − train cross-entropy", "nats", {}, false});
    else
      gaps.push_back({column, column, column, "", {}});
  }
  return gaps;
}

bool has_suffix(const std::string& text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

std::vector<std::string> find_measures(const Table& table, const RankOptions& options,
                                       const std::vector<Gap>& gaps) {
  std::vector<std::string> columns;
  for (const std::string& pattern : options.measures) {
    auto found = table.matching(pattern);
    if (found.empty()) found = table.matching("complexity." + pattern);  // an id, as other verbs take it
    if (found.empty())
      throw InputError(table.source() + ": no column matches the measure pattern '" + pattern + "'" +
                       suggestion(pattern, table.columns()));
    for (const std::string& c : found) {
      const bool is_gap = std::any_of(gaps.begin(), gaps.end(), [&](const Gap& g) { return g.column == c; });
      if (!is_gap && !has_suffix(c, ".censored") &&
          std::find(columns.begin(), columns.end(), c) == columns.end())
        columns.push_back(c);
    }
  }
  return columns;
}

std::string strip(const std::string& text, std::string_view prefix) {
  return text.compare(0, prefix.size(), prefix) == 0 ? text.substr(prefix.size()) : text;
}

// A cell of an axis: a number where it is one, else its text; null where missing.
ordered_json level_of(const Table& table, std::size_t row, std::size_t column) {
  const std::string& text = table.cell(row, column);
  if (text.empty()) return nullptr;
  if (text == "true" || text == "True") return true;
  if (text == "false" || text == "False") return false;
  try {
    const auto number = table.number(row, column);
    if (!number || !std::isfinite(*number)) return text;
    if (*number == std::floor(*number) && std::abs(*number) < 1e15) return static_cast<std::int64_t>(*number);
    return *number;
  } catch (const InputError&) {
    return text;
  }
}

bool level_less(const ordered_json& a, const ordered_json& b) {
  if (a.is_number() && b.is_number()) return a.get<double>() < b.get<double>();
  if (a.is_number() != b.is_number()) return a.is_number();
  return a.dump() < b.dump();
}

struct Population {
  std::vector<std::size_t> rows;             // of the table, ranked
  std::vector<std::uint32_t> configuration;  // index per ranked row
  std::vector<std::string> configuration_names;
  std::int64_t not_converged = 0, low_train_accuracy = 0, missing_gap = 0, incomplete = 0;
  bool unfiltered = false;  // no row passed the filters: all are ranked, with a note
};

Population select_rows(const Table& table, const RankOptions& options, const std::vector<Gap>& gaps,
                       const std::vector<std::string>& measures) {
  Population p;
  const auto flag_column = [&](const char* name) {
    return options.keep_all ? std::nullopt : table.find(name);
  };
  const auto converged = flag_column("is.converged"), accurate = flag_column("is.high_train_accuracy");
  std::optional<std::size_t> configuration = table.find("experiment_id");
  if (!options.configuration.empty()) configuration = table.at(options.configuration);
  std::map<std::string, std::uint32_t> index;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const auto is_false = [&](const std::optional<std::size_t>& c) {
      return c && table.number(r, *c) == 0.0;
    };
    const bool has_gaps = std::all_of(gaps.begin(), gaps.end(), [&](const Gap& g) {
      const auto v = table.number(r, table.at(g.column));
      return v && std::isfinite(*v);
    });
    if (is_false(converged)) {
      ++p.not_converged;
    } else if (is_false(accurate)) {
      ++p.low_train_accuracy;
    } else if (!has_gaps) {
      ++p.missing_gap;
    } else if (options.complete_cases &&
               std::any_of(measures.begin(), measures.end(), [&](const std::string& c) {
                 const auto v = table.number(r, table.at(c));
                 return !v || !std::isfinite(*v);
               })) {
      ++p.incomplete;
    } else {
      const std::string name = configuration ? table.cell(r, *configuration) : "row " + std::to_string(r + 1);
      const auto [it, fresh] = index.try_emplace(name, static_cast<std::uint32_t>(index.size()));
      if (fresh) p.configuration_names.push_back(name);
      p.configuration.push_back(it->second);
      p.rows.push_back(r);
    }
  }
  if (p.rows.empty() && p.not_converged + p.low_train_accuracy > 0) {
    RankOptions all = options;
    all.keep_all = true;
    Population everything = select_rows(table, all, gaps, measures);
    everything.unfiltered = true;
    return everything;
  }
  if (p.rows.empty())
    throw InputError(table.source() + ": none of its " + std::to_string(table.rows()) +
                     " rows can be ranked: none has a finite gap (column " + gaps.front().column + ")");
  return p;
}

Candidate read_measure(const Table& table, const std::string& column, const Population& p,
                       bool infinite_is_extreme) {
  Candidate c;
  c.column = column;
  c.id = strip(column, "complexity.");
  if (c.id == "num-params" || c.id == "wc-nop") c.kind = "baseline";
  const std::size_t index = table.at(column);
  const auto censored = table.find(column + ".censored");
  std::vector<double> values;
  for (const std::size_t r : p.rows) {
    double v = table.number(r, index).value_or(missing);
    if (std::isinf(v)) {
      ++c.infinite;
      if (!infinite_is_extreme) v = missing;
    }
    if (censored && table.number(r, *censored) == 1.0) ++c.censored;
    values.push_back(v);
  }
  if (infinite_is_extreme) {  // as far beyond the finite values as these are apart
    double low = 0, high = 0;
    bool any = false;
    for (const double v : values)
      if (std::isfinite(v)) {
        low = any ? std::min(low, v) : v;
        high = any ? std::max(high, v) : v;
        any = true;
      }
    const double step = std::max({high - low, std::abs(high), std::abs(low), 1.0});
    for (double& v : values)
      if (std::isinf(v)) v = v > 0 ? high + step : low - step;
  }
  c.values.push_back(std::move(values));
  return c;
}

// The axes with more than one level, and the level of every configuration.
struct Axes {
  std::vector<std::string> columns, names, single_level;
  std::vector<std::string> derived;  // notes: which column follows from which axis, and is none itself
  std::vector<std::vector<ordered_json>> levels;
  Design design;
};

// Does the level of one axis determine that of the other in every configuration?
bool determines(const DesignAxis& axis, const DesignAxis& other) {
  std::vector<std::optional<std::uint32_t>> level(axis.levels);
  for (std::size_t c = 0; c < axis.level.size(); ++c) {
    auto& seen = level[axis.level[c]];
    if (seen.value_or(other.level[c]) != other.level[c]) return false;
    seen = other.level[c];
  }
  return true;
}

// Columns that are another axis in other words are no axes of their own: no two models differ in one of them alone.
// Those that a zoo derives by definition, and those that group the configurations as an earlier axis does. An axis
// with as many levels as there are configurations groups nothing, and is left alone.
void drop_derived(Axes& axes) {
  static constexpr std::array<std::array<std::string_view, 2>, 3> definitions = {
      {{"hp.depth", "hp.widths"}, {"hp.width", "hp.widths"}, {"hp.depth", "hp.network"}}};
  const auto same = [&](std::size_t a, std::size_t b) {
    const DesignAxis &x = axes.design.axes[a], &y = axes.design.axes[b];
    return x.levels == y.levels && x.levels < axes.design.items && determines(x, y);
  };
  const auto defined = [&](std::size_t a, std::size_t b) {
    return std::any_of(definitions.begin(), definitions.end(),
                       [&](const auto& d) { return axes.columns[a] == d[0] && axes.columns[b] == d[1]; }) &&
           determines(axes.design.axes[b], axes.design.axes[a]);
  };
  const auto drop = [&](std::size_t a, std::size_t because) {
    axes.derived.push_back(axes.columns[a] + " follows from " + axes.columns[because] +
                           " in every configuration: the two are ranked as one axis, " + axes.names[because] +
                           ".");
    const auto at = static_cast<std::ptrdiff_t>(a);
    axes.columns.erase(axes.columns.begin() + at);
    axes.names.erase(axes.names.begin() + at);
    axes.levels.erase(axes.levels.begin() + at);
    axes.design.axes.erase(axes.design.axes.begin() + at);
  };
  const auto drop_where = [&](const auto& follows) {  // a follows from b
    for (std::size_t a = axes.columns.size(); a-- > 0;)
      for (std::size_t b = 0; b < axes.columns.size(); ++b)
        if (a != b && follows(a, b)) {
          drop(a, b);
          break;
        }
  };
  drop_where(defined);
  drop_where([&](std::size_t a, std::size_t b) { return b < a && same(a, b); });
}

Axes read_axes(const Table& table, const RankOptions& options, const Population& p) {
  Axes axes;
  axes.design.items = p.configuration_names.size();
  std::set<std::string> seen;
  for (const std::string& pattern : options.axes)
    for (const std::string& column : table.matching(pattern)) {
      if (!seen.insert(column).second) continue;
      std::vector<ordered_json> of_row, levels;
      for (const std::size_t r : p.rows) {
        of_row.push_back(level_of(table, r, table.at(column)));
        if (std::find(levels.begin(), levels.end(), of_row.back()) == levels.end())
          levels.push_back(of_row.back());
      }
      std::sort(levels.begin(), levels.end(), level_less);
      if (levels.size() < 2) {
        axes.single_level.push_back(column);
        continue;
      }
      std::vector<std::optional<std::size_t>> first(axes.design.items);  // ranked row of each configuration
      DesignAxis axis{strip(column, "hp."), static_cast<std::uint32_t>(levels.size()),
                      std::vector<std::uint32_t>(axes.design.items)};
      for (std::size_t i = 0; i < p.rows.size(); ++i) {
        const std::uint32_t c = p.configuration[i];
        if (!first[c]) first[c] = i;
        if (of_row[*first[c]] != of_row[i])
          throw InputError(
              table.source() + ": configuration '" + p.configuration_names[c] +
              "' has two values of the axis '" + column + "': " + of_row[*first[c]].dump() + " in row " +
              std::to_string(p.rows[*first[c]] + 1) + ", " + of_row[i].dump() + " in row " +
              std::to_string(p.rows[i] + 1) +
              "; leave that column out of --axes, or name the column that tells configurations apart "
              "with --config");
        axis.level[c] =
            static_cast<std::uint32_t>(std::find(levels.begin(), levels.end(), of_row[i]) - levels.begin());
      }
      axes.columns.push_back(column);
      axes.names.push_back(axis.name);
      axes.levels.push_back(std::move(levels));
      axes.design.axes.push_back(std::move(axis));
    }
  drop_derived(axes);
  return axes;
}

// The seed of every ranked row as a number; two rows of one configuration and seed are an error.
std::vector<std::uint32_t> read_seeds(const Table& table, const RankOptions& options, const Population& p) {
  std::optional<std::size_t> column = table.find("repeat_id");
  if (!options.seed.empty()) column = table.at(options.seed);
  std::map<std::string, std::uint32_t> index;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> rows;
  std::vector<std::uint32_t> seeds, runs(p.configuration_names.size(), 0);
  for (std::size_t i = 0; i < p.rows.size(); ++i) {
    if (!column) {  // by their order
      seeds.push_back(runs[p.configuration[i]]++);
      continue;
    }
    const std::string& text = table.cell(p.rows[i], *column);
    seeds.push_back(index.try_emplace(text, static_cast<std::uint32_t>(index.size())).first->second);
    const auto [it, fresh] = rows.try_emplace({p.configuration[i], seeds.back()}, p.rows[i]);
    if (!fresh)
      throw InputError(table.source() + ": rows " + std::to_string(it->second + 1) + " and " +
                       std::to_string(p.rows[i] + 1) + " are both configuration '" +
                       p.configuration_names[p.configuration[i]] + "', seed '" + text +
                       "'; remove one of them, or name other columns with --config and --seed");
  }
  return seeds;
}

std::vector<Candidate> make_baselines(const std::vector<Gap>& gaps, const Design& design,
                                      const std::vector<std::uint32_t>& configuration, std::uint64_t seed) {
  const std::size_t models = configuration.size();
  std::vector<Candidate> baselines;
  Candidate random{"baseline-random", "", "baseline", 0, 0, {}};
  RandomStream uniform(random_key(std::to_string(seed), "baseline-random"));
  random.values.emplace_back();
  for (std::size_t i = 0; i < models; ++i) random.values[0].push_back(uniform.uniform());
  baselines.push_back(std::move(random));
  for (const auto& [id, noise] :
       {std::pair{"baseline-oracle-0.02", 0.02}, std::pair{"baseline-oracle-0.05", 0.05}}) {
    Candidate oracle{id, "", "baseline", 0, 0, {}};
    for (std::size_t g = 0; g < gaps.size(); ++g) {
      RandomStream normal(random_key(std::to_string(seed), id), g);
      oracle.values.emplace_back();
      for (const double gap : gaps[g].values) oracle.values[g].push_back(gap + noise * normal.normal());
    }
    baselines.push_back(std::move(oracle));
  }
  if (design.axes.empty()) return baselines;
  baselines.push_back(
      {"baseline-canonical-order", "", "baseline", 0, 0, {canonical_order(design, configuration)}});
  Candidate inside{"baseline-hyperparameters-in-sample", "", "baseline", 0, 0, {}},
      outside{"baseline-hyperparameters", "", "baseline", 0, 0, {}};
  for (const Gap& gap : gaps) {
    inside.values.push_back(hyperparameters_in_sample(design, configuration, gap.values));
    outside.values.push_back(
        hyperparameters_out_of_fold(design, configuration, gap.values, baseline_folds, seed));
  }
  baselines.push_back(std::move(outside));
  baselines.push_back(std::move(inside));
  return baselines;
}

MeasureDescription describe(const Candidate& c, const RankOptions& options) {
  if (const auto it = options.descriptions.find(c.id); it != options.descriptions.end()) return it->second;
  if (c.id == "baseline-random")
    return {"Random score", "baselines", "0", "u ~ U(0, 1) per model",
            "null reference: the median and the band of 1,000 draws"};
  if (c.id.compare(0, 15, "baseline-oracle") == 0)
    return {"Noisy oracle", "baselines", "+", "gap + N(0, " + c.id.substr(16) + "^2), in the unit of the gap",
            "Jiang et al. 2019; it sees the test data"};
  if (c.id == "baseline-canonical-order")
    return {"Canonical order", "baselines", "+",
            "sum over axes of +-level, by what is commonly held of the axis",
            "Jiang et al. 2019; it sees the hyper-parameters alone"};
  if (c.id == "baseline-hyperparameters")
    return {"Hyper-parameters alone, out of fold", "baselines", "+",
            "additive least squares on the levels of all axes, fitted to the other folds",
            "it sees no network; what a measure must beat"};
  if (c.id == "baseline-hyperparameters-in-sample")
    return {"Hyper-parameters alone, in sample", "baselines", "+",
            "additive least squares on the levels of all axes, fitted to these gaps",
            "an upper bound: it has seen the gaps"};
  return {};
}

// What random scores reach: the median of tau over many draws, and the band that tau-b falls into at the bootstrap's level.
struct RandomScores {
  double median_tau_a = 0, median_tau_b = 0;
  ordered_json band;
};

std::optional<RandomScores> random_scores(const Gap& gap, const RankOptions& options) {
  const std::uint64_t key = random_key(std::to_string(options.random_seed), "baseline-random redraw");
  std::vector<double> tau_a, tau_b;
  std::vector<double> score(gap.values.size());
  for (int r = 0; r < random_redraws; ++r) {
    RandomStream uniform(key, static_cast<std::uint64_t>(r));
    for (double& s : score) s = uniform.uniform();
    const Kendall k = kendall(score, gap.values);
    if (!k.tau_b) return std::nullopt;
    tau_a.push_back(*k.tau_a);
    tau_b.push_back(*k.tau_b);
  }
  std::sort(tau_a.begin(), tau_a.end());
  std::sort(tau_b.begin(), tau_b.end());
  return RandomScores{quantile(tau_a, 0.5),
                      quantile(tau_b, 0.5),
                      {{"low", quantile(tau_b, (1 - options.level) / 2)},
                       {"high", quantile(tau_b, (1 + options.level) / 2)},
                       {"redraws", random_redraws}}};
}

// tau-b within each level of each axis: pooling groups can hide or reverse what holds in all of them.
ordered_json groups_json(const Candidate& c, std::size_t g, const Gap& gap, const Population& p,
                         const Axes& axes) {
  ordered_json list = ordered_json::array();
  const std::vector<double>& values = c.for_gap(g);
  for (std::size_t a = 0; a < axes.names.size(); ++a)
    for (std::uint32_t level = 0; level < axes.levels[a].size(); ++level) {
      std::vector<double> x, y;
      for (std::size_t i = 0; i < values.size(); ++i)
        if (!std::isnan(values[i]) && axes.design.axes[a].level[p.configuration[i]] == level) {
          x.push_back(values[i]);
          y.push_back(gap.values[i]);
        }
      const Kendall k = kendall(x, y);
      list.push_back({{"axis", axes.names[a]},
                      {"level", axes.levels[a][level]},
                      {"n", k.n},
                      {"tau_b", k.n < 3 ? ordered_json(nullptr) : or_null(k.tau_b)}});
    }
  return list;
}

ordered_json rank_one(const Candidate& c, std::size_t g, const Gap& gap, const Population& p,
                      const Axes& axes, const MeasureResult& protocols, const ProtocolNames& names,
                      const RankOptions& options, const std::string& sign) {
  std::vector<double> x, y;
  const std::vector<double>& values = c.for_gap(g);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) continue;
    x.push_back(values[i]);
    y.push_back(gap.values[i]);
  }
  const Kendall k = kendall(x, y);
  std::string status = "ok", reason;
  if (x.empty()) {
    status = "no-values";
    reason = "no model has a value of this measure";
  } else if (k.n < 3) {
    status = "too-few";
    reason = "fewer than 3 models have a value";
  } else if (!k.tau_b && distinct(x) == 1) {
    status = "constant-measure";
    reason = "all values are equal";
  } else if (!k.tau_b) {
    status = "constant-gap";
    reason = "all gaps are equal";
  }
  const bool ok = status == "ok";
  ordered_json interval = nullptr;
  if (const auto& i = protocols.at(Stat::tau_b).interval; ok && i)
    interval = {{"low", i->low}, {"high", i->high}, {"undefined_resamples", i->undefined}};
  ordered_json agrees = nullptr, observed = nullptr;
  if (ok) observed = *k.tau_b > 0 ? "+" : *k.tau_b < 0 ? "-" : "0";
  if (ok && (sign == "+" || sign == "-") && *k.tau_b != 0) agrees = (*k.tau_b > 0) == (sign == "+");
  ordered_json result = {{"gap", gap.id},
                         {"status", status},
                         {"reason", ok ? ordered_json(nullptr) : ordered_json(reason)},
                         {"n", k.n},
                         {"tau_a", k.n < 3 ? ordered_json(nullptr) : or_null(k.tau_a)},
                         {"tau_b", ok ? or_null(k.tau_b) : nullptr},
                         {"p_value", ok ? or_null(k.p_value) : nullptr},
                         {"p_method", ok ? ordered_json(k.p_method) : ordered_json(nullptr)},
                         {"concordant", k.concordant},
                         {"discordant", k.discordant},
                         {"ties", {{"measure", k.ties_x}, {"gap", k.ties_y}, {"both", k.ties_both}}},
                         {"interval", interval},
                         {"null_band", nullptr},
                         {"agrees_with_sign", agrees},
                         {"sign_observed", observed}};
  if (ok && c.id == "baseline-random")
    if (const auto random = random_scores(gap, options)) {  // one draw says little: its row shows many
      result["tau_a"] = random->median_tau_a;
      result["tau_b"] = random->median_tau_b;
      result["p_value"] = result["p_method"] = result["interval"] = nullptr;
      result["null_band"] = random->band;
    }
  add_measure_json(protocols, names, result);
  result["groups"] = groups_json(c, g, gap, p, axes);
  return result;
}

// How far the gap repeats itself: how well that on one half of the test set orders that on the other.
ordered_json noise_ceiling(const Table& table, const RankOptions& options, const Gap& gap,
                           const Population& p) {
  ordered_json ceiling = {{"tau_b", nullptr}, {"spearman", nullptr}, {"n", 0}, {"reason", nullptr}};
  std::vector<std::string> halves = options.halves;
  if (halves.empty() && gap.column == "gen.gap" && table.has("gen.gap_even") && table.has("gen.gap_odd"))
    halves = {"gen.gap_even", "gen.gap_odd"};
  if (halves.empty()) {
    ceiling["reason"] = "needs the gap on two halves of the test set: name their columns with --halves";
    return ceiling;
  }
  if (halves.size() != 2)
    throw InputError("--halves takes two columns, the gap on either half of the test set");
  std::vector<double> a, b;
  for (const std::size_t r : p.rows) {
    const auto x = table.number(r, table.at(halves[0])), y = table.number(r, table.at(halves[1]));
    if (!x || !y || !std::isfinite(*x) || !std::isfinite(*y)) continue;
    a.push_back(*x);
    b.push_back(*y);
  }
  ceiling["n"] = a.size();
  ceiling["tau_b"] = or_null(kendall(a, b).tau_b);
  ceiling["spearman"] = or_null(spearman(a, b));
  if (ceiling["tau_b"].is_null()) ceiling["reason"] = "the gap on one of the halves is constant or missing";
  return ceiling;
}

ordered_json text_or_null(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

}  // namespace

ordered_json rank(const Table& table, const RankOptions& options) {
  std::vector<Gap> gaps = find_gaps(table, options);
  const std::vector<std::string> measure_columns = find_measures(table, options, gaps);
  const Population p = select_rows(table, options, gaps, measure_columns);
  for (Gap& gap : gaps) {
    const std::size_t column = table.at(gap.column);
    for (const std::size_t r : p.rows) gap.values.push_back(*table.number(r, column));
    for (const double v : gap.values) gap.accuracy = gap.accuracy && std::abs(v) <= 1;
    if (gap.id == "gap_error" && !gap.accuracy) {  // gen.gap of another kind than a difference of error rates
      gap.id = gap.label = gap.column;
      gap.unit.clear();
    }
  }
  const Axes axes = read_axes(table, options, p);

  std::vector<Candidate> candidates;
  for (const std::string& column : measure_columns)
    candidates.push_back(read_measure(table, column, p, options.infinite_is_extreme));
  for (Candidate& baseline : make_baselines(gaps, axes.design, p.configuration, options.random_seed))
    candidates.push_back(std::move(baseline));
  std::vector<MeasureDescription> descriptions;
  ProtocolNames names{"", axes.names, axes.levels, {}};
  for (const Candidate& c : candidates) {
    descriptions.push_back(describe(c, options));
    names.measures.push_back(c.id);
  }

  ProtocolInput input{axes.design, p.configuration, read_seeds(table, options, p), {}, {}};
  std::vector<ordered_json> results(candidates.size() * gaps.size());
  ordered_json protocols = ordered_json::array();
  for (std::size_t g = 0; g < gaps.size(); ++g) {
    input.gap = gaps[g].values;
    input.measures.clear();
    for (std::size_t c = 0; c < candidates.size(); ++c)
      input.measures.push_back(
          {candidates[c].for_gap(g), descriptions[c].sign == "-", candidates[c].kind == "measure"});
    ProtocolOptions o;
    o.constant = options.constant;
    o.seeds_as = options.seeds_as;
    o.sign_error.hoeffding = gaps[g].accuracy;
    o.sign_error.test_points = options.test_points;
    o.sign_error.min_ess = options.min_ess;
    o.resamples = options.resamples;
    o.permutations = options.permutations;
    o.level = options.level;
    o.random_seed = options.random_seed;
    o.threads = options.threads;
    o.folds = baseline_folds;
    o.single_level_axis = options.single_level_axes && !axes.single_level.empty();
    const ProtocolResult result = evaluate_protocols(input, o);
    names.gap = gaps[g].id;
    protocols.push_back(protocol_json(result, o, names));
    protocols.back()["noise_ceiling"] = noise_ceiling(table, options, gaps[g], p);
    protocols.back()["noise_ceiling"]["text"] = noise_ceiling_text(protocols.back()["noise_ceiling"]);
    parallel_for(candidates.size(), options.threads, [&](std::size_t c) {
      results[c * gaps.size() + g] = rank_one(candidates[c], g, gaps[g], p, axes, result.measures[c], names,
                                              options, descriptions[c].sign);
    });
  }

  // measures, sorted by tau-b against the first gap
  std::vector<std::size_t> order(candidates.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto tau_of = [&](std::size_t c) {
    const ordered_json& tau = results[c * gaps.size()]["tau_b"];
    return tau.is_null() ? -std::numeric_limits<double>::infinity() : tau.get<double>();
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const double ta = tau_of(a), tb = tau_of(b);
    return ta != tb ? ta > tb : candidates[a].id < candidates[b].id;
  });

  ordered_json document = {
      {"schema", "gapbench/ranking/3"}, {"title", options.title}, {"provenance", options.provenance}};
  document["population"] = {{"rows", table.rows()},
                            {"models", p.rows.size()},
                            {"configurations", p.configuration_names.size()},
                            {"excluded",
                             {{"not_converged", p.not_converged},
                              {"low_train_accuracy", p.low_train_accuracy},
                              {"missing_gap", p.missing_gap},
                              {"incomplete", p.incomplete}}}};

  document["axes"] = ordered_json::array();
  for (std::size_t a = 0; a < axes.names.size(); ++a)
    document["axes"].push_back(
        {{"name", axes.names[a]}, {"column", axes.columns[a]}, {"levels", axes.levels[a]}});

  document["gaps"] = ordered_json::array();
  for (const Gap& gap : gaps) {
    const auto [low, high] = std::minmax_element(gap.values.begin(), gap.values.end());
    document["gaps"].push_back({{"id", gap.id},
                                {"column", gap.column},
                                {"label", gap.label},
                                {"unit", text_or_null(gap.unit)},
                                {"distinct", distinct(gap.values)},
                                {"min", *low},
                                {"max", *high}});
  }
  document["bootstrap"] = {{"resamples", options.resamples}, {"level", options.level},
                           {"unit", "configuration"},        {"method", "percentile"},
                           {"statistic", "tau_b"},           {"seed", options.random_seed}};

  document["statistics"] = statistics_json();
  document["protocols"] = std::move(protocols);
  document["measures"] = ordered_json::array();
  for (const std::size_t c : order) {
    const Candidate& candidate = candidates[c];
    const MeasureDescription& d = descriptions[c];
    const auto values = static_cast<std::int64_t>(std::count_if(
        candidate.values[0].begin(), candidate.values[0].end(), [](double v) { return !std::isnan(v); }));
    ordered_json list = ordered_json::array();
    for (std::size_t g = 0; g < gaps.size(); ++g) list.push_back(std::move(results[c * gaps.size() + g]));
    document["measures"].push_back({{"id", candidate.id},
                                    {"column", text_or_null(candidate.column)},
                                    {"kind", candidate.kind},
                                    {"name", text_or_null(d.name)},
                                    {"family", text_or_null(d.family)},
                                    {"sign", text_or_null(d.sign)},
                                    {"formula", text_or_null(d.formula)},
                                    {"source", text_or_null(d.source)},
                                    {"counts",
                                     {{"values", values},
                                      {"missing", static_cast<std::int64_t>(p.rows.size()) - values},
                                      {"infinite", candidate.infinite},
                                      {"censored", candidate.censored},
                                      {"distinct", distinct(candidate.values[0])}}},
                                    {"results", std::move(list)}});
  }

  document["population"]["text"] = population_text(document);
  for (std::size_t g = 0; g < gaps.size(); ++g)
    document["protocols"][g]["evidence"] = evidence_json(document, g);

  std::optional<std::size_t> seed_column = table.find("repeat_id"), model_column = table.find("model_id");
  if (!options.seed.empty()) seed_column = table.at(options.seed);
  if (!options.model.empty()) model_column = table.at(options.model);
  const std::vector<std::string> metric_columns = [&] {
    std::vector<std::string> columns;
    for (const std::string& c : table.matching("gen.*"))
      if (std::none_of(gaps.begin(), gaps.end(), [&](const Gap& g) { return g.column == c; }))
        columns.push_back(c);
    return columns;
  }();
  document["models"] = ordered_json::array();
  for (std::size_t i = 0; i < p.rows.size(); ++i) {
    const std::size_t r = p.rows[i];
    ordered_json hp = ordered_json::object(), gap_values = ordered_json::object(),
                 metrics = ordered_json::object(), values = ordered_json::object();
    for (std::size_t a = 0; a < axes.names.size(); ++a)
      hp[axes.names[a]] = axes.levels[a][axes.design.axes[a].level[p.configuration[i]]];
    for (const Gap& gap : gaps) gap_values[gap.id] = gap.values[i];
    for (const std::string& column : metric_columns)
      metrics[column] = finite_or_null(table.number(r, table.at(column)).value_or(missing));
    for (const std::size_t c : order)  // the oracles have another value for each gap: no one number to show
      if (candidates[c].values.size() == 1)
        values[candidates[c].id] = finite_or_null(candidates[c].values[0][i]);
    document["models"].push_back(
        {{"id", model_column ? table.cell(r, *model_column) : "row " + std::to_string(r + 1)},
         {"configuration", p.configuration_names[p.configuration[i]]},
         {"seed", seed_column ? level_of(table, r, *seed_column) : ordered_json(nullptr)},
         {"hp", std::move(hp)},
         {"gaps", std::move(gap_values)},
         {"metrics", std::move(metrics)},
         {"measures", std::move(values)}});
  }

  ordered_json notes = ordered_json::array();
  if (p.unfiltered)
    notes.push_back(
        "No model both converged and fitted its training data (is.converged, is.high_train_accuracy), so "
        "all models with a gap are ranked: a part of every gap is unfinished training.");
  if (p.configuration_names.size() == p.rows.size() && !table.has("experiment_id") &&
      options.configuration.empty())
    notes.push_back(
        "No column names the configuration, so every row counts as one of its own: if rows are seeds of the "
        "same configuration, the intervals are too narrow.");
  if (p.configuration_names.size() == 1)
    notes.push_back("There is a single configuration, so there are no bootstrap intervals.");
  else if (p.configuration_names.size() < 10)
    notes.push_back("With only " + std::to_string(p.configuration_names.size()) +
                    " configurations, bootstrap intervals are rough.");
  for (const std::string& note : axes.derived) notes.push_back(note);
  if (!axes.names.empty())
    for (const ordered_json& protocol : document["protocols"]) {
      const ordered_json& e = protocol["environments"];
      if (e["kept"] == 0 && e["total"] != 0)
        notes.push_back("Sign error, " + protocol["gap"].get<std::string>() + ": none of " +
                        e["total"].dump() + " environments has the effective sample size that is asked for.");
    }
  document["notes"] = std::move(notes);
  return document;
}

ordered_json compare_rankings(const std::vector<ordered_json>& rankings) {
  std::vector<std::string> measures;
  for (const ordered_json& m : rankings.front()["measures"]) {
    const std::string id = m["id"];
    const auto has = [&](const ordered_json& ranking) {
      return std::any_of(ranking["measures"].begin(), ranking["measures"].end(),
                         [&](const ordered_json& other) { return other["id"] == id; });
    };
    if (std::all_of(rankings.begin(), rankings.end(), has)) measures.push_back(id);
  }
  const auto result_of = [](const ordered_json& ranking, const std::string& id, const std::string& gap) {
    for (const ordered_json& m : ranking["measures"])
      if (m["id"] == id)
        for (const ordered_json& r : m["results"])
          if (r["gap"] == gap) return r;
    return ordered_json(nullptr);
  };
  constexpr double alpha = 0.05;
  ordered_json titles = ordered_json::array(), list = ordered_json::array();
  for (const ordered_json& ranking : rankings) titles.push_back(ranking["title"]);
  for (const ordered_json& gap : rankings.front()["gaps"])
    for (const StatisticInfo& s : statistic_catalogue()) {
      std::vector<std::string> common;  // with a value in every ledger
      std::vector<std::vector<double>> score(rankings.size());
      for (const std::string& id : measures) {
        std::vector<double> values;
        for (const ordered_json& ranking : rankings) {
          const ordered_json r = result_of(ranking, id, gap["id"]);
          if (r.is_null() || r["statistics"][s.id]["value"].is_null()) break;
          const double v = r["statistics"][s.id]["value"];
          values.push_back(std::string_view(s.better) == "larger" ? v : -v);
        }
        if (values.size() < rankings.size()) continue;
        common.push_back(id);
        for (std::size_t i = 0; i < values.size(); ++i) score[i].push_back(values[i]);
      }
      const auto f = common.empty() ? std::nullopt : friedman(score, alpha);
      if (!f) continue;
      std::vector<std::size_t> order(common.size());  // best first
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t a, std::size_t b) { return f->mean_rank[a] < f->mean_rank[b]; });
      std::vector<std::string> ids;
      std::vector<double> ranks;
      for (const std::size_t i : order) {
        ids.push_back(common[i]);
        ranks.push_back(f->mean_rank[i]);
      }
      ordered_json test = {{"gap", gap["id"]},
                           {"statistic", s.id},
                           {"measures", ids},
                           {"mean_rank", ranks},
                           {"chi2", f->chi2},
                           {"p_value", f->p_value},
                           {"critical_difference", f->critical_difference},
                           {"cliques", cliques(ranks, f->critical_difference)}};
      test["text"] = comparison_text(s.label, test, rankings.size(), alpha);
      list.push_back(std::move(test));
    }
  if (list.empty())
    throw InputError(
        "the ledgers have fewer than two measures in common that can be compared; give ledgers with the "
        "same measures and gap");
  return {{"ledgers", titles}, {"alpha", alpha}, {"tests", list}};
}

}  // namespace gapbench
