#include "zoo/store/model_store.h"

#include "measures/api/error.h"
#include "zoo/store/atomic_file.h"

namespace gapbench {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error || !fs::is_directory(path))
    throw InputError("cannot make the folder " + path.string() + ": " +
                     (error ? error.message() : "a file of that name is in the way") +
                     "; choose another --out");
}

}  // namespace

ModelStore::ModelStore(fs::path root, bool make_folders) : root_(std::move(root)) {
  if (make_folders) make_folder(root_ / "models");
}

bool ModelStore::is_trained(const std::string& id) const {
  return fs::exists(file(id, "result.json"));
}

json ModelStore::read_json(const std::string& id, const char* name) const {
  const fs::path path = file(id, name);
  try {
    return json::parse(read_file(path));
  } catch (const json::exception& e) {
    throw InputError(path.string() + ": not valid JSON (" + e.what() + "); delete the folder " +
                     dir(id).string() + " and run again to make this model anew");
  }
}

void ModelStore::write_json(const std::string& id, const char* name, const json& value) const {
  make_folder(dir(id));
  write_file_atomically(file(id, name), value.dump(1) + "\n");
}

std::vector<json> ModelStore::read_json_lines(const std::string& id, const char* name) const {
  const fs::path path = file(id, name);
  std::vector<json> lines;
  if (!fs::exists(path)) return lines;
  const std::string text = read_file(path);
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    try {
      lines.push_back(json::parse(text.begin() + static_cast<std::ptrdiff_t>(start),
                                  text.begin() + static_cast<std::ptrdiff_t>(end)));
    } catch (const json::exception& e) {
      throw InputError(path.string() + ": line " + std::to_string(lines.size() + 1) +
                       " is not valid JSON; delete the file and run again");
    }
    start = end + 1;
  }
  return lines;
}

void ModelStore::write_json_lines(const std::string& id, const char* name,
                                  const std::vector<json>& lines) const {
  make_folder(dir(id));
  std::string text;
  for (const json& line : lines) text += line.dump() + "\n";
  write_file_atomically(file(id, name), text);
}

void ModelStore::remove(const std::string& id, const char* name) const {
  std::error_code ignored;  // what is not there need not be removed
  fs::remove(file(id, name), ignored);
}

void ModelStore::remove_leftovers(const std::string& id) const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(dir(id), ignored))
    if (entry.path().filename().string().front() == '.') fs::remove(entry.path(), ignored);
}

}  // namespace gapbench
