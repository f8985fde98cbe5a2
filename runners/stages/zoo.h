// The stages over one zoo folder: expand, train, measure, collect, rank, report. Plain files in between; each
// stage does only what is missing, so a killed run is finished by running it again.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runners/stages/progress.h"
#include "zoo/engine/stack/stack_plan.h"
#include "zoo/spec/zoo_spec.h"
#include "zoo/store/model_store.h"

namespace gapbench {

class TrainingDataCache;

/// Part `index` (from 0) of `count` equal parts of a zoo's models, by position in the expanded list.
struct Shard {
  std::int64_t index = 0, count = 1;
  /// "2/8" is the second of eight. Throws UsageError otherwise.
  static Shard parse(const std::string& text);
};

struct ZooOptions {
  std::filesystem::path
      data_dir;     ///< folder of the data files; empty: the spec's, then $GAPBENCH_DATA_DIR, then "data"
  int workers = 0;  ///< threads, 0 = one a core
  Shard shard;      ///< which models train and measure touch
  Progress* progress = nullptr;          ///< borrowed; null is silent
  std::function<bool()> stop_requested;  ///< asked between epochs and between models
  double checkpoint_interval_s = 30;     ///< of a model that is training
  std::string executor = "auto";         ///< see executor.h; for tests
  std::string device = "auto";           ///< see executor.h
  std::string command;                   ///< as typed, for the record
  bool dry_run = false;                  ///< Zoo::create writes nothing
};

/// The options' folder of data files, else the spec's, else $GAPBENCH_DATA_DIR, else "data".
std::filesystem::path resolve_data_dir(const ZooOptions& options, const std::filesystem::path& from_spec);

struct StageSummary {
  std::int64_t total = 0;    ///< items this call was responsible for
  std::int64_t earlier = 0;  ///< of these, done before it began
  std::int64_t fresh = 0;    ///< done by it
  std::int64_t failed = 0;   ///< broken; a re-run tries them again
  bool interrupted = false;  ///< stop_requested ended it early
  double seconds = 0;
};

class Zoo {
 public:
  /// Expands a spec into `out`, which is made; writes zoo.json. Over a folder that holds another spec's
  /// models, those are kept and no longer listed. Throws InputError when the data or the folder are not
  /// usable.
  static Zoo create(const ZooSpec& spec, const std::filesystem::path& spec_file,
                    const std::filesystem::path& out, ZooOptions options);
  /// Opens a folder that create() made. Throws InputError when it is none.
  static Zoo open(const std::filesystem::path& out, ZooOptions options);
  ~Zoo();
  Zoo(Zoo&&) noexcept;

  const ZooSpec& spec() const { return spec_; }
  const std::vector<ModelSpec>& models() const { return models_; }
  const ModelStore& store() const { return store_; }
  const ZooOptions& options() const { return options_; }
  std::filesystem::path root() const { return store_.root(); }
  /// Worker threads after resolving 0.
  int workers() const;
  /// The data set, loaded on first use; checked against the digest the zoo was made with.
  TrainingDataCache& data();
  /// Models of this call's shard.
  std::vector<ModelSpec> shard_models() const;

 private:
  Zoo(ZooSpec spec, std::vector<ModelSpec> models, const std::filesystem::path& root, ZooOptions options);
  ZooSpec spec_;
  std::vector<ModelSpec> models_;
  ModelStore store_;
  ZooOptions options_;
  std::unique_ptr<TrainingDataCache> data_;
};

/// Trains what has no result yet.
StageSummary train_zoo(Zoo& zoo);

/// What train_zoo would do. Times a step of what there is most of.
struct TrainingPlan {
  std::int64_t models = 0, trained = 0;  ///< of this call's shard
  std::int64_t groups = 0;               ///< of missing models that cost the same a step
  std::int64_t failing = 0;              ///< of the missing, models that --executor stack does not serve
  std::vector<StackPlan> stacks;         ///< longest first
  std::string device;                    ///< what stacks run on, or why there are none
  bool cuda = false;                     ///< whether that is a CUDA device
  int streams = 0;                       ///< stacks that train at a time
  double seconds = 0;                    ///< with this call's workers and device, at most
  double bytes = 0;                      ///< of disk that the missing models will take
  double memory = 0;                     ///< bytes, at most, of a run with this call's workers
  double device_memory = 0;              ///< bytes of a CUDA device, at most
};
TrainingPlan plan_training(Zoo& zoo);

/// Computes the measures (patterns; empty = all) that a trained model has no cell for, or one of an older
/// revision. Models without a result and diverged ones are left out. Items of the summary are models.
StageSummary measure_zoo(Zoo& zoo, const std::vector<std::string>& patterns);

/// Writes ledger.csv and runs.jsonl from the models' files. Throws InputError when no model is trained yet.
void collect_zoo(Zoo& zoo);

/// Writes ranking.json, ranking.csv, report.md and report.html.
void write_reports(const nlohmann::ordered_json& ranking, const std::filesystem::path& folder);

}  // namespace gapbench
