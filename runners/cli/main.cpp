// gapbench: the command line. stdout is data, stderr is progress and messages. Exit codes: 0 ok, 1 usage, 2
// bad input, 3 finished with failed cells, 4 internal error, 128 + n ended by signal n.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "measures/api/error.h"
#include "measures/api/suggest.h"
#include "runners/cli/context.h"
#include "runners/stages/version.h"

namespace gapbench::cli {

namespace {
std::atomic<int> received_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void on_signal(int number) {
  received_signal = number;
}
}  // namespace

bool stop_requested() {
  return received_signal != 0;
}
int interrupted_exit_code() {
  return 128 + received_signal;
}

void install_signal_handlers() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second Ctrl-C ends the program at once
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is then an error of the write, which names the file
}

void ZooArguments::add_to(CLI::App& verb, bool trains) {
  verb.add_option("--data-dir", data_dir,
                  "folder with the data files (default: the spec's, $GAPBENCH_DATA_DIR, ./data)");
  verb.add_option("--workers", workers, "threads, each with one network (default: one a core)")
      ->check(CLI::Range(1, 4096));
  verb.add_option("--shard", shard,
                  "work on the I-th of N equal parts of the models, for several machines: I/N");
  if (trains)
    verb.add_option("--checkpoint-every", checkpoint_s,
                    "seconds between checkpoints of a training network (default 30)")
        ->check(CLI::Range(0.0, 1e6));
  verb.add_option("--executor", executor,
                  "auto, general, fast or stack; for tests: the engine chooses, the numbers agree")
      ->check(CLI::IsMember({"auto", "general", "fast", "stack"}));
  verb.add_option(
          "--device", device,
          trains
              ? "auto, cpu or cuda: where groups of models of one shape train as one computation, and where "
                "networks are run for measures; auto takes a CUDA device if one is there"
              : "auto, cpu or cuda: where networks are run for measures; auto takes a CUDA device if one is "
                "there")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}));
}

ZooOptions ZooArguments::options(Context& context) const {
  ZooOptions o;
  o.data_dir = data_dir;
  o.workers = workers;
  o.shard = Shard::parse(shard);
  o.progress = context.progress();
  o.stop_requested = stop_requested;
  o.checkpoint_interval_s = checkpoint_s;
  o.executor = executor;
  o.device = device;
  o.command = context.command;
  return o;
}

bool note_summary(Context& context, const StageSummary& summary, const char* what) {
  if (summary.interrupted && stop_requested()) {
    fmt::print(stderr, "gapbench: stopped; {} of {} models are {}, the same command goes on from here\n",
               summary.earlier + summary.fresh, summary.total, what);
    context.exit_code = interrupted_exit_code();
    return false;
  }
  if (summary.failed > 0) context.exit_code = 3;
  return true;
}

}  // namespace gapbench::cli

int main(int argc, char** argv) {
  using namespace gapbench;
  cli::Context context;
  for (int i = 0; i < argc; ++i)
    context.command += (i > 0 ? " " : "") + std::string(i > 0 ? argv[i] : "gapbench");
  new (&context.bar) ProgressBar(stderr, isatty(STDERR_FILENO) != 0);

  CLI::App app(
      "gapbench trains a zoo of neural networks, computes complexity measures on each, and ranks the "
      "measures by how well they "
      "order the observed generalisation gap.",
      "gapbench");
  app.set_version_flag("--version", version_text());
  app.add_flag("-q,--quiet", context.quiet, "no progress on stderr");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(
      "Examples:\n"
      "  gapbench demo                                   a zoo on the built-in handwritten digits, and its "
      "report\n"
      "  gapbench run my-zoo.json --out zoo              all stages; run again, only what is missing\n"
      "  gapbench rank zoo/ledger.csv --format md        rank any CSV: no zoo is needed\n"
      "  gapbench list measures                          what can be computed\n"
      "  gapbench VERB --help                            options and examples of a verb");
  cli::add_run(app, context);
  cli::add_train(app, context);
  cli::add_measure(app, context);
  cli::add_rank(app, context);
  cli::add_report(app, context);
  cli::add_verify(app, context);
  cli::add_list(app, context);
  cli::add_data(app, context);
  cli::install_signal_handlers();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    char** const verb = std::find_if(argv + 1, argv + argc, [](const char* a) { return *a != '-'; });
    if (e.get_exit_code() != 0 && app.get_subcommands().empty() && verb != argv + argc) {
      std::vector<std::string> verbs;
      for (const CLI::App* v : app.get_subcommands([](const CLI::App*) { return true; }))
        verbs.push_back(v->get_name());
      fmt::print(stderr, "gapbench: there is no verb '{}'{}\n", *verb, suggestion(*verb, verbs));
      return 1;
    }
    return app.exit(e) == 0 ? 0 : 1;
  } catch (const Error& e) {
    fmt::print(stderr, "gapbench: {}\n", e.what());
    return e.exit_code;
  } catch (const std::exception& e) {
    fmt::print(stderr, "gapbench: internal error: {}\nPlease report it with the command: {}\n", e.what(),
               context.command);
    return 4;
  }
  return context.exit_code;
}
