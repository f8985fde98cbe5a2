#include "runners/ranking/protocols.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "measures/numerics/philox.h"
#include "runners/ranking/correlation.h"
#include "runners/ranking/jiang_k.h"
#include "runners/ranking/pair_tables.h"
#include "runners/ranking/parallel.h"
#include "runners/ranking/pgdl_score.h"
#include "runners/ranking/prediction.h"
#include "runners/ranking/robust_rmse.h"
#include "runners/ranking/selection.h"
#include "runners/ranking/u_statistic.h"
#include "runners/ranking/weighted_tau.h"

namespace gapbench {

namespace {

using Values = std::vector<double>;
constexpr double missing = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t chunk = 16;          // resamples a task works on
constexpr std::size_t costly_draws = 200;  // permutations of weighted tau and of out-of-fold prediction

int sign(double v) {
  return (v > 0) - (v < 0);
}

std::uint64_t purpose_key(const ProtocolOptions& o, const std::string& purpose) {
  return random_key(std::to_string(o.random_seed), purpose);
}

std::vector<std::uint32_t> permutation(const ProtocolOptions& o, std::size_t n, std::size_t draw) {
  std::vector<std::uint32_t> p(n);
  std::iota(p.begin(), p.end(), 0u);
  RandomStream random(purpose_key(o, "permutation"), draw);
  random.shuffle(p.begin(), p.end());
  return p;
}

// Items that several measures have values on, and those measures.
struct ItemGroup {
  std::vector<std::uint32_t> items;  // of all items
  Design design;
  Values gap;
  std::vector<std::size_t> measures;  // of the input
  std::vector<Values> x;              // of each measure, per item
  std::vector<std::span<const double>> spans() const { return {x.begin(), x.end()}; }
};

// Draws of every statistic: [statistic][measure][draw], NaN where undefined. Empty where not drawn.
using Draws = std::vector<std::vector<Values>>;

class Evaluation {
 public:
  Evaluation(const ProtocolInput& input, const ProtocolOptions& options)
      : in_(input),
        o_(options),
        runs_(Runs::from(input.gap, input.configuration, input.design.items)),
        boot_(stat_count, std::vector<Values>(input.measures.size())),
        null_(stat_count, std::vector<Values>(input.measures.size())),
        psi_boot_(input.design.axes.size(), std::vector<Values>(input.measures.size())),
        psi_null_(input.design.axes.size(), std::vector<Values>(input.measures.size())),
        compared_(stat_count, std::vector<std::optional<double>>(input.measures.size())),
        draws_(input.design.items, static_cast<std::size_t>(options.resamples), options.random_seed) {
    out_.measures.resize(in_.measures.size());
    for (MeasureResult& m : out_.measures) m.axes.resize(in_.design.axes.size());
    out_.largest_seeds = runs_.largest();
    averaged_ = o_.seeds_as == SeedsAs::averaged || out_.largest_seeds < 2;
  }

  ProtocolResult run() {
    for (std::size_t m = 0; m < in_.measures.size(); ++m) {
      std::vector<std::uint32_t> rows;
      for (std::uint32_t i = 0; i < in_.gap.size(); ++i)
        if (!std::isnan(in_.measures[m].values[i])) rows.push_back(i);
      present_.push_back(std::move(rows));
    }
    over_runs();
    const std::vector<ItemGroup> groups = item_groups();
    for (const ItemGroup& g : groups) over_items(g);
    sign_error();
    robust();
    prediction();
    if (averaged_ && !groups.empty()) differences(groups.front());
    finish();
    return std::move(out_);
  }

 private:
  Statistic& stat(std::size_t m, Stat s) { return out_.measures[m].statistics[static_cast<std::size_t>(s)]; }
  Values& boot(Stat s, std::size_t m) { return boot_[static_cast<std::size_t>(s)][m]; }
  Values& null(Stat s, std::size_t m) { return null_[static_cast<std::size_t>(s)][m]; }
  std::size_t resamples() const { return static_cast<std::size_t>(o_.resamples); }
  std::size_t permutations() const { return static_cast<std::size_t>(o_.permutations); }
  void set(std::size_t m, Stat s, const std::optional<double>& value, const std::string& reason) {
    stat(m, s).value = value;
    if (!value) stat(m, s).reason = reason;
  }

  static std::string too_many() {
    return "not resampled above " + std::to_string(max_resampled_configurations) + " configurations";
  }

  static Values chosen(std::span<const double> values, std::span<const std::uint32_t> rows) {
    Values v;
    v.reserve(rows.size());
    for (const std::uint32_t i : rows) v.push_back(values[i]);
    return v;
  }

  // ---- statistics over single models -------------------------------------------------------------------------

  void over_runs() {
    const std::size_t count = in_.measures.size();
    for (const Stat s : {Stat::tau_b, Stat::tau_c, Stat::spearman, Stat::pearson})
      for (std::size_t m = 0; m < count; ++m) boot(s, m).assign(resamples(), missing);
    parallel_for(count, o_.threads, [&](std::size_t m) {
      const Values x = chosen(in_.measures[m].values, present_[m]), y = chosen(in_.gap, present_[m]);
      const DenseRanks dx = dense_ranks(x), dy = dense_ranks(y);
      const std::string reason = x.size() < 3       ? "fewer than 3 models have a value"
                                 : dx.distinct == 1 ? "the measure is constant"
                                                    : "all gaps are equal";
      const bool ok = x.size() >= 3;
      const Kendall k = kendall(x, y);
      set(m, Stat::tau_b, ok ? k.tau_b : std::nullopt, reason);
      set(m, Stat::tau_c, ok ? tau_c(k, dx.distinct, dy.distinct) : std::nullopt, reason);
      set(m, Stat::spearman, ok ? spearman(x, y) : std::nullopt, reason);
      set(m, Stat::pearson, ok ? pearson(x, y) : std::nullopt, reason);
    });
    if (resamples() == 0) return;
    const bool tables = in_.design.items <= max_resampled_configurations;
    const std::size_t width = tables ? table_lanes : 1;
    parallel_for((count + width - 1) / width, o_.threads, [&](std::size_t b) {
      if (!tables) {  // memory and time of tables grow with the square of the configurations
        boot(Stat::tau_b, b) = tau_b_draws(b);
        stat(b, Stat::tau_c).interval_reason = too_many();
        return;
      }
      std::vector<std::span<const double>> lanes;
      for (std::size_t m = b * width; m < std::min(count, (b + 1) * width); ++m)
        lanes.emplace_back(in_.measures[m].values);
      std::vector<ResampledTau> taus = resampled_tau(lanes, runs_, draws_);
      for (std::size_t m = 0; m < lanes.size(); ++m) {
        boot(Stat::tau_b, b * width + m) = std::move(taus[m].tau_b);
        boot(Stat::tau_c, b * width + m) = std::move(taus[m].tau_c);
      }
    });
    resample_correlations();
  }

  Values tau_b_draws(std::size_t m) const {
    WeightedKendall weighted(chosen(in_.measures[m].values, present_[m]), chosen(in_.gap, present_[m]));
    Values taus;
    std::vector<std::uint32_t> weights(present_[m].size());
    for (std::size_t r = 0; r < resamples(); ++r) {
      for (std::size_t i = 0; i < weights.size(); ++i)
        weights[i] = draws_.counts(r)[in_.configuration[present_[m][i]]];
      taus.push_back(weighted.tau_b(weights).value_or(missing));
    }
    return taus;
  }

  // Spearman and Pearson of each draw: ranks are taken anew among the drawn models.
  void resample_correlations() {
    struct Rows {
      std::vector<std::uint32_t> by_x, by_gap;  // the rows of a measure, sorted
      Values n, x, y, xx, yy, xy;  // sums over the rows of each configuration, centred and scaled
    };
    std::vector<Rows> all(in_.measures.size());
    parallel_for(all.size(), o_.threads, [&](std::size_t m) {
      const Values& x = in_.measures[m].values;
      Rows& rows = all[m];
      rows.by_x = rows.by_gap = present_[m];
      std::sort(rows.by_x.begin(), rows.by_x.end(), [&](auto a, auto b) { return x[a] < x[b]; });
      std::sort(rows.by_gap.begin(), rows.by_gap.end(),
                [&](auto a, auto b) { return in_.gap[a] < in_.gap[b]; });
      const auto scaled = [&](const Values& values) {
        Values v = chosen(values, present_[m]);
        double mean = 0, largest = 0;
        for (const double a : v) mean += a / static_cast<double>(v.size());
        for (double& a : v) largest = std::max(largest, std::abs(a -= mean));
        for (double& a : v) a = largest > 0 ? a / largest : 0;
        return v;
      };
      const Values sx = scaled(x), sy = scaled(in_.gap);
      for (Values* v : {&rows.n, &rows.x, &rows.y, &rows.xx, &rows.yy, &rows.xy})
        v->assign(runs_.of.size(), 0.0);
      for (std::size_t i = 0; i < sx.size(); ++i) {
        const std::uint32_t c = in_.configuration[present_[m][i]];
        rows.n[c] += 1;
        rows.x[c] += sx[i];
        rows.y[c] += sy[i];
        rows.xx[c] += sx[i] * sx[i];
        rows.yy[c] += sy[i] * sy[i];
        rows.xy[c] += sx[i] * sy[i];
      }
    });
    parallel_for(resamples(), o_.threads, [&](std::size_t r) {
      const std::size_t n = in_.gap.size();
      const auto counts = draws_.counts(r);
      Values w(n), weighted_rank(n);
      for (std::size_t i = 0; i < n; ++i) w[i] = counts[in_.configuration[i]];
      double gap_squares = 0;
      bool complete_ranks = false;
      for (std::size_t m = 0; m < all.size(); ++m) {
        const Rows& rows = all[m];
        const bool complete = present_[m].size() == n;
        if (!complete || !complete_ranks) gap_squares = gap_ranks(rows.by_gap, w, weighted_rank);
        complete_ranks = complete;
        boot(Stat::spearman, m)[r] =
            drawn_spearman(rows.by_x, in_.measures[m].values, w, weighted_rank, gap_squares);
        double total = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
        for (std::size_t c = 0; c < counts.size(); ++c) {
          const double t = counts[c];
          total += t * rows.n[c];
          x += t * rows.x[c];
          y += t * rows.y[c];
          xx += t * rows.xx[c];
          yy += t * rows.yy[c];
          xy += t * rows.xy[c];
        }
        const double vx = xx - x * x / total, vy = yy - y * y / total;
        boot(Stat::pearson, m)[r] =
            total > 0 && vx > 1e-12 * xx && vy > 1e-12 * yy
                ? std::clamp((xy - x * y / total) / std::sqrt(vx) / std::sqrt(vy), -1.0, 1.0)
                : missing;
      }
    });
  }

  // Calls visit(first, end, rank less its mean) for each run of equal values among rows drawn w times.
  template <class Equal, class Visit>
  static void visit_ranks(const std::vector<std::uint32_t>& order, const Values& w, const Equal& equal,
                          const Visit& visit) {
    double total = 0, seen = 0;
    for (const std::uint32_t i : order) total += w[i];
    for (std::size_t start = 0; start < order.size();) {
      std::size_t end = start + 1;
      double group = w[order[start]];
      for (; end < order.size() && equal(order[end], order[start]); ++end) group += w[order[end]];
      visit(start, end, group, seen + (group - total) / 2);
      seen += group;
      start = end;
    }
  }

  // weighted[i] = w times the centred rank of the gap; returns sum w rank^2.
  double gap_ranks(const std::vector<std::uint32_t>& order, const Values& w, Values& weighted) const {
    double squares = 0;
    visit_ranks(
        order, w, [&](auto a, auto b) { return in_.gap[a] == in_.gap[b]; },
        [&](std::size_t first, std::size_t end, double group, double rank) {
          squares += group * rank * rank;
          for (std::size_t i = first; i < end; ++i) weighted[order[i]] = w[order[i]] * rank;
        });
    return squares;
  }

  static double drawn_spearman(const std::vector<std::uint32_t>& order, const Values& x, const Values& w,
                               const Values& weighted_rank, double gap_squares) {
    double squares = 0, products = 0;
    visit_ranks(
        order, w, [&](auto a, auto b) { return x[a] == x[b]; },
        [&](std::size_t first, std::size_t end, double group, double rank) {
          squares += group * rank * rank;
          for (std::size_t i = first; i < end; ++i) products += rank * weighted_rank[order[i]];
        });
    if (squares <= 0 || gap_squares <= 0) return missing;
    return std::clamp(products / std::sqrt(squares) / std::sqrt(gap_squares), -1.0, 1.0);
  }

  // ---- statistics over items ---------------------------------------------------------------------------------

  std::vector<ItemGroup> item_groups() {
    std::map<std::vector<std::uint32_t>, ItemGroup> by_items;
    std::vector<std::vector<std::uint32_t>> keys;  // in the order of the first measure
    Design all = in_.design;
    if (!averaged_) {
      all = in_.design.subset(in_.configuration);
      if (o_.seeds_as == SeedsAs::fixed) all.fixed = in_.seed;
    }
    for (std::size_t m = 0; m < in_.measures.size(); ++m) {
      const Values& values = in_.measures[m].values;
      std::vector<std::uint32_t> items;
      Values x;
      if (averaged_) {
        for (std::uint32_t c = 0; c < runs_.of.size(); ++c) {
          double sum = 0, count = 0;
          for (const std::uint32_t i : runs_.of[c])
            if (!std::isnan(values[i])) {
              sum += values[i];
              ++count;
            }
          if (count == 0) continue;
          items.push_back(c);
          x.push_back(mean_of(runs_.of[c], values, sum, count));
        }
      } else {
        items = present_[m];
        x = chosen(values, items);
      }
      out_.measures[m].items = items.size();
      auto [it, fresh] = by_items.try_emplace(items);
      ItemGroup& g = it->second;
      if (fresh) {
        keys.push_back(items);
        g.items = items;
        g.design = all.subset(items);
        for (const std::uint32_t i : items) {
          double sum = 0;
          if (averaged_)
            for (const std::uint32_t run : runs_.of[i]) sum += in_.gap[run];
          g.gap.push_back(averaged_
                              ? mean_of(runs_.of[i], in_.gap, sum, static_cast<double>(runs_.of[i].size()))
                              : in_.gap[i]);
        }
      }
      g.measures.push_back(m);
      g.x.push_back(std::move(x));
    }
    std::vector<ItemGroup> groups;
    for (const auto& key : keys) groups.push_back(std::move(by_items.at(key)));
    std::stable_sort(groups.begin(), groups.end(),
                     [](const ItemGroup& a, const ItemGroup& b) { return a.items.size() > b.items.size(); });
    if (!groups.empty()) out_.why_not_full_grid = groups.front().design.why_not_full_grid();
    out_.conditioning_sets = Conditioning(in_.design).sets;
    return groups;
  }

  // The mean; exactly the common value where all are equal, so that rounding makes no order.
  static double mean_of(const std::vector<std::uint32_t>& rows, const Values& values, double sum,
                        double count) {
    double first = missing;
    bool same = true;
    for (const std::uint32_t i : rows) {
      if (std::isnan(values[i])) continue;
      if (std::isnan(first)) first = values[i];
      same = same && values[i] == first;
    }
    return same ? first : sum / count;
  }

  void over_items(const ItemGroup& g) {
    static constexpr std::array over_items_stats = {Stat::tau_b_configurations,
                                                    Stat::weighted_tau,
                                                    Stat::psi,
                                                    Stat::jiang_k,
                                                    Stat::pgdl,
                                                    Stat::regret,
                                                    Stat::normalised_regret,
                                                    Stat::hit,
                                                    Stat::precision};
    if (g.items.size() < 3) {
      for (const std::size_t m : g.measures)
        for (const Stat s : over_items_stats)
          set(m, s, std::nullopt, "fewer than 3 configurations have a value");
      return;
    }
    std::string no_resampling;
    if (!averaged_)
      no_resampling = "resampled only with seeds averaged";
    else if (g.items.size() > max_resampled_configurations)
      no_resampling = too_many();
    granulated_items(g, no_resampling);
    pairs_of_items(g, no_resampling);
    selection(g, no_resampling);
    if (no_resampling.empty() && permutations() > 0) permute_correlations(g);
  }

  void granulated_items(const ItemGroup& g, const std::string& no_resampling) {
    const std::vector<AxisPairs> axes = axis_pairs(g.design);
    std::vector<BootstrapDraws> cell_draws;
    for (std::size_t a = 0; a < axes.size(); ++a)
      cell_draws.emplace_back(axes[a].cells(), axes[a].cells() > 0 ? resamples() : 0,
                              purpose_key(o_, "cells of axis " + std::to_string(a)));
    parallel_for(g.measures.size(), o_.threads, [&](std::size_t k) {
      const std::size_t m = g.measures[k];
      const Granulated psi = granulated(axes, g.x[k], g.gap, o_.constant);
      set(m, Stat::psi, psi.psi,
          axes.empty() ? "no axis was named" : "no two configurations differ in one axis alone");
      Values mean(resamples(), 0.0), count(resamples(), 0.0);
      for (std::size_t a = 0; a < axes.size(); ++a) {
        AxisResult& axis = out_.measures[m].axes[a];
        axis.cells = psi.axes[a];
        axis.psi.value = psi.axes[a].psi;
        if (!axis.psi.value) {
          axis.psi.reason = axes[a].cells() == 0 ? "no two items differ in this axis alone"
                                                 : "the measure is constant in every cell";
          continue;
        }
        const auto taus = cell_taus(axes[a], g.x[k], g.gap, o_.constant);
        Values& draws = psi_boot_[a][m];
        for (std::size_t r = 0; r < resamples(); ++r) {
          double sum = 0, weight = 0;
          for (std::size_t c = 0; c < taus.size(); ++c)
            if (taus[c]) {
              sum += cell_draws[a].counts(r)[c] * *taus[c];
              weight += cell_draws[a].counts(r)[c];
            }
          draws.push_back(weight > 0 ? sum / weight : missing);
          if (weight > 0) {
            mean[r] += sum / weight;
            ++count[r];
          }
        }
      }
      for (std::size_t r = 0; r < resamples(); ++r)
        boot(Stat::psi, m).push_back(count[r] > 0 ? mean[r] / count[r] : missing);
    });
    if (!no_resampling.empty() || axes.empty() || permutations() == 0) {
      for (const std::size_t m : g.measures) {
        stat(m, Stat::psi).null_reason = no_resampling;
        for (AxisResult& axis : out_.measures[m].axes) axis.psi.null_reason = no_resampling;
      }
      return;
    }
    for (const std::size_t m : g.measures) {
      null(Stat::psi, m).assign(permutations(), missing);
      for (std::size_t a = 0; a < axes.size(); ++a) psi_null_[a][m].assign(permutations(), missing);
    }
    // signs of the gaps, and what a pair weighs in the mean over cells
    std::vector<Values> coefficient(axes.size());
    for (std::size_t a = 0; a < axes.size(); ++a)
      for (std::size_t c = 0; c < axes[a].cells(); ++c)
        for (std::size_t i = axes[a].offset[c]; i < axes[a].offset[c + 1]; ++i)
          coefficient[a].push_back(sign(g.gap[axes[a].pairs[i].a] - g.gap[axes[a].pairs[i].b]) /
                                   static_cast<double>(axes[a].offset[c + 1] - axes[a].offset[c]) /
                                   static_cast<double>(axes[a].cells()));
    parallel_for(permutations(), o_.threads, [&](std::size_t r) {
      const auto moved = permutation(o_, g.items.size(), r);
      Values x(moved.size());
      for (std::size_t k = 0; k < g.measures.size(); ++k) {
        const std::size_t m = g.measures[k];
        for (std::size_t i = 0; i < moved.size(); ++i) x[i] = g.x[k][moved[i]];
        if (o_.constant == ConstantCell::skip) {
          const Granulated psi = granulated(axes, x, g.gap, o_.constant);
          null(Stat::psi, m)[r] = psi.psi.value_or(missing);
          for (std::size_t a = 0; a < axes.size(); ++a)
            psi_null_[a][m][r] = psi.axes[a].psi.value_or(missing);
          continue;
        }
        double total = 0, with_cells = 0;
        for (std::size_t a = 0; a < axes.size(); ++a) {
          if (axes[a].cells() == 0) continue;
          double sum = 0;
          for (std::size_t i = 0; i < axes[a].pairs.size(); ++i)
            sum += coefficient[a][i] * sign(x[axes[a].pairs[i].a] - x[axes[a].pairs[i].b]);
          psi_null_[a][m][r] = sum;
          total += sum;
          ++with_cells;
        }
        null(Stat::psi, m)[r] = with_cells > 0 ? total / with_cells : missing;
      }
    });
  }

  static std::optional<double> tau_b_of(const CellCounts& c, const LaneBlock::Lane& lane) {
    double concordant = 0, discordant = 0, tied_gap = 0, larger = 0;
    for (std::uint32_t u = 0; u < c.groups; ++u)
      for (std::uint32_t v = 0; v < c.groups; ++v) {
        const std::size_t cell = std::size_t{u} * c.groups + v;
        const double both = c.both[cell * lane_count + lane.lane];
        larger += static_cast<double>(c.gap_larger[cell]);
        concordant += both;
        discordant += lane.tied() ? static_cast<double>(c.both[cell * lane_count + lane.reversed])
                                  : static_cast<double>(c.gap_larger[cell]) - both;
        if (!c.tied_gap.empty()) tied_gap += c.tied_gap[cell * lane_count + lane.lane];
      }
    const double untied_x = concordant + discordant + tied_gap;
    if (untied_x == 0 || larger == 0) return std::nullopt;
    return std::clamp((concordant - discordant) / std::sqrt(untied_x) / std::sqrt(larger), -1.0, 1.0);
  }

  // tau-b, K and PGDL: of the items themselves, of bootstrap draws, of permutations.
  void pairs_of_items(const ItemGroup& g, const std::string& no_resampling) {
    Conditioning conditioning(g.design);
    std::string no_information;
    if (g.design.axes.empty()) no_information = "no axis was named";
    if (conditioning.cells > max_information_cells) no_information = "the axes have too many levels";
    if (!no_information.empty()) {
      Design without;
      without.items = g.design.items;
      conditioning = Conditioning(without);
    }
    std::string no_pgdl = no_information;
    if (no_pgdl.empty()) {
      if (const auto why = g.design.why_not_full_grid())
        no_pgdl = "needs a full grid: " + *why;
      else if (g.design.axes.size() < 2 && !o_.single_level_axis)
        no_pgdl = "needs two axes";
    }
    const std::vector<LaneBlock> blocks = lane_blocks(g.spans());
    const bool resample = no_resampling.empty();
    for (const std::size_t m : g.measures) {
      if (resample) {
        boot(Stat::tau_b_configurations, m).assign(resamples(), missing);
        null(Stat::tau_b_configurations, m).assign(permutations(), missing);
        if (no_information.empty()) {
          boot(Stat::jiang_k, m).assign(resamples(), missing);
          null(Stat::jiang_k, m).assign(permutations(), missing);
        }
        if (no_pgdl.empty()) null(Stat::pgdl, m).assign(permutations(), missing);
      }
      for (const Stat s : {Stat::tau_b_configurations, Stat::jiang_k, Stat::pgdl})
        stat(m, s).interval_reason = stat(m, s).null_reason = no_resampling;
      stat(m, Stat::pgdl).interval_reason = "a resample of a full grid is not a full grid";
    }
    enum class Kind { estimate, bootstrap, permute };
    const auto evaluate = [&](Kind kind, std::size_t draw, SignCountsMemory& memory,
                              std::vector<CellCounts>& counts) {
      std::vector<std::uint32_t> item(g.items.size()), measured;
      std::iota(item.begin(), item.end(), 0u);
      if (kind == Kind::bootstrap) {
        const auto times = draws_.counts(draw);
        item.clear();
        for (std::uint32_t i = 0; i < g.items.size(); ++i) item.insert(item.end(), times[g.items[i]], i);
        if (item.size() < 3) return;
      }
      measured = kind == Kind::permute ? permutation(o_, item.size(), draw) : item;
      const PairSample sample = sort_sample(g.gap, item, measured);
      for (const LaneBlock& block : blocks) {
        count_signs(conditioning.plan, sample, block, memory, counts);
        std::vector<JiangK> k;
        std::vector<PgdlScore> pgdl;
        if (no_information.empty()) k = jiang_k(conditioning, counts, block);
        if (no_pgdl.empty() && kind != Kind::bootstrap)
          pgdl = pgdl_score(conditioning, counts, block, o_.single_level_axis);
        for (std::size_t l = 0; l < block.measures.size(); ++l) {
          const std::size_t m = g.measures[block.measures[l].measure];
          const auto tau = tau_b_of(counts.front(), block.measures[l]);
          if (kind != Kind::estimate) {
            auto& draws = kind == Kind::bootstrap ? boot_ : null_;
            const auto put = [&](Stat s, const std::optional<double>& v) {
              draws[static_cast<std::size_t>(s)][m][draw] = v.value_or(missing);
            };
            put(Stat::tau_b_configurations, tau);
            if (!k.empty()) put(Stat::jiang_k, k[l].k);
            if (!pgdl.empty()) put(Stat::pgdl, pgdl[l].score);
            continue;
          }
          set(m, Stat::tau_b_configurations, tau, "the measure or the gap is constant");
          set(m, Stat::jiang_k, k.empty() ? std::nullopt : k[l].k,
              no_information.empty() ? "the gap's order has no entropy" : no_information);
          set(m, Stat::pgdl, pgdl.empty() ? std::nullopt : pgdl[l].score,
              no_pgdl.empty() ? "the gap's order has no entropy" : no_pgdl);
          MeasureResult& result = out_.measures[m];
          if (!k.empty()) {
            result.k_ratio = k[l].ratio;
            if (k[l].k) result.k_set = k[l].set;
          }
          if (!pgdl.empty()) {
            result.pgdl_ratio = pgdl[l].ratio;
            if (pgdl[l].score) result.pgdl_set = pgdl[l].set;
          }
        }
      }
    };
    const std::size_t boot_tasks = resample ? (resamples() + chunk - 1) / chunk : 0;
    const std::size_t null_tasks = resample ? (permutations() + chunk - 1) / chunk : 0;
    parallel_for(1 + boot_tasks + null_tasks, o_.threads, [&](std::size_t task) {
      SignCountsMemory memory;
      std::vector<CellCounts> counts;
      if (task == 0) return evaluate(Kind::estimate, 0, memory, counts);
      const bool is_boot = task <= boot_tasks;
      const std::size_t first = (is_boot ? task - 1 : task - 1 - boot_tasks) * chunk;
      for (std::size_t r = first; r < std::min(first + chunk, is_boot ? resamples() : permutations()); ++r)
        evaluate(is_boot ? Kind::bootstrap : Kind::permute, r, memory, counts);
    });
    for (std::size_t k = 0; k < g.measures.size(); ++k) null_tau_c(g, k, no_resampling);
    for (std::size_t k = 0; k < g.measures.size(); ++k)
      if (const auto e = tau_with_error(concordance_sums(g.x[k], g.gap)); e && averaged_)
        stat(g.measures[k], Stat::tau_b_configurations).standard_error = e->standard_error;
  }

  // A permutation changes neither the numbers of ties nor those of distinct values: tau-c over items is a multiple of
  // tau-b over items.
  void null_tau_c(const ItemGroup& g, std::size_t k, const std::string& no_resampling) {
    const std::size_t m = g.measures[k];
    stat(m, Stat::tau_c).null_reason = no_resampling;
    if (!no_resampling.empty()) return;
    const Kendall tau = kendall(g.x[k], g.gap);
    const std::size_t levels = std::min(dense_ranks(g.x[k]).distinct, dense_ranks(g.gap).distinct);
    const auto c = tau_c(tau, levels, levels);
    if (!c) return;
    const auto n = static_cast<double>(g.items.size()), pairs = n * (n - 1) / 2,
               l = static_cast<double>(levels);
    const double factor = std::sqrt(pairs - static_cast<double>(tau.ties_x)) *
                          std::sqrt(pairs - static_cast<double>(tau.ties_y)) * 2 * l / (n * n * (l - 1));
    compared_[static_cast<std::size_t>(Stat::tau_c)][m] = c;
    for (const double t : null(Stat::tau_b_configurations, m)) null(Stat::tau_c, m).push_back(factor * t);
  }

  void selection(const ItemGroup& g, const std::string& no_resampling) {
    const SelectionProblem problem(g.gap, o_.top);
    const std::vector<std::uint32_t> once(g.items.size(), 1);
    const BestGaps best = problem.best(once);
    Values small_gap;
    for (const double v : g.gap) small_gap.push_back(-v);
    std::vector<std::vector<std::uint32_t>> orders;
    static constexpr std::array stats = {Stat::regret, Stat::normalised_regret, Stat::hit, Stat::precision};
    const auto put = [&](std::vector<std::vector<Values>>& draws, std::size_t m, std::size_t r,
                         const Selection& s) {
      draws[static_cast<std::size_t>(Stat::regret)][m][r] = s.regret;
      draws[static_cast<std::size_t>(Stat::normalised_regret)][m][r] = s.normalised_regret.value_or(missing);
      draws[static_cast<std::size_t>(Stat::hit)][m][r] = s.hit;
      draws[static_cast<std::size_t>(Stat::precision)][m][r] = s.precision;
    };
    for (std::size_t k = 0; k < g.measures.size(); ++k) {
      const std::size_t m = g.measures[k];
      orders.push_back(SelectionProblem::order(g.x[k], in_.measures[m].larger_is_better));
      const Selection s = problem.select(g.x[k], orders[k], best, once);
      set(m, Stat::regret, s.regret, "");
      set(m, Stat::normalised_regret, s.normalised_regret, "the median gap is the smallest");
      set(m, Stat::hit, s.hit, "");
      set(m, Stat::precision, s.precision, "");
      Values negative;
      for (const double v : g.x[k]) negative.push_back(-v);
      set(m, Stat::weighted_tau, weighted_tau(negative, small_gap), "the measure or the gap is constant");
      for (const Stat s2 : stats) {
        stat(m, s2).interval_reason = stat(m, s2).null_reason = no_resampling;
        if (!no_resampling.empty()) continue;
        boot(s2, m).assign(resamples(), missing);
        null(s2, m).assign(permutations(), missing);
      }
      stat(m, Stat::weighted_tau).null_reason = no_resampling;
      stat(m, Stat::weighted_tau).interval_reason =
          "the bootstrap is not consistent for weights that rest on the few smallest gaps";
    }
    if (!no_resampling.empty()) return;
    parallel_for(resamples(), o_.threads, [&](std::size_t r) {
      std::vector<std::uint32_t> times;
      for (const std::uint32_t i : g.items) times.push_back(draws_.counts(r)[i]);
      if (std::all_of(times.begin(), times.end(), [](std::uint32_t t) { return t == 0; })) return;
      const BestGaps drawn = problem.best(times);
      for (std::size_t k = 0; k < g.measures.size(); ++k)
        put(boot_, g.measures[k], r, problem.select(g.x[k], orders[k], drawn, times));
    });
    parallel_for(permutations(), o_.threads, [&](std::size_t r) {
      const auto moved = permutation(o_, g.items.size(), r);
      std::vector<std::uint32_t> place(moved.size()), order(moved.size());
      for (std::uint32_t i = 0; i < moved.size(); ++i) place[moved[i]] = i;
      Values x(moved.size());
      for (std::size_t k = 0; k < g.measures.size(); ++k) {
        for (std::size_t i = 0; i < moved.size(); ++i) {
          x[i] = g.x[k][moved[i]];
          order[i] = place[orders[k][i]];
        }
        put(null_, g.measures[k], r, problem.select(x, order, best, once));
      }
    });
  }

  // Spearman and Pearson over permuted items; weighted tau, whose law is the same for all measures without ties.
  void permute_correlations(const ItemGroup& g) {
    const Values rank_y = average_ranks(g.gap);
    std::vector<Values> ranks;
    for (const Values& x : g.x) ranks.push_back(average_ranks(x));
    for (std::size_t k = 0; k < g.measures.size(); ++k) {
      const std::size_t m = g.measures[k];
      null(Stat::spearman, m).assign(permutations(), missing);
      null(Stat::pearson, m).assign(permutations(), missing);
      compared_[static_cast<std::size_t>(Stat::spearman)][m] = spearman(g.x[k], g.gap);
      compared_[static_cast<std::size_t>(Stat::pearson)][m] = pearson(g.x[k], g.gap);
    }
    const std::size_t n = g.items.size();
    const auto standardised = [&](const Values& values) {
      Values v = values;
      double mean = 0, largest = 0, squares = 0;
      for (const double a : v) mean += a / static_cast<double>(n);
      for (double& a : v) largest = std::max(largest, std::abs(a -= mean));
      for (double& a : v) squares += largest > 0 ? (a / largest) * (a / largest) : 0;
      for (double& a : v) a = squares > 0 ? a / largest / std::sqrt(squares) : missing;
      return v;
    };
    const Values y = standardised(g.gap), ry = standardised(rank_y);
    std::vector<Values> x, rx;
    for (std::size_t k = 0; k < g.x.size(); ++k) {
      x.push_back(standardised(g.x[k]));
      rx.push_back(standardised(ranks[k]));
    }
    parallel_for(permutations(), o_.threads, [&](std::size_t r) {
      const auto moved = permutation(o_, n, r);
      for (std::size_t k = 0; k < g.measures.size(); ++k) {
        double linear = 0, rank = 0;
        for (std::size_t i = 0; i < n; ++i) {
          linear += x[k][moved[i]] * y[i];
          rank += rx[k][moved[i]] * ry[i];
        }
        null(Stat::pearson, g.measures[k])[r] = linear;
        null(Stat::spearman, g.measures[k])[r] = rank;
      }
    });
    const std::size_t count = std::min(permutations(), costly_draws);
    const auto weighted_null = [&](const Values& measure) {
      Values draws(count, missing), small_gap;
      for (const double v : g.gap) small_gap.push_back(-v);
      parallel_for(count, o_.threads, [&](std::size_t r) {
        const auto moved = permutation(o_, n, r);
        Values negative;
        for (const std::uint32_t i : moved) negative.push_back(-measure[i]);
        draws[r] = weighted_tau(negative, small_gap).value_or(missing);
      });
      return draws;
    };
    Values shared;
    for (std::size_t k = 0; k < g.measures.size(); ++k) {
      const std::size_t distinct = dense_ranks(g.x[k]).distinct;
      if (distinct < 2) continue;
      if (distinct < n) {
        null(Stat::weighted_tau, g.measures[k]) = weighted_null(g.x[k]);
      } else {
        if (shared.empty()) shared = weighted_null(g.x[k]);
        null(Stat::weighted_tau, g.measures[k]) = shared;
      }
    }
  }

  // ---- environments ------------------------------------------------------------------------------------------

  void sign_error() {
    const std::vector<AxisPairs> pairs = axis_pairs(in_.design);
    const Environments environments(pairs, runs_, o_.sign_error);
    out_.min_ess = environments.min_ess();
    for (std::size_t a = 0; a < pairs.size(); ++a) {
      out_.environments.push_back(pairs[a].pairs.size());
      out_.environments_kept.push_back(environments.kept(a));
    }
    // families: same axis, same two levels
    std::map<std::array<std::uint32_t, 3>, std::uint32_t> index;
    std::vector<std::uint32_t> family_of;
    for (const Environment& e : environments.all()) {
      const auto& level = in_.design.axes[e.axis].level;
      family_of.push_back(
          index.try_emplace({e.axis, level[e.a], level[e.b]}, static_cast<std::uint32_t>(index.size()))
              .first->second);
    }
    std::string reason;
    if (environments.all().empty())
      reason = pairs.empty() ? "no axis was named" : "no two configurations differ in one axis alone";
    else if (environments.kept() == 0)
      reason = "none of " + std::to_string(environments.all().size()) +
               " environments has an effective sample size of " + number(environments.min_ess()) +
               "; the gaps differ by less than their noise, or choose a smaller --min-ess";
    std::vector<std::vector<std::optional<double>>> losses(in_.measures.size());
    parallel_for(in_.measures.size(), o_.threads, [&](std::size_t m) {
      losses[m] = environments.losses(in_.measures[m].values);
      Values all;
      std::vector<Values> per_axis(pairs.size());
      for (std::size_t e = 0; e < losses[m].size(); ++e)
        if (losses[m][e]) {
          all.push_back(*losses[m][e]);
          per_axis[environments.all()[e].axis].push_back(*losses[m][e]);
        }
      const auto summary = summarise(all);
      const std::string why = reason.empty() ? "no environment has enough values of the measure" : reason;
      set(m, Stat::sign_error_mean, summary ? std::optional(summary->mean) : std::nullopt, why);
      set(m, Stat::sign_error_q90, summary ? std::optional(summary->q90) : std::nullopt, why);
      set(m, Stat::sign_error_max, summary ? std::optional(summary->max) : std::nullopt, why);
      for (std::size_t a = 0; a < pairs.size(); ++a) {
        AxisResult& axis = out_.measures[m].axes[a];
        axis.sign_error = summarise(per_axis[a]);
        if (axis.sign_error) axis.sign_error_cdf = loss_cdf(per_axis[a], axis_cdf_bins);
      }
      if (summary) out_.measures[m].sign_error_cdf = loss_cdf(all, cdf_bins);
      const auto families = environments.family_losses(in_.measures[m].values, family_of, index.size());
      for (const auto& [key, f] : index)
        out_.measures[m].families.push_back({key[0], key[1], key[2], families[f]});
      stat(m, Stat::sign_error_max).interval_reason = "the bootstrap is not consistent for a maximum";
      if (summary) resample_losses(m, environments, losses[m]);
    });
    if (environments.kept() == 0 || permutations() == 0) return;
    if (in_.design.items > max_resampled_configurations) {
      for (std::size_t m = 0; m < in_.measures.size(); ++m)
        for (const Stat s : {Stat::sign_error_mean, Stat::sign_error_q90, Stat::sign_error_max})
          stat(m, s).null_reason =
              "not permuted above " + std::to_string(max_resampled_configurations) + " configurations";
      return;
    }
    permute_losses(environments);
  }

  static std::string number(double v) {
    std::string text = std::to_string(v);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  }

  // Environments of a draw: each as often as its two configurations together.
  void resample_losses(std::size_t m, const Environments& environments,
                       const std::vector<std::optional<double>>& losses) {
    std::vector<std::uint32_t> order;
    for (std::uint32_t e = 0; e < losses.size(); ++e)
      if (losses[e]) order.push_back(e);
    std::sort(order.begin(), order.end(), [&](auto a, auto b) { return *losses[a] < *losses[b]; });
    std::vector<std::uint64_t> times(order.size());
    for (std::size_t r = 0; r < resamples(); ++r) {
      const auto counts = draws_.counts(r);
      std::uint64_t total = 0;
      double sum = 0;
      for (std::size_t i = 0; i < order.size(); ++i) {
        const Environment& e = environments.all()[order[i]];
        times[i] = std::uint64_t{counts[e.a]} * counts[e.b];
        total += times[i];
        sum += static_cast<double>(times[i]) * *losses[order[i]];
      }
      if (total == 0) {
        boot(Stat::sign_error_mean, m).push_back(missing);
        boot(Stat::sign_error_q90, m).push_back(missing);
        continue;
      }
      boot(Stat::sign_error_mean, m).push_back(sum / static_cast<double>(total));
      const double position = 0.9 * static_cast<double>(total - 1);
      const auto low = static_cast<std::uint64_t>(position);
      std::uint64_t seen = 0;
      std::size_t i = 0;
      while (seen + times[i] <= low) seen += times[i++];
      const double at = *losses[order[i]];
      while (seen + times[i] <= std::min(low + 1, total - 1)) seen += times[i++];
      boot(Stat::sign_error_q90, m)
          .push_back(at + (position - static_cast<double>(low)) * (*losses[order[i]] - at));
    }
  }

  void permute_losses(const Environments& environments) {
    struct Kept {
      std::uint32_t a, b;
      float order;  // weighted mean of sign(g_i - g_j)
    };
    std::vector<Kept> kept;
    for (std::size_t e = 0; e < environments.all().size(); ++e)
      if (const Environment& v = environments.all()[e]; v.kept)
        kept.push_back({v.a, v.b, static_cast<float>(environments.mean_order(e))});
    const std::size_t count = in_.measures.size();
    for (const Stat s : {Stat::sign_error_mean, Stat::sign_error_q90, Stat::sign_error_max})
      for (std::size_t m = 0; m < count; ++m)
        if (stat(m, s).value) null(s, m).assign(permutations(), missing);
    parallel_for((count + table_lanes - 1) / table_lanes, o_.threads, [&](std::size_t b) {
      std::vector<std::span<const double>> lanes;
      for (std::size_t m = b * table_lanes; m < std::min(count, (b + 1) * table_lanes); ++m)
        lanes.emplace_back(in_.measures[m].values);
      const MeanSigns signs(lanes, runs_);
      std::vector<float> losses(kept.size() * table_lanes), lane(kept.size());
      // one round more than permutations: the first leaves every configuration in its place, and gives the value
      // that the draws are to be compared with, averaged over the matchings of seeds as they are
      for (std::size_t round = 0; round <= permutations(); ++round) {
        std::vector<std::uint32_t> moved(in_.design.items);
        std::iota(moved.begin(), moved.end(), 0u);
        if (round > 0) moved = permutation(o_, in_.design.items, round - 1);
        const auto place = [&](std::size_t e) {
          const std::uint32_t a = moved[kept[e].a], c = moved[kept[e].b];
          return signs.at(std::min(a, c), std::max(a, c));
        };
        for (std::size_t e = 0; e < kept.size(); ++e) {
          constexpr std::size_t ahead = 16;  // the table is far larger than the cache: fetch early
          if (e + ahead < kept.size()) __builtin_prefetch(place(e + ahead));
          const std::uint32_t a = moved[kept[e].a], c = moved[kept[e].b];
          const float* const mean = place(e);
          const float order = (a < c ? 0.5f : -0.5f) * kept[e].order;
          for (std::size_t l = 0; l < table_lanes; ++l) losses[e * table_lanes + l] = 0.5f - order * mean[l];
        }
        for (std::size_t l = 0; l < lanes.size(); ++l) {
          const std::size_t m = b * table_lanes + l;
          if (!stat(m, Stat::sign_error_mean).value) continue;
          for (std::size_t e = 0; e < kept.size(); ++e) lane[e] = losses[e * table_lanes + l];
          double sum = 0;
          for (const float v : lane) sum += static_cast<double>(v);
          const auto [q90, max] = upper_decile(lane);
          const auto put = [&](Stat s, double value) {
            if (round == 0)
              compared_[static_cast<std::size_t>(s)][m] = value;
            else
              null(s, m)[round - 1] = value;
          };
          put(Stat::sign_error_mean, sum / static_cast<double>(kept.size()));
          put(Stat::sign_error_q90, q90);
          put(Stat::sign_error_max, max);
        }
      }
    });
  }

  // The 90th percentile and the maximum of losses in [0, 1]: counts in bins tell which few values to sort.
  static std::pair<double, double> upper_decile(const std::vector<float>& losses) {
    constexpr std::size_t bins = 256;
    std::array<std::uint32_t, bins + 1> count{};
    const auto bin = [](float v) { return static_cast<std::size_t>(std::clamp(v, 0.0f, 1.0f) * bins); };
    for (const float v : losses) ++count[bin(v)];
    const double position = 0.9 * static_cast<double>(losses.size() - 1);
    const auto low = static_cast<std::size_t>(position);
    std::size_t first = 0, below = 0;  // the bin of the value at `low`, and how many values lie below it
    while (below + count[first] <= low) below += count[first++];
    std::vector<float> upper;
    upper.reserve(losses.size() - below);
    for (const float v : losses)
      if (bin(v) >= first) upper.push_back(v);
    const auto at = upper.begin() + static_cast<std::ptrdiff_t>(low - below);
    std::nth_element(upper.begin(), at, upper.end());
    const double value = static_cast<double>(*at);
    if (at + 1 == upper.end()) return {value, value};
    const auto [next, max] = std::minmax_element(at + 1, upper.end());
    return {value + (position - static_cast<double>(low)) * (static_cast<double>(*next) - value),
            static_cast<double>(*max)};
  }

  // ---- fits --------------------------------------------------------------------------------------------------

  void robust() {
    const std::size_t axes = in_.design.axes.size();
    parallel_for(in_.measures.size(), o_.threads, [&](std::size_t m) {
      static constexpr std::array stats = {Stat::robust_rmse_configuration, Stat::robust_rmse_axis,
                                           Stat::robust_rmse_level};
      for (const Stat s : stats) {
        stat(m, s).interval_reason = "the bootstrap is not consistent for a maximum";
        stat(m, s).null_reason =
            "not permuted: every draw is a minimax problem of its own; a measure without information gives "
            "the baseline";
      }
      const auto& rows = present_[m];
      if (rows.size() < 3) {
        for (const Stat s : stats) set(m, s, std::nullopt, "fewer than 3 models have a value");
        return;
      }
      std::vector<std::uint32_t> configuration;
      for (const std::uint32_t i : rows) configuration.push_back(in_.configuration[i]);
      const Values x = chosen(in_.measures[m].values, rows), y = chosen(in_.gap, rows);
      const Runs runs = Runs::from(y, configuration, in_.design.items);
      Groups by_axis;
      for (std::size_t a = 0; a < axes; ++a)
        for (auto& group : axis_environments(in_.design, runs.of, a)) by_axis.push_back(std::move(group));
      const auto fit = [&](Stat s, const Groups& groups, std::optional<double>& baseline) {
        const auto f = robust_rmse(x, y, groups);
        set(m, s, f ? std::optional(f->rmse) : std::nullopt, "no axis was named");
        if (f && rows.size() == in_.gap.size() && m == first_complete()) baseline = f->baseline;
        return f;
      };
      fit(Stat::robust_rmse_configuration, runs.of, out_.rmse_baseline_configuration);
      if (const auto f = fit(Stat::robust_rmse_axis, by_axis, out_.rmse_baseline_axis))
        out_.measures[m].rmse_slope = f->w;
      fit(Stat::robust_rmse_level, level_environments(in_.design, runs.of), out_.rmse_baseline_level);
    });
  }

  std::size_t first_complete() const {
    std::size_t m = 0;
    while (m < present_.size() && present_[m].size() != in_.gap.size()) ++m;
    return m;
  }

  void prediction() {
    const auto fold_of = configuration_folds(in_.design.items, o_.folds, o_.random_seed);
    struct Errors {  // of each configuration: sums over its rows
      Values fit, mean, absolute, rows;
    };
    const auto errors_of = [&](const OutOfFold& f, const Values& y,
                               const std::vector<std::uint32_t>& configuration) {
      Errors e;
      for (Values* v : {&e.fit, &e.mean, &e.absolute, &e.rows}) v->assign(in_.design.items, 0.0);
      for (std::size_t i = 0; i < y.size(); ++i) {
        const double d = y[i] - f.prediction[i], c = y[i] - f.mean[i];
        e.fit[configuration[i]] += d * d;
        e.mean[configuration[i]] += c * c;
        e.absolute[configuration[i]] += std::abs(d);
        e.rows[configuration[i]] += 1;
      }
      return e;
    };
    parallel_for(in_.measures.size() + 1, o_.threads, [&](std::size_t m) {
      static constexpr std::array stats = {Stat::r2_measure, Stat::mae_measure, Stat::r2_both, Stat::r2_gain};
      const bool bare = m == in_.measures.size();  // the hyper-parameters alone, over all rows
      std::vector<std::uint32_t> rows(in_.gap.size()), configuration, fold;
      std::iota(rows.begin(), rows.end(), 0u);
      if (!bare) rows = present_[m];
      for (const std::uint32_t i : rows) {
        configuration.push_back(in_.configuration[i]);
        fold.push_back(fold_of[configuration.back()]);
      }
      const Values y = chosen(in_.gap, rows);
      const Features levels = level_features(in_.design, configuration);
      if (bare) {
        if (in_.design.items < 3) return;
        const OutOfFold f = out_of_fold(levels, y, fold);
        const PredictionScore s = score(f, y);
        if (!in_.design.axes.empty()) {
          out_.r2_hyperparameters = s.r2;
          out_.mae_hyperparameters = s.mae;
        }
        out_.mae_mean = score({f.mean, f.mean}, y).mae;
        return;
      }
      for (const Stat s : {Stat::r2_both, Stat::r2_gain})
        stat(m, s).null_reason = "a permutation would part the measure from the hyper-parameters too";
      if (rows.size() < 3 || out_.measures[m].items < 3) {
        for (const Stat s : stats) set(m, s, std::nullopt, "fewer than 3 configurations have a value");
        return;
      }
      const Values x = chosen(in_.measures[m].values, rows);
      const Features alone = with_rank({0, {}}, x), both = with_rank(levels, x);
      const OutOfFold by_measure = out_of_fold(alone, y, fold), by_both = out_of_fold(both, y, fold),
                      by_levels = out_of_fold(levels, y, fold);
      const PredictionScore s = score(by_measure, y), b = score(by_both, y), h = score(by_levels, y);
      set(m, Stat::r2_measure, s.r2, "all gaps are equal");
      set(m, Stat::mae_measure, s.mae, "");
      const bool axes = !in_.design.axes.empty();
      set(m, Stat::r2_both, axes ? b.r2 : std::nullopt, axes ? "all gaps are equal" : "no axis was named");
      set(m, Stat::r2_gain, axes && b.r2 && h.r2 ? std::optional(*b.r2 - *h.r2) : std::nullopt,
          axes ? "all gaps are equal" : "no axis was named");
      permute_prediction(m, alone.values, configuration, fold, y);
      const Errors em = errors_of(by_measure, y, configuration), eb = errors_of(by_both, y, configuration),
                   eh = errors_of(by_levels, y, configuration);
      for (std::size_t r = 0; r < resamples(); ++r) {
        const auto counts = draws_.counts(r);
        const auto total = [&](const Values& v) {
          double sum = 0;
          for (std::size_t c = 0; c < v.size(); ++c) sum += counts[c] * v[c];
          return sum;
        };
        const double mean = total(em.mean), n = total(em.rows);
        const auto r2 = [&](const Errors& e) { return mean > 0 ? 1 - total(e.fit) / mean : missing; };
        boot(Stat::r2_measure, m).push_back(r2(em));
        boot(Stat::mae_measure, m).push_back(n > 0 ? total(em.absolute) / n : missing);
        if (!axes) continue;
        boot(Stat::r2_both, m).push_back(r2(eb));
        boot(Stat::r2_gain, m).push_back(r2(eb) - r2(eh));
      }
    });
  }

  // R2 and MAE of the measure with whole configurations moved, each with its seeds in order. The measure is one
  // column, so every draw is ten lines through sums of the folds.
  void permute_prediction(std::size_t m, const Values& x, const std::vector<std::uint32_t>& configuration,
                          const std::vector<std::uint32_t>& fold, const Values& y) {
    std::vector<std::vector<std::uint32_t>> rows(in_.design.items);
    for (std::uint32_t i = 0; i < y.size(); ++i) rows[configuration[i]].push_back(i);
    std::erase_if(rows, [](const auto& own) { return own.empty(); });
    for (const auto& own : rows)
      if (own.size() != rows.front().size()) {
        for (const Stat s : {Stat::r2_measure, Stat::mae_measure})
          stat(m, s).null_reason =
              "the configurations have different numbers of seeds: they do not change places";
        return;
      }
    if (std::all_of(x.begin(), x.end(), [](double v) { return v == 0; })) {
      for (const Stat s : {Stat::r2_measure, Stat::mae_measure})
        stat(m, s).null_reason = "the measure is constant";
      return;
    }
    const std::size_t folds = *std::max_element(fold.begin(), fold.end()) + 1, seeds = rows.front().size();
    struct Sums {
      double n = 0, x = 0, y = 0, xx = 0, xy = 0;
    };
    Values moved(y.size());
    // as for the sign error, the first round leaves everything in its place, so that the value the draws are compared
    // with is rounded as they are
    for (std::size_t round = 0; round <= std::min(permutations(), costly_draws); ++round) {
      std::vector<std::uint32_t> place(rows.size());
      std::iota(place.begin(), place.end(), 0u);
      if (round > 0) place = permutation(o_, rows.size(), round - 1);
      std::vector<Sums> part(folds);
      Sums all;
      for (std::size_t c = 0; c < rows.size(); ++c)
        for (std::size_t s = 0; s < seeds; ++s) {
          const std::uint32_t i = rows[c][s];
          const double v = moved[i] = x[rows[place[c]][s]];
          for (Sums* sums : {&part[fold[i]], &all}) {
            sums->n += 1;
            sums->x += v;
            sums->y += y[i];
            sums->xx += v * v;
            sums->xy += v * y[i];
          }
        }
      Values slope(folds, 0.0), intercept(folds, 0.0), mean(folds, 0.0);
      for (std::size_t f = 0; f < folds; ++f) {
        const double n = all.n - part[f].n, mx = (all.x - part[f].x) / n;
        if (n == 0) continue;
        mean[f] = (all.y - part[f].y) / n;
        // the ridge of runners/ranking/prediction.h
        const double variance = all.xx - part[f].xx - n * mx * mx + 1e-9 * n;
        slope[f] = (all.xy - part[f].xy - n * mx * mean[f]) / variance;
        intercept[f] = mean[f] - slope[f] * mx;
      }
      double error = 0, total = 0, absolute = 0;
      for (std::size_t i = 0; i < y.size(); ++i) {
        const double d = y[i] - intercept[fold[i]] - slope[fold[i]] * moved[i], c = y[i] - mean[fold[i]];
        error += d * d;
        total += c * c;
        absolute += std::abs(d);
      }
      const auto put = [&](Stat s, double value) {
        if (round == 0)
          compared_[static_cast<std::size_t>(s)][m] = value;
        else
          null(s, m).push_back(value);
      };
      if (total > 0) put(Stat::r2_measure, 1 - error / total);
      put(Stat::mae_measure, absolute / static_cast<double>(y.size()));
    }
  }

  // ---- differences, intervals and nulls ----------------------------------------------------------------------

  void differences(const ItemGroup& g) {
    std::vector<std::size_t> family;  // positions in the group
    for (std::size_t k = 0; k < g.measures.size(); ++k)
      if (in_.measures[g.measures[k]].in_family && stat(g.measures[k], Stat::tau_b_configurations).value)
        family.push_back(k);
    if (family.size() < 2) return;
    const auto tau = [&](std::size_t k) { return *stat(g.measures[k], Stat::tau_b_configurations).value; };
    const std::size_t best =
        *std::max_element(family.begin(), family.end(), [&](auto a, auto b) { return tau(a) < tau(b); });
    const std::size_t n = g.items.size();
    const auto top = concordance_sums(g.x[best], g.gap);
    std::vector<Values> deviation;
    for (const std::size_t k : family) {
      if (k == best) continue;
      const auto sums = concordance_sums(g.x[k], g.gap);
      const auto e = tau_difference(sums, top);
      if (!e || e->standard_error == 0) continue;
      Values d;
      for (std::size_t i = 0; i < n; ++i)
        d.push_back((static_cast<double>(sums[i] - top[i]) / static_cast<double>(n - 1) - e->value) * 2 /
                    static_cast<double>(n) / e->standard_error);
      deviation.push_back(std::move(d));
      out_.differences.push_back({g.measures[k], g.measures[best], e->value, e->standard_error});
    }
    const std::size_t draws = permutations();
    if (draws == 0) return;
    Values largest(draws, 0.0);
    std::vector<Values> standardised(deviation.size(), Values(draws));
    parallel_for(draws, o_.threads, [&](std::size_t r) {
      RandomStream random(purpose_key(o_, "multiplier"), r);
      Values sign_of(n);
      for (double& s : sign_of) s = random.below(2) ? 1 : -1;
      for (std::size_t k = 0; k < deviation.size(); ++k) {
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i) sum += sign_of[i] * deviation[k][i];
        standardised[k][r] = std::abs(sum);
        largest[r] = std::max(largest[r], std::abs(sum));
      }
    });
    for (std::size_t k = 0; k < deviation.size(); ++k) {
      Difference& d = out_.differences[k];
      const double z = std::abs(d.value) / d.standard_error;
      const auto share = [&](const Values& v) {
        return (1.0 +
                static_cast<double>(std::count_if(v.begin(), v.end(), [&](double t) { return t >= z; }))) /
               (1.0 + static_cast<double>(draws));
      };
      d.p = share(standardised[k]);
      d.p_family = share(largest);
      std::sort(standardised[k].begin(), standardised[k].end());
      const double width = quantile(standardised[k], o_.level) * d.standard_error;
      d.low = d.value - width;
      d.high = d.value + width;
    }
  }

  std::optional<Interval> interval(const Values& draws) const {
    Values defined;
    for (const double v : draws)
      if (!std::isnan(v)) defined.push_back(v);
    if (defined.size() < 2) return std::nullopt;
    std::sort(defined.begin(), defined.end());
    return Interval{quantile(defined, (1 - o_.level) / 2), quantile(defined, (1 + o_.level) / 2),
                    static_cast<std::int64_t>(defined.size()),
                    static_cast<std::int64_t>(draws.size() - defined.size())};
  }

  // Intervals and nulls of one statistic, whose results `of` finds, over all measures.
  template <class Of>
  void summarise_draws(const std::vector<Values>& boot, const std::vector<Values>& null,
                       const StatisticInfo& info, const std::vector<std::optional<double>>& observed,
                       const Of& of) {
    const std::size_t count = in_.measures.size();
    std::vector<std::optional<double>> family(count), alone = observed, p(count);
    for (std::size_t m = 0; m < count; ++m)
      if (in_.measures[m].in_family) family[m] = observed[m];
    const PermutationP all = permutation_p(alone, null, info.tail, info.chance),
                       shared = permutation_p(family, null, info.tail, info.chance);
    for (std::size_t m = 0; m < count; ++m)
      if (family[m]) p[m] = all.p[m];
    const auto q = benjamini_hochberg(p);
    for (std::size_t m = 0; m < count; ++m) {
      Statistic& s = of(m);
      if (!s.value) continue;
      if (in_.design.items < 2) {
        s.interval_reason = s.null_reason = "a single configuration can be neither resampled nor permuted";
        continue;
      }
      s.interval = interval(boot[m]);
      if (s.interval)
        s.interval_reason.clear();
      else if (s.interval_reason.empty())
        s.interval_reason = "no resamples were asked for, or none defines it";
      const auto band = interval(null[m]);
      if (band && all.p[m]) {
        s.null_reason.clear();
        s.null = NullBand{
            band->low, band->high, band->resamples, *all.p[m], shared.family[m].value_or(*all.p[m]), q[m]};
      } else if (s.null_reason.empty()) {
        s.null_reason = "no permutations were asked for, or none defines it";
      }
    }
  }

  void finish() {
    const std::size_t count = in_.measures.size();
    for (std::size_t s = 0; s < stat_count; ++s) {
      const bool over_models = static_cast<Stat>(s) == Stat::tau_b;
      const std::size_t from = over_models ? static_cast<std::size_t>(Stat::tau_b_configurations) : s;
      std::vector<std::optional<double>> observed(count);
      for (std::size_t m = 0; m < count; ++m) observed[m] = out_.measures[m].statistics[from].value;
      for (std::size_t m = 0; m < count; ++m)
        if (compared_[s][m]) observed[m] = compared_[s][m];
      if (from != s)
        for (MeasureResult& m : out_.measures) m.statistics[s].null_reason = m.statistics[from].null_reason;
      summarise_draws(boot_[s], null_[from], statistic_catalogue()[s], observed,
                      [&](std::size_t m) -> Statistic& { return out_.measures[m].statistics[s]; });
    }
    for (std::size_t a = 0; a < in_.design.axes.size(); ++a) {
      std::vector<std::optional<double>> observed(count);
      for (std::size_t m = 0; m < count; ++m) observed[m] = out_.measures[m].axes[a].psi.value;
      summarise_draws(psi_boot_[a], psi_null_[a], statistic_catalogue()[static_cast<std::size_t>(Stat::psi)],
                      observed, [&](std::size_t m) -> Statistic& { return out_.measures[m].axes[a].psi; });
    }
  }

  const ProtocolInput& in_;
  const ProtocolOptions& o_;
  const Runs runs_;
  bool averaged_ = true;
  std::vector<std::vector<std::uint32_t>> present_;  // rows with a value, per measure
  Draws boot_, null_, psi_boot_, psi_null_;          // the last two per axis
  // What permutations are compared with where it is not the value itself: the same statistic with seeds averaged.
  std::vector<std::vector<std::optional<double>>> compared_;
  const BootstrapDraws draws_;
  ProtocolResult out_;
};

}  // namespace

ProtocolResult evaluate_protocols(const ProtocolInput& input, const ProtocolOptions& options) {
  return Evaluation(input, options).run();
}

}  // namespace gapbench
