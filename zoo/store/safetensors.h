// safetensors, read and written: 8 bytes little-endian N, N bytes of JSON header
//   {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ..., "__metadata__": {"key":
//   "text"}}
// then the raw little-endian data the offsets point into. PyTorch, NumPy and JAX read and write the same
// files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gapbench {

/// An array to write: prod(shape) row-major numbers, float32 or, in `integers`, int64.
struct TensorToWrite {
  std::string name;
  std::vector<std::int64_t> shape;
  std::span<const float> values;
  std::span<const std::int64_t> integers = {};
  std::span<const std::byte> bytes() const {
    return integers.empty() ? std::as_bytes(values) : std::as_bytes(integers);
  }
};

/// Writes atomically, in the given order, data aligned to 8 bytes.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// One tensor of an open file.
struct TensorEntry {
  std::string name;
  std::string dtype;  ///< F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL
  std::vector<std::int64_t> shape;
  std::string_view bytes;  ///< little-endian, points into the map
  std::int64_t count() const;
};

/// A memory-mapped safetensors file. Every fault of the file is an InputError that names file, place,
/// expected and found.
class TensorFile {
 public:
  static std::shared_ptr<const TensorFile> open(const std::filesystem::path& path);

  /// In the order of the data.
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool has(std::string_view name) const;
  /// Throws InputError with the nearest name.
  const TensorEntry& at(std::string_view name) const;
  /// The values of an aligned F32 tensor, without a copy. Throws InputError on another dtype.
  std::span<const float> float32(const TensorEntry& tensor) const;
  /// The values of any numeric dtype, converted to float32.
  std::vector<float> to_float32(const TensorEntry& tensor) const;

  ~TensorFile();

 private:
  TensorFile() = default;
  struct Map;
  std::unique_ptr<Map> map_;
  std::filesystem::path path_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace gapbench
