// Files that appear whole or not at all, and read-only memory maps.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace gapbench {

/// Writes to a temporary name in the same folder, fsyncs, renames over `path`, fsyncs the folder. On failure
/// the temporary is removed, `path` is as before, and InputError names the path and the system's reason.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// The whole file. Throws InputError that names it and the system's reason.
std::string read_file(const std::filesystem::path& path);

/// A read-only memory map of a whole file.
class MappedFile {
 public:
  /// Throws InputError that names the file and the system's reason.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::string_view bytes() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace gapbench
