#include "runners/ranking/protocol_document.h"

namespace gapbench {

using nlohmann::ordered_json;

namespace {

template <class T>
ordered_json or_null(const std::optional<T>& v) {
  return v ? ordered_json(*v) : ordered_json(nullptr);
}

ordered_json text_or_null(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

ordered_json statistic_json(const Statistic& s) {
  ordered_json interval = nullptr, null = nullptr;
  if (s.interval)
    interval = {{"low", s.interval->low},
                {"high", s.interval->high},
                {"resamples", s.interval->resamples},
                {"undefined_resamples", s.interval->undefined}};
  if (s.null)
    null = {{"low", s.null->low}, {"high", s.null->high},       {"draws", s.null->draws},
            {"p", s.null->p},     {"p_family", s.null->family}, {"q", or_null(s.null->q)}};
  return {{"value", or_null(s.value)},
          {"reason", text_or_null(s.value ? "" : s.reason)},
          {"standard_error", or_null(s.standard_error)},
          {"interval", interval},
          {"interval_reason", text_or_null(s.value && !s.interval ? s.interval_reason : "")},
          {"null", null},
          {"null_reason", text_or_null(s.value && !s.null ? s.null_reason : "")}};
}

ordered_json ratios_json(const std::vector<std::optional<double>>& ratios) {
  ordered_json list = ordered_json::array();
  for (const auto& r : ratios) list.push_back(or_null(r));
  return list;
}

ordered_json upper_edges(std::size_t bins) {
  ordered_json edges = ordered_json::array();
  for (std::size_t k = 1; k <= bins; ++k) edges.push_back(static_cast<double>(k) / static_cast<double>(bins));
  return edges;
}

const char* tail_name(Tail tail) {
  return tail == Tail::two_sided ? "two-sided" : tail == Tail::larger ? "larger" : "smaller";
}

}  // namespace

ordered_json statistics_json() {
  ordered_json list = ordered_json::array();
  for (const StatisticInfo& s : statistic_catalogue())
    list.push_back({{"id", s.id},
                    {"label", s.label},
                    {"better", s.better},
                    {"test", tail_name(s.tail)},
                    {"chance", or_null(s.chance)},
                    {"sees_sign", s.sees_sign},
                    {"meaning", s.meaning}});
  return list;
}

ordered_json protocol_json(const ProtocolResult& result, const ProtocolOptions& options,
                           const ProtocolNames& names) {
  ordered_json sets = ordered_json::array(), environments = ordered_json::array(),
               differences = ordered_json::array();
  for (const auto& set : result.conditioning_sets) {
    ordered_json axes = ordered_json::array();
    for (const std::size_t a : set) axes.push_back(names.axes[a]);
    sets.push_back(std::move(axes));
  }
  std::size_t total = 0, kept = 0;
  for (std::size_t a = 0; a < result.environments.size(); ++a) {
    total += result.environments[a];
    kept += result.environments_kept[a];
    environments.push_back(
        {{"axis", names.axes[a]}, {"total", result.environments[a]}, {"kept", result.environments_kept[a]}});
  }
  for (const Difference& d : result.differences)
    differences.push_back({{"measure", names.measures[d.measure]},
                           {"other", names.measures[d.other]},
                           {"value", d.value},
                           {"standard_error", d.standard_error},
                           {"low", d.low},
                           {"high", d.high},
                           {"p", d.p},
                           {"p_family", d.p_family}});
  const SignErrorOptions& sign = options.sign_error;
  return {{"gap", names.gap},
          {"seeds_as", options.seeds_as == SeedsAs::averaged ? "averaged"
                       : options.seeds_as == SeedsAs::fixed  ? "fixed"
                                                             : "cross"},
          {"constant", options.constant == ConstantCell::zero ? "zero" : "skip"},
          {"resamples", options.resamples},
          {"permutations", options.permutations},
          {"level", options.level},
          {"largest_seeds", result.largest_seeds},
          {"top", options.top},
          {"folds", options.folds},
          {"full_grid", !result.why_not_full_grid},
          {"grid_reason", or_null(result.why_not_full_grid)},
          {"conditioning_sets", sets},
          {"environments",
           {{"weights", sign.hoeffding ? "hoeffding" : "none"},
            {"test_points", sign.hoeffding ? ordered_json(sign.test_points) : ordered_json(nullptr)},
            {"min_ess", result.min_ess},
            {"total", total},
            {"kept", kept},
            {"cdf_grid", {{"all", upper_edges(cdf_bins)}, {"by_axis", upper_edges(axis_cdf_bins)}}},
            {"axes", environments}}},
          {"hyperparameters",
           {{"r2", or_null(result.r2_hyperparameters)},
            {"mae", or_null(result.mae_hyperparameters)},
            {"mae_mean", or_null(result.mae_mean)}}},
          {"robust_rmse_baseline",
           {{"configuration", or_null(result.rmse_baseline_configuration)},
            {"axis", or_null(result.rmse_baseline_axis)},
            {"level", or_null(result.rmse_baseline_level)}}},
          {"differences", differences}};
}

void add_measure_json(const MeasureResult& measure, const ProtocolNames& names, ordered_json& result) {
  ordered_json statistics = ordered_json::object();
  for (std::size_t s = 0; s < stat_count; ++s)
    statistics[statistic_catalogue()[s].id] = statistic_json(measure.statistics[s]);
  ordered_json axes = ordered_json::array();
  for (std::size_t a = 0; a < measure.axes.size(); ++a) {
    const AxisResult& axis = measure.axes[a];
    ordered_json sign = nullptr;
    if (axis.sign_error)
      sign = {{"mean", axis.sign_error->mean},
              {"q90", axis.sign_error->q90},
              {"max", axis.sign_error->max},
              {"cdf", axis.sign_error_cdf},
              {"environments", axis.sign_error->environments}};
    axes.push_back({{"axis", names.axes[a]},
                    {"psi", statistic_json(axis.psi)},
                    {"cells",
                     {{"used", axis.cells.cells_used},
                      {"possible", axis.cells.cells_possible},
                      {"constant", axis.cells.cells_constant},
                      {"tied_gap", axis.cells.cells_tied_gap}}},
                    {"sign_error", sign}});
  }
  ordered_json families = ordered_json::array();
  for (const FamilyLoss& f : measure.families)
    families.push_back({{"axis", names.axes[f.axis]},
                        {"from", names.levels[f.axis][f.from]},
                        {"to", names.levels[f.axis][f.to]},
                        {"loss", or_null(f.loss)}});
  result["items"] = measure.items;
  result["statistics"] = std::move(statistics);
  result["axes"] = std::move(axes);
  result["information"] = {{"jiang", ratios_json(measure.k_ratio)},
                           {"jiang_set", or_null(measure.k_set)},
                           {"pgdl", ratios_json(measure.pgdl_ratio)},
                           {"pgdl_set", or_null(measure.pgdl_set)}};
  result["sign_error"] = {{"cdf", measure.sign_error_cdf}, {"families", std::move(families)}};
}

}  // namespace gapbench
