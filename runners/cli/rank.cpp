// gapbench rank and gapbench report: from a ledger, ours or anybody's, to a ranking and its pages.
#include <fmt/format.h>

#include <memory>

#include "measures/api/error.h"
#include "reports/report.h"
#include "runners/cli/context.h"
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
  fs::path input, out;
  std::string format = "table";
  RankOptions options;
};

void rank_input(Context& context, const CLI::App& verb, RankArguments& a) {
  ordered_json document;
  if (fs::is_directory(a.input)) {
    ZooOptions options;
    options.command = context.command;
    Zoo zoo = Zoo::open(a.input, options);
    collect_zoo(zoo);
    const RankOptions from_spec = zoo_rank_options(zoo);
    a.options.title = from_spec.title;
    if (verb.count("--resamples") == 0) a.options.resamples = from_spec.resamples;
    if (verb.count("--level") == 0) a.options.level = from_spec.level;
    document = rank_zoo(zoo, {}, {}, a.options);
    if (a.out.empty()) a.out = a.input;
  } else {
    const Table table = Table::read_csv(a.input);
    a.options.title = a.input.stem().string();
    a.options.descriptions = measure_descriptions();
    document = rank(table, a.options);
    nlohmann::json provenance = base_provenance(context.command);
    provenance["inputs"] = {a.input.filename().string()};
    document["provenance"] = std::move(provenance);
  }
  fmt::print("{}", render(document, a.format));
  if (!a.out.empty()) {
    std::error_code error;
    fs::create_directories(a.out, error);
    if (error)
      throw InputError("cannot make the folder " + a.out.string() + ": " + error.message() +
                       "; choose another --out");
    write_reports(document, a.out);
    fmt::print(stderr, "gapbench: wrote ranking.json, ranking.csv, report.md and report.html to {}\n",
               a.out.string());
  }
}

void report(const fs::path& input, const fs::path& out) {
  const fs::path file = fs::is_directory(input) ? input / "ranking.json" : input;
  if (!fs::exists(file))
    throw InputError("no " + file.string() + "; make it with: gapbench rank " + input.string());
  ordered_json document;
  try {
    document = ordered_json::parse(read_file(file));
  } catch (const nlohmann::json::exception& e) {
    throw InputError(file.string() + ": not valid JSON: " + e.what());
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
    throw InputError(file.string() + ": " + e.what());
  }
  fmt::print("{}\n", (folder / "report.html").string());
}

}  // namespace

void add_rank(CLI::App& app, Context& context) {
  auto a = std::make_shared<RankArguments>();
  CLI::App* verb =
      app.add_subcommand("rank", "Rank the measures of a zoo or of any CSV by Kendall's tau against the gap");
  verb->add_option("INPUT", a->input, "folder of a zoo, or a CSV file")->required();
  verb->add_option("--gap", a->options.gaps,
                   "column of the gap, may be given more than once (default: gen.gap, gen.gap_loss)");
  verb->add_option("--axes", a->options.axes,
                   "patterns of the hyper-parameters' columns (default 'hp.*'); none is fine");
  verb->add_option("--measures", a->options.measures,
                   "patterns of the measures' columns, 'complexity.' may be left out (default: all of these)");
  verb->add_option("--config", a->options.configuration,
                   "column that tells configurations apart (default experiment_id; else each row is one)");
  verb->add_option("--seed", a->options.seed, "column of the seed (default repeat_id)");
  verb->add_option("--model", a->options.model, "column of the model's name (default model_id)");
  verb->add_option("--format", a->format, "what goes to stdout")
      ->check(CLI::IsMember({"table", "csv", "json", "md", "html"}));
  verb->add_option("--out", a->out,
                   "also write ranking.json, ranking.csv, report.md and report.html into this folder");
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
      "  gapbench rank results.csv --gap test_gap --measures 'norm_*' 'sharp*' --config run --out ranked");
  verb->callback([&context, verb, a] { rank_input(context, *verb, *a); });
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

}  // namespace gapbench::cli
