// gapbench run and gapbench demo: all stages, one after the other.
#include <fmt/format.h>

#include <memory>

#include "measures/api/error.h"
#include "reports/report.h"
#include "runners/cli/context.h"
#include "runners/stages/ranking.h"
#include "runners/stages/shipped_specs.h"

namespace gapbench::cli {

namespace {

struct RunArguments {
  std::string spec;
  std::filesystem::path out;
  ZooArguments zoo;
};

void run(Context& context, const RunArguments& arguments) {
  const ZooOptions options = arguments.zoo.options(context);
  Zoo zoo = Zoo::create(load_spec(arguments.spec), arguments.spec, arguments.out, options);
  const StageSummary trained = train_zoo(zoo);
  if (!note_summary(context, trained, "trained")) return;
  const StageSummary measured = measure_zoo(zoo, {});
  if (!note_summary(context, measured, "measured")) return;
  if (options.shard.count > 1) {
    fmt::print(stderr, "gapbench: shard {} is done; when all are, run: gapbench rank {}\n",
               arguments.zoo.shard, arguments.out.string());
    return;
  }
  collect_zoo(zoo);
  const nlohmann::ordered_json ranking = rank_zoo(zoo, trained, measured, zoo_rank_options(zoo));
  write_reports(ranking, zoo.root());
  fmt::print("{}\n{} models trained ({} earlier), report: {}\n", reports::render_table(ranking),
             trained.total, trained.earlier,
             (std::filesystem::absolute(zoo.root()).lexically_normal() / "report.html").string());
}

}  // namespace

void add_run(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* verb =
      app.add_subcommand("run", "Train, measure, rank and report a zoo; run again, do only what is missing");
  verb->add_option("SPEC", arguments->spec, "spec file, or the name of a shipped one (gapbench list specs)")
      ->required();
  verb->add_option("--out", arguments->out, "folder of the zoo")->required();
  arguments->zoo.add_to(*verb, true);
  verb->footer(
      "Examples:\n"
      "  gapbench run digits-small --out zoo\n"
      "  gapbench run my-zoo.json --out zoo --data-dir ~/data --workers 4\n"
      "  gapbench run my-zoo.json --out zoo --shard 3/16        one of sixteen jobs on a shared file system");
  verb->callback([&context, arguments] { run(context, *arguments); });

  auto demo = std::make_shared<RunArguments>();
  demo->spec = "digits";
  demo->out = "gapbench-demo";
  CLI::App* demo_verb = app.add_subcommand(
      "demo", "A zoo of 64 networks on the built-in handwritten digits, ranked and reported");
  demo_verb->add_option("--out", demo->out, "folder of the zoo (default gapbench-demo)");
  demo->zoo.add_to(*demo_verb, true);
  demo_verb->footer("Example:\n  gapbench demo --out demo");
  demo_verb->callback([&context, demo] { run(context, *demo); });
}

}  // namespace gapbench::cli
