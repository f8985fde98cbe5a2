// gapbench measure: the third stage over a zoo, or one model that gapbench did not train.
#include <fmt/format.h>

#include <memory>
#include <thread>

#include "measures/api/error.h"
#include "runners/cli/context.h"
#include "runners/stages/foreign.h"

namespace gapbench::cli {

namespace {

using nlohmann::json;

void print(const ForeignResult& result, const std::string& format) {
  if (format == "json") {
    json tensors = json::array(), cells = json::array();
    for (const TensorNote& t : result.tensors)
      tensors.push_back({{"file", t.file},
                         {"tensor", t.tensor},
                         {"shape", t.shape},
                         {"array", t.array.empty() ? json(nullptr) : json(t.array)},
                         {"note", t.note}});
    for (const MeasureCell& cell : result.cells) cells.push_back(to_json(cell));
    fmt::print("{}\n", json({{"tensors", tensors}, {"measures", cells}}).dump(2));
    return;
  }
  std::size_t tensor_width = 0, id_width = 0;
  for (const TensorNote& t : result.tensors) tensor_width = std::max(tensor_width, t.tensor.size());
  for (const MeasureCell& cell : result.cells) id_width = std::max(id_width, cell.measure.size());
  for (const TensorNote& t : result.tensors)
    fmt::print("{:<5}  {:<{}}  {:<16}  {}{}\n", t.file, t.tensor, tensor_width, json(t.shape).dump(),
               t.array.empty() ? "skipped: " : "is " + t.array,
               (t.array.empty() || t.note.empty() ? "" : ", ") + t.note);
  fmt::print("\n");
  for (const MeasureCell& cell : result.cells) {
    const Outcome& o = cell.outcome;
    const std::string value =
        o.ok() ? fmt::format("{:.17g}", *o.value()) : std::string(to_string(o.status()));
    fmt::print("{:<{}}  {:<24}{}{}{}\n", cell.measure, id_width, value,
               o.standard_error() ? fmt::format("  standard error {:.2g}", *o.standard_error()) : "",
               o.censored()         ? "  censored: "
               : o.reason().empty() ? ""
                                    : "  ",
               o.reason());
  }
}

}  // namespace

void add_measure(CLI::App& app, Context& context) {
  struct Arguments {
    std::filesystem::path out;
    ZooArguments zoo;
    ForeignOptions foreign;
    std::string format = "table";
  };
  auto arguments = std::make_shared<Arguments>();
  ForeignOptions& foreign = arguments->foreign;
  CLI::App* verb = app.add_subcommand(
      "measure",
      "Compute the measures that trained models do not have yet, or those of one model of your own");
  CLI::Option* zoo = verb->add_option("ZOO", arguments->out, "folder of the zoo");
  verb->add_option("--measures", foreign.measures, "patterns of measure ids (default: the spec's, else all)");
  CLI::Option* model = verb->add_option("--model", foreign.model,
                                        "in place of a zoo: safetensors with a state_dict of final weights")
                           ->excludes(zoo);
  CLI::Option* network =
      verb->add_option("--network", foreign.network, "JSON file that says what network they form")
          ->needs(model);
  verb->add_option("--init", foreign.init, "safetensors with the initial weights")->needs(model);
  verb->add_option("--data", foreign.data, "name of the training set, or safetensors with images and labels")
      ->needs(model);
  verb->add_option("--samples", foreign.samples,
                   "how many training samples, the first in the order (default: all)")
      ->check(CLI::PositiveNumber)
      ->needs(model);
  verb->add_option("--order", foreign.order, "file of sample numbers from 0: which samples, in which order")
      ->needs(model);
  verb->add_option("--format", arguments->format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->needs(model);
  arguments->zoo.add_to(*verb, false);
  verb->get_option("--shard")->excludes(model);
  verb->footer(
      "Examples:\n"
      "  gapbench measure zoo\n"
      "  gapbench measure zoo --measures 'wc-*' pbc\n"
      "  gapbench measure --model final.safetensors --network net.json\n"
      "  gapbench measure --model final.safetensors --init init.safetensors --network net.json --data mnist "
      "--samples 10000");
  verb->callback([&context, arguments, zoo, model, network] {
    if (model->count() > 0) {
      if (network->count() == 0)
        throw UsageError("--model needs --network, a JSON file that says what network the tensors form");
      ForeignOptions options = arguments->foreign;
      options.data_dir = resolve_data_dir(arguments->zoo.options(context), {});
      options.executor = arguments->zoo.executor;
      options.device = arguments->zoo.device;
      options.workers = arguments->zoo.workers > 0
                            ? arguments->zoo.workers
                            : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
      const ForeignResult result = measure_foreign(options);
      print(result, arguments->format);
      for (const MeasureCell& cell : result.cells)
        if (cell.outcome.status() == Outcome::Status::failed) context.exit_code = 3;
      return;
    }
    if (zoo->count() == 0)
      throw UsageError("give the folder of a zoo, or --model and --network for one model");
    Zoo opened = Zoo::open(arguments->out, arguments->zoo.options(context));
    const StageSummary summary = measure_zoo(opened, arguments->foreign.measures);
    if (note_summary(context, summary, "measured"))
      fmt::print("models {}\nmeasured {}\nfailed {}\n", summary.total, summary.earlier + summary.fresh,
                 summary.failed);
  });
}

}  // namespace gapbench::cli
