// What the verbs share: the exit code, the progress bar, the signal flag, and the options that several of
// them take.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "runners/cli/progress_bar.h"
#include "runners/stages/zoo.h"

namespace gapbench::cli {

struct Context {
  std::string command;  ///< as typed
  int exit_code = 0;
  bool quiet = false;
  ProgressBar bar{stderr, false};

  Progress* progress() { return quiet ? nullptr : &bar; }
};

/// Options of every verb that works on a zoo.
struct ZooArguments {
  std::filesystem::path data_dir;
  int workers = 0;
  std::string shard = "1/1";
  double checkpoint_s = 30;
  std::string executor = "auto", device = "auto";

  void add_to(CLI::App& verb, bool trains);
  ZooOptions options(Context& context) const;
};

/// True once SIGINT or SIGTERM came in.
bool stop_requested();
void install_signal_handlers();
/// 128 + the signal's number.
int interrupted_exit_code();

/// Sets the exit code for a finished stage: interrupted, or 3 when cells failed. True when a later stage may
/// go on.
bool note_summary(Context& context, const StageSummary& summary, const char* what);

void add_run(CLI::App& app, Context& context);  // run and demo
void add_train(CLI::App& app, Context& context);
void add_measure(CLI::App& app, Context& context);
void add_rank(CLI::App& app, Context& context);
void add_report(CLI::App& app, Context& context);
void add_verify(CLI::App& app, Context& context);
void add_list(CLI::App& app, Context& context);  // list and describe
void add_data(CLI::App& app, Context& context);

}  // namespace gapbench::cli
