#include "runners/ranking/rank.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <set>
#include <thread>

#include "measures/api/error.h"
#include "measures/api/suggest.h"
#include "measures/numerics/philox.h"
#include "runners/ranking/bootstrap.h"
#include "runners/ranking/kendall.h"

namespace gapbench {

using nlohmann::ordered_json;

namespace {

constexpr double missing = std::numeric_limits<double>::quiet_NaN();
constexpr int random_redraws = 1000;

struct Gap {
  std::string id, column, label, unit;
  std::vector<double> values;  // of the ranked models
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
      gaps.push_back({"gap_loss", column, "test − train cross-entropy", "nats", {}});
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
  std::int64_t not_converged = 0, low_train_accuracy = 0, missing_gap = 0;
  bool unfiltered = false;  // no row passed the filters: all are ranked, with a note
};

Population select_rows(const Table& table, const RankOptions& options, const std::vector<Gap>& gaps) {
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
    Population everything = select_rows(table, all, gaps);
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
      // ranks only look at the order: the largest finite numbers stand for infinity
      v = infinite_is_extreme ? std::copysign(std::numeric_limits<double>::max(), v) : missing;
    }
    if (censored && table.number(r, *censored) == 1.0) ++c.censored;
    values.push_back(v);
  }
  c.values.push_back(std::move(values));
  return c;
}

std::vector<Candidate> make_baselines(const std::vector<Gap>& gaps, std::size_t models, std::uint64_t seed) {
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

ordered_json rank_one(const Candidate& c, std::size_t g, const Gap& gap, const Population& p,
                      const BootstrapDraws& draws, const RankOptions& options, const std::string& sign) {
  std::vector<double> x, y;
  std::vector<std::uint32_t> configuration;
  const std::vector<double>& values = c.for_gap(g);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) continue;
    x.push_back(values[i]);
    y.push_back(gap.values[i]);
    configuration.push_back(p.configuration[i]);
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
  if (ok && draws.resamples() > 0)
    if (const auto b = bootstrap_tau_b(x, y, configuration, draws, options.level))
      interval = {{"low", b->low}, {"high", b->high}, {"undefined_resamples", b->undefined_resamples}};
  ordered_json agrees = nullptr;
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
                         {"agrees_with_sign", agrees}};
  if (ok && c.id == "baseline-random")
    if (const auto random = random_scores(gap, options)) {  // one draw says little: its row shows many
      result["tau_a"] = random->median_tau_a;
      result["tau_b"] = random->median_tau_b;
      result["p_value"] = result["p_method"] = result["interval"] = nullptr;
      result["null_band"] = random->band;
    }
  return result;
}

ordered_json text_or_null(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

}  // namespace

ordered_json rank(const Table& table, const RankOptions& options) {
  std::vector<Gap> gaps = find_gaps(table, options);
  const std::vector<std::string> measure_columns = find_measures(table, options, gaps);
  const Population p = select_rows(table, options, gaps);
  for (Gap& gap : gaps) {
    const std::size_t column = table.at(gap.column);
    for (const std::size_t r : p.rows) gap.values.push_back(*table.number(r, column));
  }

  std::vector<Candidate> candidates;
  for (const std::string& column : measure_columns)
    candidates.push_back(read_measure(table, column, p, options.infinite_is_extreme));
  for (Candidate& baseline : make_baselines(gaps, p.rows.size(), options.random_seed))
    candidates.push_back(std::move(baseline));

  const BootstrapDraws draws(p.configuration_names.size(), static_cast<std::size_t>(options.resamples),
                             options.random_seed);
  std::vector<MeasureDescription> descriptions;
  for (const Candidate& c : candidates) descriptions.push_back(describe(c, options));
  std::vector<ordered_json> results(candidates.size() * gaps.size());
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> errors(results.size());
  const auto work = [&] {
    for (std::size_t i = next++; i < results.size(); i = next++) {
      const std::size_t c = i / gaps.size(), g = i % gaps.size();
      try {
        results[i] = rank_one(candidates[c], g, gaps[g], p, draws, options, descriptions[c].sign);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  const unsigned threads = options.threads > 0 ? static_cast<unsigned>(options.threads)
                                               : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> pool;
  for (unsigned t = 1; t < threads; ++t) pool.emplace_back(work);
  work();
  for (std::thread& t : pool) t.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);

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
      {"schema", "gapbench/ranking/1"}, {"title", options.title}, {"provenance", options.provenance}};
  document["population"] = {{"rows", table.rows()},
                            {"models", p.rows.size()},
                            {"configurations", p.configuration_names.size()},
                            {"excluded",
                             {{"not_converged", p.not_converged},
                              {"low_train_accuracy", p.low_train_accuracy},
                              {"missing_gap", p.missing_gap}}}};

  std::vector<std::string> axis_columns, constant_columns;
  std::map<std::string, std::vector<ordered_json>> levels;
  for (const std::string& pattern : options.axes)
    for (const std::string& column : table.matching(pattern)) {
      if (levels.count(column) > 0) continue;
      std::vector<ordered_json>& list = levels[column];
      for (const std::size_t r : p.rows) {
        const ordered_json level = level_of(table, r, table.at(column));
        if (std::find(list.begin(), list.end(), level) == list.end()) list.push_back(level);
      }
      std::sort(list.begin(), list.end(), level_less);
      (list.size() > 1 ? axis_columns : constant_columns).push_back(column);
    }
  document["axes"] = ordered_json::array();
  for (const std::string& column : axis_columns)
    document["axes"].push_back(
        {{"name", strip(column, "hp.")}, {"column", column}, {"levels", levels[column]}});

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
    for (const std::string& column : axis_columns)
      hp[strip(column, "hp.")] = level_of(table, r, table.at(column));
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
  if (p.configuration_names.size() < 10)
    notes.push_back("With only " + std::to_string(p.configuration_names.size()) +
                    " configurations, bootstrap intervals are rough.");
  document["notes"] = std::move(notes);
  return document;
}

}  // namespace gapbench
