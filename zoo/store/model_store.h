// The content-addressed store of a zoo's models:
//   <root>/models/<id>/spec.json init.safetensors final.safetensors history.jsonl timing.json result.json
//   [measures.jsonl]
// Every file appears whole or not at all, and result.json comes last: a model with a result is complete, one
// without is not trained yet. checkpoint.safetensors exists only while a model trains.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gapbench {

class ModelStore {
 public:
  /// Makes <root>/models unless told not to. Throws InputError where that cannot be written to.
  explicit ModelStore(std::filesystem::path root, bool make_folders = true);

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path dir(const std::string& id) const { return root_ / "models" / id; }
  std::filesystem::path file(const std::string& id, const char* name) const { return dir(id) / name; }
  bool is_trained(const std::string& id) const;

  /// A JSON file of a model; throws InputError that names it when it is unreadable or no JSON.
  nlohmann::json read_json(const std::string& id, const char* name) const;
  void write_json(const std::string& id, const char* name, const nlohmann::json& value) const;
  /// JSON Lines; an absent file is empty.
  std::vector<nlohmann::json> read_json_lines(const std::string& id, const char* name) const;
  void write_json_lines(const std::string& id, const char* name,
                        const std::vector<nlohmann::json>& lines) const;
  void remove(const std::string& id, const char* name) const;
  /// Removes the temporary files that a killed writer of this model left. Only one process may write a model.
  void remove_leftovers(const std::string& id) const;

 private:
  std::filesystem::path root_;
};

}  // namespace gapbench
