#include "runners/ranking/rank.h"
#include "runners/stages/cells.h"

#include <chrono>
#include <ctime>
#include <map>
#include <set>

#include "measures/api/registry.h"
#include "reports/report.h"
#include "runners/stages/ranking.h"
#include "runners/stages/version.h"
#include "runners/stages/zoo.h"
#include "zoo/store/atomic_file.h"
#include "zoo/training/training_data.h"

namespace gapbench {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

// Where an executor, as result.json names it, ran: stacks name their device, all others are of the CPU.
std::string device_of(const std::string& executor) {
  if (executor == "an earlier version") return "unknown";
  const std::size_t first = executor.find('/'), last = executor.rfind('/');
  const bool stack = executor.starts_with("stack/") && last > first;
  return stack ? executor.substr(first + 1, last - first - 1) : "cpu";
}

}  // namespace

std::map<std::string, MeasureDescription> measure_descriptions() {
  std::map<std::string, MeasureDescription> all;
  for (const Measure& m : all_measures().all()) {
    const MeasureInfo& i = m.info;
    all[std::string(i.id)] = {std::string(i.name), std::string(i.family),
                              i.sign == Sign::plus    ? "+"
                              : i.sign == Sign::minus ? "-"
                                                      : "0",
                              std::string(i.formula), std::string(i.source)};
  }
  return all;
}

json base_provenance(const std::string& command) {
  json p = version_json();
  char text[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  gmtime_r(&now, &utc);
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  p["created"] = text;
  p["command"] = command;
  return p;
}

RankOptions zoo_rank_options(Zoo& zoo) {
  RankOptions options;
  options.title = zoo.spec().name;
  options.resamples = zoo.spec().bootstrap_resamples;
  options.level = zoo.spec().bootstrap_level;
  options.test_points = static_cast<double>(zoo.data().dataset().test.count);
  return options;
}

ordered_json rank_zoo(Zoo& zoo, const StageSummary& trained, const StageSummary& measured,
                      RankOptions options) {
  const auto start = std::chrono::steady_clock::now();
  const Table ledger = Table::read_csv(zoo.root() / "ledger.csv");
  double cpu_seconds = 0;
  std::map<std::string, std::int64_t> executors, measured_by;
  std::set<std::string> devices;
  for (const ModelSpec& m : zoo.models()) {
    if (!zoo.store().is_trained(m.id)) continue;
    cpu_seconds += zoo.store().read_json(m.id, "timing.json").at("seconds").get<double>();
    const std::string executor =
        zoo.store().read_json(m.id, "result.json").value("executor", "an earlier version");
    ++executors[executor];
    devices.insert(device_of(executor));
    for (const std::string& name : executors_of(read_cells(zoo.store(), m.id))) ++measured_by[name];
  }

  options.descriptions = measure_descriptions();
  options.threads = zoo.workers();
  ordered_json document = rank(ledger, options);
  json provenance = base_provenance(zoo.options().command);
  provenance["spec"] = json(zoo.spec().source);
  provenance["data"] = {{"name", zoo.spec().dataset}, {"sha256", zoo.models().front().data_sha256}};
  provenance["executors"] = executors;
  if (!measured_by.empty()) provenance["measured_by"] = measured_by;
  std::string device;
  for (const std::string& d : devices) device += (device.empty() ? "" : ", ") + d;
  provenance["device"] = device;
  provenance["threads"] = zoo.workers();
  provenance["inputs"] = {"ledger.csv"};
  provenance["times"] = {
      {"train_s", trained.seconds},
      {"train_all_models_thread_s", cpu_seconds},
      {"measure_s", measured.seconds},
      {"rank_s", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()}};
  document["provenance"] = std::move(provenance);
  return document;
}

void write_reports(const ordered_json& ranking, const std::filesystem::path& folder) {
  write_file_atomically(folder / "ranking.json", reports::render_json(ranking));
  write_file_atomically(folder / "ranking.csv", reports::render_csv(ranking));
  write_file_atomically(folder / "report.md", reports::render_markdown(ranking));
  write_file_atomically(folder / "report.html", reports::render_html(ranking));
}

}  // namespace gapbench
