// gapbench data: fetch data sets from their public homes, and check what is in a folder.
#include <fmt/format.h>

#include <memory>

#include "measures/api/error.h"
#include "runners/cli/context.h"
#include "zoo/data/dataset.h"
#include "zoo/data/fetch.h"

namespace gapbench::cli {

namespace {

void show(const std::string& name, const std::filesystem::path& dir) {
  const Dataset d = load_dataset(name, dir);
  fmt::print(
      "name      {}\nimages    {}x{}x{}, values 0 to {}\nclasses   {}\ntrain     {}\ntest      {}\nsha256    "
      "{}\nlicence   {}\n",
      d.name, d.channels, d.height, d.width, d.pixel_max, d.classes, d.train.count, d.test.count, d.sha256,
      d.licence);
}

}  // namespace

void add_data(CLI::App& app, Context& context) {
  struct Arguments {
    std::string name;
    std::filesystem::path dir = "data";
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("data", "Fetch a data set, or check the files of one");
  verb->require_subcommand(1);
  verb->footer("Examples:\n  gapbench data fetch mnist --dir data\n  gapbench data check mnist --dir data");
  const auto add = [&](const char* name, const char* what) {
    CLI::App* sub = verb->add_subcommand(name, what);
    sub->add_option("NAME", arguments->name, "data set (gapbench list datasets)")->required();
    sub->add_option("--dir", arguments->dir, "folder of the files (default: data)");
    return sub;
  };
  add("fetch", "Download from the public home, verify, resume")->callback([&context, arguments] {
    FetchOptions options;
    options.stop_requested = stop_requested;
    if (!context.quiet) options.note = [&context](const std::string& text) { context.bar.note(text); };
    fetch_dataset(arguments->name, arguments->dir, options);
    show(arguments->name, arguments->dir);
  });
  add("check", "Read the files and say what they hold")->callback([arguments] {
    show(arguments->name, arguments->dir);
  });
}

}  // namespace gapbench::cli
