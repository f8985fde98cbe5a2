// Readers of the formats data sets come in. Each fault is an InputError that names file, offset, expected and
// found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "zoo/data/dataset.h"

namespace gapbench {

/// A file's bytes, decompressed if its content is gzip (by its first two bytes, not by its name).
std::string read_maybe_gzip(const std::filesystem::path& path);
/// Decompresses gzip bytes; `where` names them in errors.
std::string gunzip(std::string_view bytes, const std::string& where);

/// An idx file of unsigned bytes (MNIST and its relatives): magic 0 0 8 n, n big-endian sizes, the bytes.
struct IdxArray {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> values;
};
/// `dimensions` is what the caller expects: 3 for images, 1 for labels.
IdxArray read_idx(const std::filesystem::path& path, std::size_t dimensions);

/// A split from an idx file of images and one of labels. Checks that counts agree and that labels are below
/// `classes`.
RawSplit read_idx_split(const std::filesystem::path& images, const std::filesystem::path& labels,
                        std::int64_t classes, std::int64_t& height, std::int64_t& width);

/// Appends the records of a CIFAR binary file: `label_bytes` bytes (the last is the label taken), then
/// 3x32x32 pixels.
void append_cifar(const std::filesystem::path& path, std::size_t label_bytes, std::int64_t classes,
                  RawSplit& split);

/// The embedded digits, split: rows whose index leaves remainder 4 when divided by 5 are the test split.
Dataset load_digits();

}  // namespace gapbench
