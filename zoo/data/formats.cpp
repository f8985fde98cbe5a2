#include "zoo/data/formats.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>

#include "digits_csv_gz.embedded.h"
#include "measures/api/error.h"
#include "zoo/store/atomic_file.h"

namespace gapbench {

namespace fs = std::filesystem;

std::string gunzip(std::string_view bytes, const std::string& where) {
  z_stream stream = {};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) throw InternalError("zlib does not start");
  std::string out;
  std::vector<char> buffer(1 << 18);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // zlib only reads it
  std::size_t left = bytes.size();
  int status = Z_OK;
  while (status == Z_OK || status == Z_BUF_ERROR) {
    if (stream.avail_in == 0) {
      stream.avail_in = static_cast<uInt>(std::min<std::size_t>(left, 1u << 30));
      left -= stream.avail_in;
      if (stream.avail_in == 0) break;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer.data(), buffer.size() - stream.avail_out);
    if (status == Z_STREAM_END && stream.avail_in + left > 0)
      status = inflateReset(&stream);  // a further gzip member
  }
  const std::string message = stream.msg != nullptr ? stream.msg : "the data end too early";
  const auto position = stream.total_in;
  inflateEnd(&stream);
  if (status != Z_STREAM_END)
    throw InputError(where + ": broken gzip data at byte " + std::to_string(position) + " (" + message +
                     "); fetch the file again");
  return out;
}

std::string read_maybe_gzip(const fs::path& path) {
  const MappedFile file(path);
  const std::string_view bytes = file.bytes();
  if (bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b') return gunzip(bytes, path.string());
  return std::string(bytes);
}

IdxArray read_idx(const fs::path& path, std::size_t dimensions) {
  const std::string bytes = read_maybe_gzip(path);
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const std::size_t header = 4 + 4 * dimensions;
  if (bytes.size() < header)
    throw InputError(path.string() + ": " + std::to_string(bytes.size()) +
                     " bytes are too short for an idx header of " + std::to_string(header));
  if (byte(0) != 0 || byte(1) != 0 || byte(2) != 8 || byte(3) != dimensions)
    throw InputError(path.string() + ": at offset 0, expected the idx magic 0 0 8 " +
                     std::to_string(dimensions) + " (unsigned bytes, " + std::to_string(dimensions) +
                     " dimensions), found " + std::to_string(byte(0)) + " " + std::to_string(byte(1)) + " " +
                     std::to_string(byte(2)) + " " + std::to_string(byte(3)));
  IdxArray array;
  std::uint64_t size = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    std::uint64_t extent = 0;
    for (std::size_t i = 0; i < 4; ++i) extent = extent << 8 | byte(4 + 4 * d + i);
    array.shape.push_back(static_cast<std::int64_t>(extent));
    size = extent != 0 && size > bytes.size() / extent ? bytes.size() + 1
                                                       : size * extent;  // saturates instead of overflowing
  }
  if (bytes.size() - header != size) {
    std::string shape;
    for (const std::int64_t extent : array.shape)
      shape += (shape.empty() ? "" : "x") + std::to_string(extent);
    throw InputError(path.string() + ": at offset " + std::to_string(header) + ", expected the " + shape +
                     " bytes that the header announces, found " + std::to_string(bytes.size() - header) +
                     "; the file is " + (bytes.size() - header < size ? "cut short" : "too long"));
  }
  array.values.assign(bytes.begin() + static_cast<std::ptrdiff_t>(header), bytes.end());
  return array;
}

RawSplit read_idx_split(const fs::path& images, const fs::path& labels, std::int64_t classes,
                        std::int64_t& height, std::int64_t& width) {
  IdxArray x = read_idx(images, 3), y = read_idx(labels, 1);
  if (x.shape[0] != y.shape[0])
    throw InputError(images.string() + " holds " + std::to_string(x.shape[0]) + " images, " +
                     labels.string() + " holds " + std::to_string(y.shape[0]) +
                     " labels: the counts must agree");
  for (std::size_t i = 0; i < y.values.size(); ++i)
    if (y.values[i] >= classes)
      throw InputError(labels.string() + ": at offset " + std::to_string(8 + i) +
                       ", expected a label from 0 to " + std::to_string(classes - 1) + ", found " +
                       std::to_string(y.values[i]));
  height = x.shape[1];
  width = x.shape[2];
  return {x.shape[0], std::move(x.values), std::move(y.values)};
}

void append_cifar(const fs::path& path, std::size_t label_bytes, std::int64_t classes, RawSplit& split) {
  const MappedFile file(path);
  const std::string_view bytes = file.bytes();
  const std::size_t pixels = 3 * 32 * 32, record = label_bytes + pixels;
  if (bytes.empty() || bytes.size() % record != 0)
    throw InputError(
        path.string() + ": " + std::to_string(bytes.size()) + " bytes are not a whole number of records of " +
        std::to_string(record) + " bytes; the last one begins at offset " +
        std::to_string(bytes.size() / record * record) + "; the file is cut short or no CIFAR binary file");
  for (std::size_t at = 0; at < bytes.size(); at += record) {
    const auto label = static_cast<std::uint8_t>(bytes[at + label_bytes - 1]);
    if (label >= classes)
      throw InputError(path.string() + ": at offset " + std::to_string(at + label_bytes - 1) +
                       ", expected a label from 0 to " + std::to_string(classes - 1) + ", found " +
                       std::to_string(label));
    split.labels.push_back(label);
    const auto* p = reinterpret_cast<const std::uint8_t*>(bytes.data() + at + label_bytes);
    split.pixels.insert(split.pixels.end(), p, p + pixels);
    ++split.count;
  }
}

Dataset load_digits() {
  Dataset d;
  d.height = d.width = 8;
  d.classes = 10;
  d.pixel_max = 16;
  d.licence =
      "CC BY 4.0; E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998, "
      "doi:10.24432/C50P49";
  const std::string csv = gunzip(embedded::digits_csv_gz(), "embedded digits");
  const char* p = csv.data();
  const char* const end = p + csv.size();
  for (std::int64_t row = 0; p < end; ++row) {
    RawSplit& split = row % 5 == 4 ? d.test : d.train;
    for (int column = 0; column <= 64; ++column) {
      unsigned value = 0;
      const auto [next, error] = std::from_chars(p, end, value);
      if (error != std::errc() || value > (column < 64 ? 16u : 9u))
        throw InternalError("embedded digits, row " + std::to_string(row));
      p = next == end ? end : next + 1;
      (column < 64 ? split.pixels : split.labels).push_back(static_cast<std::uint8_t>(value));
    }
    ++split.count;
  }
  return d;
}

}  // namespace gapbench
