// gapbench rank and gapbench report: from a ledger, ours or anybody's, to a ranking and its pages.
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "measures/api/error.h"
#include "measures/api/suggest.h"
#include "reports/report.h"
#include "runners/cli/context.h"
#include "runners/ledger/pgdl.h"
#include "runners/ranking/verify.h"
#include "runners/stages/ranking.h"
#include "zoo/store/atomic_file.h"

namespace gapbench::cli {

namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string render(const ordered_json& ranking, const std::string& format) {
  if (format == "csv") return reports::render_csv(ranking);
  if (format == "json") return reports::render_json(ranking);
  if (format == "md") return reports::render_markdown(ranking);
  if (format == "html") return reports::render_html(ranking);
  return reports::render_table(ranking);
}

struct RankArguments {
  std::string data_dir;
  std::vector<fs::path> inputs;
  fs::path out;
  std::string format = "table", constant = "zero", seeds_as = "averaged";
  double min_ess = 0;
  RankOptions options;
};

ordered_json rank_table(Context& context, const Table& table, RankOptions options, bool named_axes,
                        const std::string& title, std::vector<std::string> inputs) {
  options.title = title;
  options.descriptions = measure_descriptions();
  if (named_axes)
    for (const std::string& pattern : options.axes)
      if (!pattern.empty() && table.matching(pattern).empty())
        throw InputError(table.source() + ": no column matches the axis pattern '" + pattern + "'" +
                         suggestion(pattern, table.columns()) + "; --axes '' ranks without axes");
  ordered_json document = rank(table, options);
  nlohmann::json provenance = base_provenance(context.command);
  provenance["inputs"] = std::move(inputs);
  document["provenance"] = std::move(provenance);
  return document;
}

ordered_json rank_zoo_folder(Context& context, const CLI::App& verb, const fs::path& folder,
                             const fs::path& data_dir, RankOptions options) {
  ZooOptions zoo_options;
  zoo_options.data_dir = data_dir;
  zoo_options.command = context.command;
  zoo_options.progress = context.progress();
  Zoo zoo = Zoo::open(folder, zoo_options);
  collect_zoo(zoo);
  const RankOptions from_spec = zoo_rank_options(zoo);
  options.title = from_spec.title;
  if (verb.count("--resamples") == 0) options.resamples = from_spec.resamples;
  if (verb.count("--level") == 0) options.level = from_spec.level;
  if (verb.count("--test-points") == 0) options.test_points = from_spec.test_points;
  return rank_zoo(zoo, {}, {}, options);
}

void write_into(const ordered_json& document, const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw InputError("cannot make the folder " + folder.string() + ": " + error.message() +
                     "; choose another --out");
  write_reports(document, folder);
  fmt::print(stderr, "gapbench: wrote ranking.json, ranking.csv, report.md and report.html to {}\n",
             folder.string());
}

void rank_inputs(Context& context, const CLI::App& verb, RankArguments& a) {
  a.options.constant = a.constant == "skip" ? ConstantCell::skip : ConstantCell::zero;
  a.options.seeds_as = a.seeds_as == "fixed"   ? SeedsAs::fixed
                       : a.seeds_as == "cross" ? SeedsAs::cross
                                               : SeedsAs::averaged;
  if (verb.count("--min-ess") > 0) a.options.min_ess = a.min_ess;
  const bool named_axes = verb.count("--axes") > 0;
  std::vector<ordered_json> documents;
  std::vector<fs::path> folders;  // where each document's reports go; empty: nowhere
  if (a.inputs.front().extension() == ".json") {
    const std::vector<fs::path> predictions(a.inputs.begin() + 1, a.inputs.end());
    std::vector<std::string> names;
    for (const fs::path& input : a.inputs) names.push_back(input.filename().string());
    RankOptions options = a.options;
    options.single_level_axes = true;  // as the competition's scorer has it
    documents.push_back(
        rank_table(context, read_pgdl(a.inputs.front(), predictions), options, named_axes, "PGDL", names));
    folders.push_back(a.out);
  } else {
    for (const fs::path& input : a.inputs) {
      const bool zoo = fs::is_directory(input);
      documents.push_back(zoo ? rank_zoo_folder(context, verb, input, a.data_dir, a.options)
                              : rank_table(context, Table::read_csv(input), a.options, named_axes,
                                           input.stem().string(), {input.filename().string()}));
      fs::path folder = a.out;
      if (!a.out.empty() && a.inputs.size() > 1)
        folder = a.out /
                 (std::to_string(documents.size()) + "-" + (zoo ? input.filename() : input.stem()).string());
      if (a.out.empty() && zoo) folder = input;
      folders.push_back(std::move(folder));
    }
    if (documents.size() > 1) {
      const ordered_json comparison = compare_rankings(documents);
      for (ordered_json& document : documents) document["comparison"] = comparison;
    }
  }
  for (std::size_t i = 0; i < documents.size(); ++i) {
    fmt::print("{}{}", i > 0 ? "\n" : "", render(documents[i], a.format));
    if (!folders[i].empty()) write_into(documents[i], folders[i]);
  }
}

void verify(Context& context, const fs::path& dziugaite) {
  std::vector<VerifyRow> rows = verify_published();
  if (!dziugaite.empty())
    for (VerifyRow& row : verify_dziugaite(Table::read_csv(dziugaite))) rows.push_back(std::move(row));
  std::size_t failed = 0, width = 0;
  for (const VerifyRow& r : rows) width = std::max(width, r.what.size());
  fmt::print("{:<{}}  {:>18}  {:>18}  {:>9}\n", "what", width, "published", "computed", "tolerance");
  for (const VerifyRow& r : rows) {
    const std::string computed = std::isfinite(r.computed) ? fmt::format("{:.13g}", r.computed) : "none";
    fmt::print("{:<{}}  {:>18.13g}  {:>18}  {:>9.1e}  {}\n", r.what, width, r.published, computed,
               r.tolerance, r.passed ? "pass" : "FAIL");
    failed += !r.passed;
  }
  fmt::print("{} of {} published numbers come out\n", rows.size() - failed, rows.size());
  if (failed > 0) context.exit_code = 3;
}

std::string make_anew(const fs::path& ranking) {
  const fs::path folder = ranking.has_parent_path() ? ranking.parent_path() : fs::path(".");
  return "; make it anew with: gapbench rank " +
         (fs::exists(folder / "zoo.json") ? folder.string() : "LEDGER.csv --out " + folder.string());
}

void report(const fs::path& input, const fs::path& out) {
  const fs::path file = fs::is_directory(input) ? input / "ranking.json" : input;
  if (!fs::exists(file))
    throw InputError("no " + file.string() + "; make it with: gapbench rank " + input.string());
  ordered_json document;
  try {
    document = ordered_json::parse(read_file(file));
  } catch (const nlohmann::json::exception& e) {
    throw InputError(file.string() + ": not valid JSON, or cut short: " + e.what() + make_anew(file));
  }
  fs::path folder = out;
  if (folder.empty()) folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw InputError("cannot make the folder " + folder.string() + ": " + error.message());
  try {
    write_file_atomically(folder / "report.html", reports::render_html(document));
    write_file_atomically(folder / "report.md", reports::render_markdown(document));
    write_file_atomically(folder / "ranking.csv", reports::render_csv(document));
  } catch (const reports::DocumentError& e) {
    throw InputError(file.string() + ": " + e.what() + make_anew(file));
  }
  fmt::print("{}\n", (folder / "report.html").string());
}

}  // namespace

void add_rank(CLI::App& app, Context& context) {
  auto a = std::make_shared<RankArguments>();
  CLI::App* verb = app.add_subcommand(
      "rank", "Rank the measures of a zoo or of any CSV against the gap, by every protocol");
  verb->add_option(
          "INPUT", a->inputs,
          "folders of zoos or CSV files; or model_configs.json of the PGDL competition and .predict files")
      ->required();
  verb->add_option("--data-dir", a->data_dir,
                   "of a zoo: folder with the data files (default: the spec's, $GAPBENCH_DATA_DIR, ./data)");
  verb->add_option("--gap", a->options.gaps,
                   "column of the gap, may be given more than once (default: gen.gap, gen.gap_loss)");
  verb->add_option("--axes", a->options.axes,
                   "patterns of the hyper-parameters' columns (default 'hp.*'); '' for none");
  verb->add_option(
      "--measures", a->options.measures,
      "patterns of the measures' columns, 'complexity.' may be left out (default: all of these)");
  verb->add_option("--config", a->options.configuration,
                   "column that tells configurations apart (default experiment_id; else each row is one)");
  verb->add_option("--seed", a->options.seed, "column of the seed (default repeat_id)");
  verb->add_option("--model", a->options.model, "column of the model's name (default model_id)");
  verb->add_option("--format", a->format, "what goes to stdout")
      ->check(CLI::IsMember({"table", "csv", "json", "md", "html"}));
  verb->add_option("--out", a->out,
                   "also write ranking.json, ranking.csv, report.md and report.html into this folder");
  verb->add_option("--permutations", a->options.permutations, "draws of the null bands (default 1000)")
      ->check(CLI::Range(0, 1000000));
  verb->add_option("--constant", a->constant, "what a cell with a constant measure counts in psi")
      ->check(CLI::IsMember({"zero", "skip"}))
      ->capture_default_str();
  verb->add_option(
          "--seeds-as", a->seeds_as,
          "psi, K and selection compare configurations with seeds averaged, models with the seed as a fixed "
          "coordinate, or all cross pairs of models")
      ->check(CLI::IsMember({"averaged", "fixed", "cross"}))
      ->capture_default_str();
  verb->add_option("--min-ess", a->min_ess,
                   "smallest effective sample size of an environment (default 12 % of the largest number of "
                   "run pairs)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option(
          "--test-points", a->options.test_points,
          "test points behind each gap, for the weights of the sign error (default 10000; a zoo's own)")
      ->check(CLI::PositiveNumber);
  verb->add_option("--halves", a->options.halves,
                   "two columns, the gap on either half of the test set: gives the noise ceiling (default "
                   "gen.gap_even gen.gap_odd, "
                   "where they are there)")
      ->expected(2);
  verb->add_flag("--complete-cases", a->options.complete_cases,
                 "leave out rows that lack a finite value of any measure");
  verb->add_option("--resamples", a->options.resamples, "bootstrap resamples (default 1000)")
      ->check(CLI::Range(0, 1000000));
  verb->add_option("--level", a->options.level, "level of the intervals (default 0.95)")
      ->check(CLI::Range(0.01, 0.999));
  verb->add_option("--random-seed", a->options.random_seed, "of the bootstrap and the baselines (default 0)");
  verb->add_flag("--all", a->options.keep_all, "keep rows with is.converged or is.high_train_accuracy false");
  verb->add_flag("--inf-is-extreme", a->options.infinite_is_extreme,
                 "rank infinite values as the largest or smallest, not as missing");
  verb->footer(
      "Examples:\n"
      "  gapbench rank zoo\n"
      "  gapbench rank results.csv --gap gen.gap --axes 'hp.*' --measures 'complexity.*' --format md\n"
      "  gapbench rank results.csv --gap test_gap --measures 'norm_*' 'sharp*' --config run --out ranked\n"
      "  gapbench rank cifar10.csv svhn.csv --out both       several ledgers: Friedman's test over them\n"
      "  gapbench rank model_configs.json margin.predict     files of the PGDL competition");
  verb->callback([&context, verb, a] { rank_inputs(context, *verb, *a); });
}

void add_report(CLI::App& app, Context&) {
  struct Arguments {
    fs::path input, out;
  };
  auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("report", "Write the pages of a ranking anew");
  verb->add_option("INPUT", a->input, "ranking.json, or the folder that holds it")->required();
  verb->add_option("--out", a->out,
                   "folder for report.html, report.md and ranking.csv (default: where the input is)");
  verb->footer("Example:\n  gapbench report zoo/ranking.json --out pages");
  verb->callback([a] { report(a->input, a->out); });
}

void add_verify(CLI::App& app, Context& context) {
  auto dziugaite = std::make_shared<fs::path>();
  CLI::App* verb = app.add_subcommand(
      "verify", "Recompute published numbers with this program; exit code 3 when one does not come out");
  verb->add_option("--dziugaite-csv", *dziugaite,
                   "ledger of Dziugaite et al. 2020: also check its environments, order and means")
      ->check(CLI::ExistingFile);
  verb->footer("Example:\n  gapbench verify");
  verb->callback([&context, dziugaite] { verify(context, *dziugaite); });
}

}  // namespace gapbench::cli
