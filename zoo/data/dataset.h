// Image classification data sets: what is in the files (Dataset), and what a network is trained on (Samples).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "zoo/data/aligned_vector.h"

namespace gapbench {

/// One split as the files hold it.
struct RawSplit {
  std::int64_t count = 0;
  std::vector<std::uint8_t> pixels;  ///< [count, channels, height, width]
  std::vector<std::uint8_t> labels;  ///< [count], each below the number of classes
};

struct Dataset {
  std::string name;
  std::int64_t channels = 1, height = 0, width = 0, classes = 0;
  double pixel_max = 255;  ///< the pixel value that is scaled to 1
  RawSplit train, test;
  std::string sha256;   ///< of name, shape, pixels and labels: identifies the data, not the files
  std::string licence;  ///< one line
};

struct Samples {
  std::int64_t count = 0;
  AlignedVector<float> images;       ///< [count, channels, height, width]
  std::vector<std::int64_t> labels;  ///< [count]
};

/// Reads a data set. `dir` is the folder with its files, itself or in a sub-folder of the set's name (or, for
/// CIFAR, of its archive's); embedded sets ignore it. Throws InputError on an unknown name (with the
/// nearest), a missing file (with the places looked at and the command that fetches it), or a malformed one
/// (file, offset, expected, found).
Dataset load_dataset(const std::string& name, const std::filesystem::path& dir);

/// digits, mnist, fashion-mnist, kmnist, cifar10, cifar100.
std::vector<std::string> dataset_names();

/// The training samples: all of them in file order for train_size 0, else the first train_size of a fixed
/// permutation of the training split (Philox, keyed by the set's name), so that smaller subsets are part of
/// larger ones. Pixels are scaled to [0, 1]; `standardise` then subtracts the mean and divides by the
/// standard deviation of each channel, both taken over these training samples. Throws InputError when
/// train_size is more than there are.
Samples train_samples(const Dataset& dataset, std::int64_t train_size, bool standardise);

/// The whole test split with the same scaling (`standardise` uses the training samples' mean and standard
/// deviation).
Samples test_samples(const Dataset& dataset, std::int64_t train_size, bool standardise);

}  // namespace gapbench
