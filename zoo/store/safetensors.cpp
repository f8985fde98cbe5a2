#include "zoo/store/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "measures/api/error.h"
#include "measures/api/suggest.h"
#include "zoo/store/atomic_file.h"

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian");

namespace gapbench {

namespace {

constexpr std::uint64_t header_limit = 100'000'000;

constexpr std::array<std::pair<std::string_view, std::size_t>, 13> dtypes = {{{"F64", 8},
                                                                              {"F32", 4},
                                                                              {"F16", 2},
                                                                              {"BF16", 2},
                                                                              {"I64", 8},
                                                                              {"I32", 4},
                                                                              {"I16", 2},
                                                                              {"I8", 1},
                                                                              {"U64", 8},
                                                                              {"U32", 4},
                                                                              {"U16", 2},
                                                                              {"U8", 1},
                                                                              {"BOOL", 1}}};

template <class T>
T load(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <class T>
std::vector<float> convert(std::string_view bytes) {
  std::vector<float> values(bytes.size() / sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(load<T>(bytes.data() + i * sizeof(T)));
  return values;
}

float from_half(std::uint16_t h) {
  const int exponent = (h >> 10) & 31, mantissa = h & 1023;
  float value = exponent == 0    ? std::ldexp(static_cast<float>(mantissa), -24)
                : exponent == 31 ? (mantissa == 0 ? INFINITY : NAN)
                                 : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return (h & 0x8000) != 0 ? -value : value;
}

// Parses the header and refuses repeated keys, which JSON libraries otherwise merge silently.
nlohmann::json parse_header(std::string_view text, const std::string& file) {
  std::vector<std::vector<std::string>> keys;
  const auto check = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      const auto& key = value.get_ref<const std::string&>();
      if (std::find(keys.back().begin(), keys.back().end(), key) != keys.back().end())
        throw InputError(file + ": the header names '" + key + "' twice");
      keys.back().push_back(key);
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::exception& e) {
    throw InputError(file + ": the header (bytes 8 to " + std::to_string(8 + text.size()) +
                     ") is not valid JSON: " + e.what());
  }
}

}  // namespace

std::int64_t TensorEntry::count() const {
  std::int64_t n = 1;
  for (const std::int64_t extent : shape) n *= extent;
  return n;
}

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const TensorToWrite& t : tensors) {
    std::int64_t count = 1;
    for (const std::int64_t extent : t.shape) count *= extent;
    if (count != static_cast<std::int64_t>(t.values.size() + t.integers.size()))
      throw InternalError("tensor " + t.name + " does not fill its shape");
    const std::uint64_t end = offset + t.bytes().size();
    header[t.name] = {
        {"dtype", t.integers.empty() ? "F32" : "I64"}, {"shape", t.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string file(8, '\0');
  const std::uint64_t length = text.size();
  std::memcpy(file.data(), &length, 8);
  file.reserve(8 + text.size() + offset);
  file += text;
  for (const TensorToWrite& t : tensors)  // an empty span may have a null pointer
    if (!t.bytes().empty()) file.append(reinterpret_cast<const char*>(t.bytes().data()), t.bytes().size());
  write_file_atomically(path, file);
}

struct TensorFile::Map {
  MappedFile file;
};

TensorFile::~TensorFile() = default;

std::shared_ptr<const TensorFile> TensorFile::open(const std::filesystem::path& path) {
  std::shared_ptr<TensorFile> result(new TensorFile);
  result->path_ = path;
  result->map_.reset(new Map{MappedFile(path)});
  const std::string file = path.string();
  const std::string_view bytes = result->map_->file.bytes();
  if (bytes.size() < 8)
    throw InputError(file + ": " + std::to_string(bytes.size()) +
                     " bytes are too short for a safetensors file (8 or more)");
  const auto header_size = load<std::uint64_t>(bytes.data());
  if (header_size > header_limit || header_size > bytes.size() - 8)
    throw InputError(file + ": at byte 0, the header length " + std::to_string(header_size) +
                     " is more than the file has (" + std::to_string(bytes.size() - 8) +
                     " bytes) or than is allowed (" + std::to_string(header_limit) +
                     "); the file is cut short or no safetensors file");
  const nlohmann::json header = parse_header(bytes.substr(8, header_size), file);
  if (!header.is_object())
    throw InputError(file + ": the header must be a JSON object, found " + header.type_name());
  const std::string_view data = bytes.substr(8 + header_size);

  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) throw InputError(file + ": __metadata__ must be an object of texts");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string())
          throw InputError(file + ": __metadata__ " + key + " must be a text, found " + value.type_name());
        result->metadata_[key] = value;
      }
      continue;
    }
    const std::string where = file + ": tensor " + name;
    const auto malformed = [&] {
      return InputError(where + " must have dtype, shape and data_offsets, found " + entry.dump());
    };
    if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
        !entry.contains("shape") || !entry["shape"].is_array() || !entry.contains("data_offsets") ||
        !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2)
      throw malformed();
    TensorEntry tensor;
    tensor.name = name;
    tensor.dtype = entry["dtype"];
    const auto dtype =
        std::find_if(dtypes.begin(), dtypes.end(), [&](const auto& d) { return d.first == tensor.dtype; });
    if (dtype == dtypes.end())
      throw InputError(where + " has dtype " + tensor.dtype +
                       ", which is none of F64 F32 F16 BF16 I64 ... BOOL");
    std::uint64_t size = dtype->second;
    for (const auto& extent : entry["shape"]) {
      if (!extent.is_number_unsigned() ||
          (extent.get<std::uint64_t>() > 0 && size > bytes.size() / extent.get<std::uint64_t>()))
        throw InputError(where + ": shape " + entry["shape"].dump() +
                         " is not a list of sizes that fit the file");
      tensor.shape.push_back(extent);
      size *= extent.get<std::uint64_t>();
    }
    const auto& offsets = entry["data_offsets"];
    if (!offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) throw malformed();
    const std::uint64_t begin = offsets[0], end = offsets[1];
    if (begin > end || end > data.size())
      throw InputError(where + ": data_offsets " + offsets.dump() + " reach beyond the " +
                       std::to_string(data.size()) + " bytes of data; the file is cut short");
    if (end - begin != size)
      throw InputError(where + ": data_offsets " + offsets.dump() + " hold " + std::to_string(end - begin) +
                       " bytes, " + tensor.dtype + " " + entry["shape"].dump() + " needs " +
                       std::to_string(size));
    tensor.bytes = data.substr(begin, size);
    result->tensors_.push_back(std::move(tensor));
  }
  std::stable_sort(
      result->tensors_.begin(), result->tensors_.end(),
      [](const TensorEntry& a, const TensorEntry& b) { return a.bytes.data() < b.bytes.data(); });
  for (std::size_t i = 1; i < result->tensors_.size(); ++i) {
    const TensorEntry &a = result->tensors_[i - 1], &b = result->tensors_[i];
    if (a.bytes.data() + a.bytes.size() > b.bytes.data())
      throw InputError(file + ": tensors " + a.name + " and " + b.name + " overlap");
  }
  return result;
}

bool TensorFile::has(std::string_view name) const {
  return std::any_of(tensors_.begin(), tensors_.end(), [&](const TensorEntry& t) { return t.name == name; });
}

const TensorEntry& TensorFile::at(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const TensorEntry& t : tensors_) {
    if (t.name == name) return t;
    names.push_back(t.name);
  }
  throw InputError(path_.string() + ": no tensor '" + std::string(name) + "'" + suggestion(name, names));
}

std::span<const float> TensorFile::float32(const TensorEntry& t) const {
  if (t.dtype != "F32")
    throw InputError(path_.string() + ": tensor " + t.name + " has dtype " + t.dtype + ", expected F32");
  if (reinterpret_cast<std::uintptr_t>(t.bytes.data()) % alignof(float) != 0)
    throw InputError(path_.string() + ": tensor " + t.name + " is not aligned to 4 bytes");
  return {reinterpret_cast<const float*>(t.bytes.data()), t.bytes.size() / sizeof(float)};
}

std::vector<float> TensorFile::to_float32(const TensorEntry& t) const {
  if (t.dtype == "F32") return convert<float>(t.bytes);
  if (t.dtype == "F64") return convert<double>(t.bytes);
  if (t.dtype == "I64") return convert<std::int64_t>(t.bytes);
  if (t.dtype == "I32") return convert<std::int32_t>(t.bytes);
  if (t.dtype == "I16") return convert<std::int16_t>(t.bytes);
  if (t.dtype == "I8") return convert<std::int8_t>(t.bytes);
  if (t.dtype == "U64") return convert<std::uint64_t>(t.bytes);
  if (t.dtype == "U32") return convert<std::uint32_t>(t.bytes);
  if (t.dtype == "U16") return convert<std::uint16_t>(t.bytes);
  if (t.dtype == "U8" || t.dtype == "BOOL") return convert<std::uint8_t>(t.bytes);
  std::vector<float> values(t.bytes.size() / 2);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto raw = load<std::uint16_t>(t.bytes.data() + 2 * i);
    values[i] =
        t.dtype == "F16" ? from_half(raw) : std::bit_cast<float>(static_cast<std::uint32_t>(raw) << 16);
  }
  return values;
}

}  // namespace gapbench
