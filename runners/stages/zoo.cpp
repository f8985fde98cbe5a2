#include "runners/stages/zoo.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <thread>

#include "measures/api/error.h"
#include "measures/api/registry.h"
#include "zoo/store/atomic_file.h"
#include "zoo/training/training_data.h"

namespace gapbench {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* zoo_schema = "gapbench/zoo/1";

}  // namespace

fs::path resolve_data_dir(const ZooOptions& options, const fs::path& from_spec) {
  if (!options.data_dir.empty()) return options.data_dir;
  if (!from_spec.empty()) return from_spec;
  if (const char* environment = std::getenv("GAPBENCH_DATA_DIR")) return environment;
  return "data";
}

Shard Shard::parse(const std::string& text) {
  const std::size_t slash = text.find('/');
  try {
    std::size_t end_i = 0, end_n = 0;
    const std::int64_t i = std::stoll(text.substr(0, slash), &end_i),
                       n = std::stoll(text.substr(slash + 1), &end_n);
    if (slash != std::string::npos && end_i == slash && end_n == text.size() - slash - 1 && n >= 1 &&
        i >= 1 && i <= n)
      return {i - 1, n};
  } catch (const std::logic_error&) {  // stoll: no number, or one too large
  }
  throw UsageError("--shard " + text + " is not allowed; it takes I/N with 1 <= I <= N, for example 2/8");
}

Zoo::Zoo(ZooSpec spec, std::vector<ModelSpec> models, const fs::path& root, ZooOptions options)
    : spec_(std::move(spec)),
      models_(std::move(models)),
      store_(root, !options.dry_run),
      options_(std::move(options)) {}
Zoo::~Zoo() = default;
Zoo::Zoo(Zoo&&) noexcept = default;

int Zoo::workers() const {
  return options_.workers > 0 ? options_.workers
                              : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

std::vector<ModelSpec> Zoo::shard_models() const {
  std::vector<ModelSpec> mine;
  for (std::size_t i = 0; i < models_.size(); ++i)
    if (static_cast<std::int64_t>(i) % options_.shard.count == options_.shard.index)
      mine.push_back(models_[i]);
  return mine;
}

Zoo Zoo::create(const ZooSpec& spec_in, const fs::path& spec_file, const fs::path& out, ZooOptions options) {
  ZooSpec spec = spec_in;
  all_measures().select(spec.measures);  // a misspelt pattern is said now, not after hours of training
  if (spec.data_dir.is_relative() && !spec.data_dir.empty())
    spec.data_dir = spec_file.parent_path() / spec.data_dir;
  auto data = std::make_unique<TrainingDataCache>(
      load_dataset(spec.dataset, resolve_data_dir(options, spec.data_dir)));
  std::vector<ModelSpec> models = expand(spec, data->dataset().sha256);
  for (const ModelSpec& m : models)
    if (m.hp.train_size > data->dataset().train.count)
      throw InputError("train_size " + std::to_string(m.hp.train_size) + " is more than the " +
                       std::to_string(data->dataset().train.count) + " training samples of " + spec.dataset);

  const fs::path file = out / "zoo.json";
  if (fs::exists(file) && options.progress != nullptr) {
    const Zoo old = open(out, {});
    std::set<std::string> now;
    for (const ModelSpec& m : models) now.insert(m.id);
    std::int64_t kept = 0;
    for (const ModelSpec& m : old.models()) kept += now.count(m.id) > 0;
    const auto before = static_cast<std::int64_t>(old.models().size()),
               after = static_cast<std::int64_t>(models.size());
    if (kept != before || kept != after)
      options.progress->note("the spec differs from the one " + out.string() +
                             " was made with: " + std::to_string(kept) + " models stay, " +
                             std::to_string(after - kept) + " are new, " + std::to_string(before - kept) +
                             " are no longer listed (their files stay)");
  }
  Zoo zoo(std::move(spec), std::move(models), out, std::move(options));
  json list = json::array();
  for (const ModelSpec& m : zoo.models_) list.push_back(m.to_json());
  nlohmann::ordered_json record = {{"schema", zoo_schema},
                                   {"spec", zoo.spec_.source},
                                   {"data_dir", zoo.spec_.data_dir.string()},
                                   {"models", list}};
  if (!zoo.options_.dry_run) write_file_atomically(file, record.dump(1) + "\n");
  zoo.data_ = std::move(data);
  return zoo;
}

Zoo Zoo::open(const fs::path& out, ZooOptions options) {
  const fs::path file = out / "zoo.json";
  if (!fs::exists(file))
    throw InputError(out.string() +
                     " is no zoo: it has no zoo.json; make one with: gapbench run SPEC.json --out " +
                     out.string());
  nlohmann::ordered_json record;
  try {
    record = nlohmann::ordered_json::parse(read_file(file));
    if (record.at("schema") != zoo_schema)
      throw InputError(file.string() + ": schema " + record.at("schema").dump() +
                       " is not the one this version reads (" + zoo_schema + ")");
    ZooSpec spec = ZooSpec::parse(record.at("spec").dump(), file.string());
    spec.data_dir = record.at("data_dir").get<std::string>();
    std::vector<ModelSpec> models;
    for (const auto& m : record.at("models")) models.push_back(ModelSpec::from_json(json(m), file.string()));
    return Zoo(std::move(spec), std::move(models), out, std::move(options));
  } catch (const nlohmann::json::exception& e) {
    throw InputError(file.string() + ": not a zoo record (" + e.what() +
                     "); write it anew with: gapbench run SPEC.json --out " + out.string());
  }
}

TrainingDataCache& Zoo::data() {
  if (!data_) {
    data_ = std::make_unique<TrainingDataCache>(
        load_dataset(spec_.dataset, resolve_data_dir(options_, spec_.data_dir)));
    if (!models_.empty() && data_->dataset().sha256 != models_.front().data_sha256)
      throw InputError(
          "the files of data set " + spec_.dataset + " are not those this zoo was trained on (digest " +
          data_->dataset().sha256.substr(0, 16) + ", expected " + models_.front().data_sha256.substr(0, 16) +
          "); point --data-dir at the original files");
  }
  return *data_;
}

}  // namespace gapbench
