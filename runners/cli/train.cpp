// gapbench train: the first two stages, expand and train.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "runners/cli/context.h"
#include "runners/stages/shipped_specs.h"

namespace gapbench::cli {

namespace {

void print_stacks(const TrainingPlan& plan) {
  constexpr std::size_t most = 20;  // lines; specs may have hundreds of shapes
  for (std::size_t i = 0; i < std::min(most, plan.stacks.size()); ++i) {
    const StackPlan& s = plan.stacks[i];
    fmt::print("stack {}: {} models, {} at a time in {} {} of {:.0f} steps, {:.3g} ms a step{}\n", s.network,
               s.models, s.members, s.waves, s.waves == 1 ? "wave" : "waves",
               s.steps / static_cast<double>(s.waves), 1e3 * s.step_seconds,
               s.timed ? "" : " by its arithmetic");
  }
  if (plan.streams > 1) fmt::print("streams {} stacks train at a time\n", plan.streams);
  if (plan.stacks.size() > most) fmt::print("stacks {} more\n", plan.stacks.size() - most);
  if (plan.failing > 0)
    fmt::print("failing {} models, which --executor stack does not serve; run without it\n", plan.failing);
}

}  // namespace

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
  verb->add_flag("--dry-run", arguments->dry_run,
                 "write nothing; say how many models, groups of equal cost, stacks, hours, disk and memory "
                 "there are to go");
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
      fmt::print("models {}\ntrained {}\nmissing {}\ngroups {}\ndevice {}\n", plan.models, plan.trained,
                 plan.models - plan.trained, plan.groups, plan.device);
      print_stacks(plan);
      fmt::print("time at most {} on {}{} workers\ndisk {:.1f} MiB\nmemory at most {:.0f} MiB\n",
                 duration_text(plan.seconds), plan.cuda ? "the device and " : "", zoo.workers(),
                 plan.bytes / (1 << 20), plan.memory / (1 << 20));
      if (plan.cuda) fmt::print("device memory at most {:.0f} MiB\n", plan.device_memory / (1 << 20));
      return;
    }
    const StageSummary summary = train_zoo(zoo);
    if (note_summary(context, summary, "trained"))
      fmt::print("models {}\ntrained {}\nfailed {}\n", summary.total, summary.earlier + summary.fresh,
                 summary.failed);
  });
}

}  // namespace gapbench::cli
