#include "zoo/engine/model_files.h"

#include <cmath>
#include <numeric>

#include "measures/api/error.h"
#include "zoo/store/safetensors.h"

namespace gapbench {

using nlohmann::json;

namespace {

constexpr const char* result_schema = "gapbench/result/1";

std::map<std::string, std::string> metadata(const ModelSpec& model, const char* what) {
  return {{"format", "pt"}, {"gapbench_model", model.id}, {"gapbench_arrays", what}};
}

std::vector<TensorToWrite> named(const Architecture& architecture,
                                 const std::vector<std::vector<float>>& arrays) {
  std::vector<TensorToWrite> tensors;
  for (std::size_t i = 0; i < arrays.size(); ++i)
    tensors.push_back({architecture.arrays()[i].name, architecture.arrays()[i].shape, arrays[i]});
  return tensors;
}

template <class T>
json or_null(const std::optional<T>& n) {
  return n ? json(*n) : json(nullptr);
}

json metrics_json(const Metrics& m) {
  return {{"cross_entropy", m.cross_entropy}, {"error", m.error}, {"accuracy", 1 - m.error}};
}

// The float32 arrays of a file in the architecture's order, mapped.
std::vector<std::span<const float>> read_arrays(const TensorFile& file, const std::filesystem::path& path,
                                                const Architecture& architecture) {
  std::vector<std::span<const float>> arrays;
  for (const ArraySpec& wanted : architecture.arrays()) {
    const TensorEntry& found = file.at(wanted.name);
    if (found.shape != wanted.shape)
      throw InputError(path.string() + ": tensor " + wanted.name + " has shape " + json(found.shape).dump() +
                       ", the model's spec calls for " + json(wanted.shape).dump());
    arrays.push_back(file.float32(found));
  }
  return arrays;
}

}  // namespace

void save_trained(const ModelStore& store, const ModelSpec& model, const Architecture& architecture,
                  const TrainedModel& trained, double seconds) {
  const EpochRecord& last = trained.state.history.back();
  std::vector<json> history;
  double sum_of_batch_losses = 0;
  for (const EpochRecord& record : trained.state.history) {
    history.push_back(to_json(record));
    sum_of_batch_losses += record.batch_loss;
  }
  json result = {{"schema", result_schema},
                 {"id", model.id},
                 {"status", trained.reason == StopReason::diverged ? "diverged" : "ok"},
                 {"executor", trained.state.executor},
                 {"stop_reason", to_string(trained.reason)},
                 {"epochs", last.epoch},
                 {"steps", trained.state.steps},
                 {"steps_to_cross_entropy_0.1", or_null(steps_to(trained.state.history, 0.1))},
                 {"steps_to_cross_entropy_0.01", or_null(steps_to(trained.state.history, 0.01))},
                 {"sum_of_batch_losses", sum_of_batch_losses},
                 {"gradient_noise_epoch1", or_null(trained.state.history.front().gradient_noise)}};
  if (trained.reason == StopReason::diverged)
    result["gap_error_halves"] = result["train"] = result["test"] = result["gap_error"] = result["gap_loss"] =
        result["gradient_noise_final"] = nullptr;
  else {
    result["train"] = metrics_json(last.train);
    result["test"] = metrics_json(last.test);
    result["gap_error"] = last.test.error - last.train.error;
    result["gap_error_halves"] = {last.test.half_errors[0] - last.train.error,
                                  last.test.half_errors[1] - last.train.error};
    result["gap_loss"] = last.test.cross_entropy - last.train.cross_entropy;
    result["gradient_noise_final"] = or_null(last.gradient_noise);
  }
  store.write_json(model.id, "spec.json", model.to_json());  // makes the folder
  write_safetensors(store.file(model.id, "init.safetensors"),
                    named(architecture, initial_values(architecture, model.id, model.hp.init_scale)),
                    metadata(model, "init"));
  write_safetensors(store.file(model.id, "final.safetensors"), named(architecture, trained.state.arrays),
                    metadata(model, "final"));
  if (const std::int64_t kept = trained.state.iterates.count(); kept > 0) {
    std::vector<std::int64_t> steps(static_cast<std::size_t>(kept));
    std::iota(steps.begin(), steps.end(), trained.state.steps + 1 - kept);
    write_safetensors(store.file(model.id, "iterates.safetensors"),
                      {{"steps", {kept}, {}, steps},
                       {"iterates", {kept, trained.state.iterates.dimension}, trained.state.iterates.values}},
                      metadata(model, "iterates"));
  }
  store.write_json_lines(model.id, "history.jsonl", history);
  store.write_json(model.id, "timing.json", {{"seconds", seconds}});
  store.remove(model.id, "failure.json");
  store.remove_leftovers(model.id);
  store.write_json(model.id, "result.json", result);
  // after the result: until then it is what a re-run goes on from
  store.remove(model.id, "checkpoint.safetensors");
}

void save_epoch(const ModelStore& store, const ModelSpec& model, const Architecture& architecture,
                std::int64_t epoch, const std::vector<std::vector<float>>& arrays) {
  const std::string name = "epoch-" + std::to_string(epoch);
  store.write_json(model.id, "spec.json", model.to_json());  // makes the folder
  write_safetensors(store.file(model.id, (name + ".safetensors").c_str()), named(architecture, arrays),
                    metadata(model, name.c_str()));
}

void save_checkpoint(const ModelStore& store, const ModelSpec& model, const Architecture& architecture,
                     const TrainState& state) {
  std::vector<TensorToWrite> tensors = named(architecture, state.arrays);
  for (std::size_t i = 0; i < state.optimizer_state.size(); ++i)
    tensors.push_back({"optimizer." + std::to_string(i),
                       {static_cast<std::int64_t>(state.optimizer_state[i].size())},
                       state.optimizer_state[i]});
  if (state.iterates.count() > 0)
    tensors.push_back(
        {"iterates", {state.iterates.count(), state.iterates.dimension}, state.iterates.values});
  json history = json::array();
  for (const EpochRecord& record : state.history) history.push_back(to_json(record));
  auto extra = metadata(model, "checkpoint");
  extra["gapbench_history"] = history.dump();
  extra["gapbench_executor"] = state.executor;
  extra["gapbench_steps"] = std::to_string(state.steps);
  extra["gapbench_iterates"] = std::to_string(state.iterates.dimension);
  store.write_json(model.id, "spec.json", model.to_json());  // makes the folder
  write_safetensors(store.file(model.id, "checkpoint.safetensors"), tensors, extra);
}

std::optional<TrainState> load_checkpoint(const ModelStore& store, const ModelSpec& model,
                                          const Architecture& architecture) {
  const auto path = store.file(model.id, "checkpoint.safetensors");
  if (!std::filesystem::exists(path)) return std::nullopt;
  const auto file = TensorFile::open(path);
  TrainState state;
  for (const auto& a : read_arrays(*file, path, architecture)) state.arrays.emplace_back(a.begin(), a.end());
  for (std::size_t i = 0; file->has("optimizer." + std::to_string(i)); ++i)
    state.optimizer_state.push_back(file->to_float32(file->at("optimizer." + std::to_string(i))));
  if (file->has("iterates")) state.iterates.values = file->to_float32(file->at("iterates"));
  try {
    if (const auto made_by = file->metadata().find("gapbench_executor"); made_by != file->metadata().end())
      state.executor = made_by->second;
    state.steps = std::stoll(file->metadata().at("gapbench_steps"));
    if (const auto kept = file->metadata().find("gapbench_iterates"); kept != file->metadata().end())
      state.iterates.dimension = std::stoll(kept->second);
    for (const json& record : json::parse(file->metadata().at("gapbench_history")))
      state.history.push_back(epoch_record_from_json(record));
  } catch (const std::exception& e) {
    throw InputError(path.string() + ": not a checkpoint of this version of gapbench (" + e.what() +
                     "); delete it and run again");
  }
  return state;
}

Snapshot load_snapshot(const ModelStore& store, const ModelSpec& model, const Architecture& architecture,
                       std::int64_t train_size, std::int64_t classes) {
  const auto final_path = store.file(model.id, "final.safetensors"),
             init_path = store.file(model.id, "init.safetensors");
  using Files = std::pair<std::shared_ptr<const TensorFile>, std::shared_ptr<const TensorFile>>;
  const auto files = std::make_shared<const Files>(TensorFile::open(final_path), TensorFile::open(init_path));
  const auto final_arrays = read_arrays(*files->first, final_path, architecture);
  const auto init_arrays = read_arrays(*files->second, init_path, architecture);
  std::vector<Array> arrays;
  for (std::size_t i = 0; i < architecture.arrays().size(); ++i)
    arrays.push_back({architecture.arrays()[i].name, architecture.arrays()[i].shape, final_arrays[i],
                      init_arrays[i], architecture.arrays()[i].trained});
  Snapshot snapshot(model.id, std::move(arrays), architecture.layers(), train_size, classes, files);
  snapshot.set_plan(architecture.plan());
  const json result = store.read_json(model.id, "result.json");
  // an earlier version's result may lack a key, a diverged model has nulls
  const auto read = [&]<class T>(const char* key, std::optional<T>& value) {
    if (result.contains(key) && result[key].is_number()) value = result[key].get<T>();
  };
  TrainingRecord training;
  training.steps = result.at("steps").get<std::int64_t>();
  read("steps_to_cross_entropy_0.1", training.steps_to_cross_entropy_01);
  read("steps_to_cross_entropy_0.01", training.steps_to_cross_entropy_001);
  read("gradient_noise_epoch1", training.gradient_noise_epoch1);
  read("gradient_noise_final", training.gradient_noise_final);
  snapshot.set_training(training);
  return snapshot;
}

}  // namespace gapbench
