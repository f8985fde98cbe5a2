// gapbench train: the first two stages, expand and train.
#include <fmt/format.h>

#include <memory>

#include "runners/cli/context.h"
#include "runners/stages/shipped_specs.h"

namespace gapbench::cli {

void add_train(CLI::App& app, Context& context) {
  struct Arguments {
    std::string spec;
    std::filesystem::path out;
    ZooArguments zoo;
    bool dry_run = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("train", "Train the models of a spec that are not trained yet");
  verb->add_option("SPEC", arguments->spec, "spec file, or the name of a shipped one")->required();
  verb->add_option("--out", arguments->out, "folder of the zoo")->required();
  verb->add_flag(
      "--dry-run", arguments->dry_run,
      "write nothing; say how many models, groups of equal cost, hours, disk and memory there are to go");
  arguments->zoo.add_to(*verb, true);
  verb->footer(
      "Examples:\n"
      "  gapbench train my-zoo.json --out zoo --dry-run\n"
      "  gapbench train my-zoo.json --out zoo --shard 3/16");
  verb->callback([&context, arguments] {
    ZooOptions options = arguments->zoo.options(context);
    options.dry_run = arguments->dry_run;
    Zoo zoo = Zoo::create(load_spec(arguments->spec), arguments->spec, arguments->out, options);
    if (arguments->dry_run) {
      const TrainingPlan plan = plan_training(zoo);
      fmt::print(
          "models {}\ntrained {}\nmissing {}\ngroups {}\ntime at most {} on {} workers\ndisk {:.1f} MiB\n"
          "memory at most {:.0f} MiB\n",
          plan.models, plan.trained, plan.models - plan.trained, plan.groups, duration_text(plan.seconds),
          zoo.workers(), plan.bytes / (1 << 20), plan.memory / (1 << 20));
      return;
    }
    const StageSummary summary = train_zoo(zoo);
    if (note_summary(context, summary, "trained"))
      fmt::print("models {}\ntrained {}\nfailed {}\n", summary.total, summary.earlier + summary.fresh,
                 summary.failed);
  });
}

}  // namespace gapbench::cli
