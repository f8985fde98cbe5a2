#include "zoo/data/dataset.h"

#include <cmath>
#include <numeric>

#include "measures/api/error.h"
#include "measures/api/suggest.h"
#include "measures/numerics/philox.h"
#include "zoo/data/formats.h"
#include "zoo/store/sha256.h"

namespace gapbench {

namespace fs = std::filesystem;

namespace {

// The first of the given names that exists in one of the folders a set's files may be in.
fs::path find_file(const std::string& set, const fs::path& dir, const std::vector<std::string>& folders,
                   const std::vector<std::string>& names) {
  std::string looked;
  for (const std::string& folder : folders)
    for (const std::string& name : names) {
      const fs::path path = folder.empty() ? dir / name : dir / folder / name;
      if (fs::exists(path)) return path;
      looked += (looked.empty() ? "" : ", ") + path.string();
    }
  throw InputError("data set " + set + " is not there; looked for " + looked +
                   ". Get it with: gapbench data fetch " + set + " --dir " + dir.string() +
                   "   or point --data-dir at the folder that holds it");
}

Dataset load_idx_set(const std::string& name, const fs::path& dir) {
  const std::vector<std::string> folders = {name, ""};
  const auto file = [&](const std::string& stem, const std::string& kind) {
    return find_file(
        name, dir, folders,
        {stem + "-" + kind + ".gz", stem + "-" + kind, stem + "." + kind, stem + "." + kind + ".gz"});
  };
  Dataset d;
  d.classes = 10;
  std::int64_t test_height = 0, test_width = 0;
  const fs::path images = file("train-images", "idx3-ubyte"), test_images = file("t10k-images", "idx3-ubyte");
  d.train = read_idx_split(images, file("train-labels", "idx1-ubyte"), d.classes, d.height, d.width);
  d.test = read_idx_split(test_images, file("t10k-labels", "idx1-ubyte"), d.classes, test_height, test_width);
  if (d.height != test_height || d.width != test_width)
    throw InputError(images.string() + " holds images of " + std::to_string(d.height) + "x" +
                     std::to_string(d.width) + ", " + test_images.string() + " of " +
                     std::to_string(test_height) + "x" + std::to_string(test_width) +
                     ": the sizes must agree");
  return d;
}

Dataset load_cifar(const std::string& name, const fs::path& dir) {
  const bool fine = name == "cifar100";
  const std::vector<std::string> folders = {fine ? "cifar-100-binary" : "cifar-10-batches-bin", name, ""};
  Dataset d;
  d.channels = 3;
  d.height = d.width = 32;
  d.classes = fine ? 100 : 10;
  if (fine) {
    append_cifar(find_file(name, dir, folders, {"train.bin"}), 2, d.classes, d.train);
    append_cifar(find_file(name, dir, folders, {"test.bin"}), 2, d.classes, d.test);
  } else {
    for (int batch = 1; batch <= 5; ++batch)
      append_cifar(find_file(name, dir, folders, {"data_batch_" + std::to_string(batch) + ".bin"}), 1,
                   d.classes, d.train);
    append_cifar(find_file(name, dir, folders, {"test_batch.bin"}), 1, d.classes, d.test);
  }
  return d;
}

std::string digest(const Dataset& d) {
  Sha256 sha;
  sha.update(d.name + " " + std::to_string(d.channels) + " " + std::to_string(d.height) + " " +
             std::to_string(d.width) + " " + std::to_string(d.classes) + " " + std::to_string(d.train.count) +
             " " + std::to_string(d.test.count) + "\n");
  for (const auto* bytes : {&d.train.pixels, &d.train.labels, &d.test.pixels, &d.test.labels})
    sha.update({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  return sha.hex();
}

// Indices of the training samples, see train_samples().
std::vector<std::uint32_t> chosen(const Dataset& d, std::int64_t train_size) {
  if (train_size < 0 || train_size > d.train.count)
    throw InputError("train_size " + std::to_string(train_size) + " is more than the " +
                     std::to_string(d.train.count) + " training samples of " + d.name);
  std::vector<std::uint32_t> order(static_cast<std::size_t>(d.train.count));
  std::iota(order.begin(), order.end(), 0u);
  if (train_size > 0) {
    RandomStream(random_key(d.name, "train subset")).shuffle(order.begin(), order.end());
    order.resize(static_cast<std::size_t>(train_size));
  }
  return order;
}

// What turns a byte of each channel into a network's input: (pixel / pixel_max - mean) / deviation.
struct Scaling {
  std::vector<double> mean, deviation;
};

Scaling scaling(const Dataset& d, std::int64_t train_size, bool standardise) {
  const auto channels = static_cast<std::size_t>(d.channels);
  Scaling s{std::vector<double>(channels, 0.0), std::vector<double>(channels, 1.0)};
  if (!standardise) return s;
  const auto area = static_cast<std::size_t>(d.height * d.width);
  const std::vector<std::uint32_t> order = chosen(d, train_size);
  for (std::size_t c = 0; c < channels; ++c) {
    std::uint64_t sum = 0, squares = 0;  // exact: bytes
    for (const std::uint32_t i : order) {
      const std::uint8_t* p = d.train.pixels.data() + (i * channels + c) * area;
      for (std::size_t k = 0; k < area; ++k) {
        sum += p[k];
        squares += std::uint64_t{p[k]} * p[k];
      }
    }
    const double n = static_cast<double>(order.size() * area);
    const double mean = static_cast<double>(sum) / n;
    const double variance = static_cast<double>(squares) / n - mean * mean;
    s.mean[c] = mean / d.pixel_max;
    if (variance > 0)
      s.deviation[c] = std::sqrt(variance) / d.pixel_max;  // a constant channel is only centred
  }
  return s;
}

template <class Order>
Samples make_samples(const Dataset& d, const RawSplit& split, const Order& order, const Scaling& s) {
  const auto channels = static_cast<std::size_t>(d.channels),
             area = static_cast<std::size_t>(d.height * d.width);
  Samples samples;
  samples.count = static_cast<std::int64_t>(order.size());
  samples.images.reserve(order.size() * channels * area);
  for (const std::uint32_t i : order) {
    samples.labels.push_back(split.labels[i]);
    for (std::size_t c = 0; c < channels; ++c) {
      const std::uint8_t* p = split.pixels.data() + (i * channels + c) * area;
      for (std::size_t k = 0; k < area; ++k)
        samples.images.push_back(static_cast<float>((p[k] / d.pixel_max - s.mean[c]) / s.deviation[c]));
    }
  }
  return samples;
}

}  // namespace

std::vector<std::string> dataset_names() {
  return {"digits", "mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100"};
}

Dataset load_dataset(const std::string& name, const fs::path& dir) {
  Dataset d;
  if (name == "digits")
    d = load_digits();
  else if (name == "mnist" || name == "fashion-mnist" || name == "kmnist")
    d = load_idx_set(name, dir);
  else if (name == "cifar10" || name == "cifar100")
    d = load_cifar(name, dir);
  else
    throw InputError("unknown data set '" + name + "'" + suggestion(name, dataset_names()));
  d.name = name;
  if (d.licence.empty()) d.licence = "see the data set's home";
  if (d.train.count == 0 || d.test.count == 0)
    throw InputError("data set " + name + " in " + dir.string() + " has no samples");
  d.sha256 = digest(d);
  return d;
}

Samples train_samples(const Dataset& dataset, std::int64_t train_size, bool standardise) {
  return make_samples(dataset, dataset.train, chosen(dataset, train_size),
                      scaling(dataset, train_size, standardise));
}

Samples test_samples(const Dataset& dataset, std::int64_t train_size, bool standardise) {
  std::vector<std::uint32_t> all(static_cast<std::size_t>(dataset.test.count));
  std::iota(all.begin(), all.end(), 0u);
  return make_samples(dataset, dataset.test, all, scaling(dataset, train_size, standardise));
}

}  // namespace gapbench
