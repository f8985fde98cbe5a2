// Data sets: the embedded digits, idx and CIFAR files and their faults, scaling, subsets.
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "measures/api/error.h"
#include "tests/support/catch.h"
#include "tests/support/temporary.h"
#include "zoo/data/dataset.h"
#include "zoo/data/formats.h"

using namespace gapbench;
using namespace gapbench::testing;
using Catch::Contains;

namespace {

std::string big_endian(std::uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16 & 255), static_cast<char>(v >> 8 & 255),
          static_cast<char>(v & 255)};
}

std::string idx(const std::vector<std::uint32_t>& shape, const std::string& values) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const std::uint32_t extent : shape) bytes += big_endian(extent);
  return bytes + values;
}

void write_gzip(const std::filesystem::path& path, const std::string& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

// Two training images of 2 x 3 and one test image.
void write_small_mnist(const std::filesystem::path& dir) {
  write_text(dir / "train-images-idx3-ubyte",
             idx({2, 2, 3}, std::string("\x00\x33\x66\x99\xcc\xff\x01\x02\x03\x04\x05\x06", 12)));
  write_text(dir / "train-labels-idx1-ubyte", idx({2}, std::string("\x09\x00", 2)));
  write_gzip(dir / "t10k-images-idx3-ubyte.gz", idx({1, 2, 3}, std::string(6, '\x33')));
  write_gzip(dir / "t10k-labels-idx1-ubyte.gz", idx({1}, std::string(1, '\x05')));
}

}  // namespace

TEST_CASE("the embedded digits are the UCI test set, split by row number") {
  const Dataset d = load_dataset("digits", "");
  CHECK(d.train.count == 1438);
  CHECK(d.test.count == 359);
  CHECK(d.train.pixels.size() == 1438 * 64);
  // the set's documentation: samples of each digit, 0 to 9, of the 1797
  std::vector<int> counts(10, 0);
  for (const RawSplit* split : {&d.train, &d.test})
    for (const std::uint8_t label : split->labels) ++counts[label];
  CHECK(counts == std::vector<int>{178, 182, 177, 183, 181, 182, 181, 179, 174, 180});
  CHECK(*std::max_element(d.train.pixels.begin(), d.train.pixels.end()) == 16);
  CHECK_THAT(d.licence, Contains("CC BY 4.0"));
}

TEST_CASE("idx files are read plain and gzipped, pixels scaled to [0, 1]") {
  const TemporaryDir dir;
  std::filesystem::create_directory(dir / "mnist");
  write_small_mnist(dir / "mnist");
  const Dataset d = load_dataset("mnist", dir.path());
  CHECK(d.height == 2);
  CHECK(d.width == 3);
  CHECK(d.classes == 10);
  const Samples train = train_samples(d, 0, false), test = test_samples(d, 0, false);
  REQUIRE(train.count == 2);
  for (int k = 0; k < 6; ++k) CHECK(train.images[static_cast<std::size_t>(k)] == Approx(k / 5.0));
  CHECK(train.labels == std::vector<std::int64_t>{9, 0});
  CHECK(test.images == AlignedVector<float>(6, 0.2f));
  // the folder itself works too, and the digest is that of the data, not of the files
  CHECK(load_dataset("mnist", dir / "mnist").sha256 == d.sha256);
  CHECK(load_dataset("kmnist", dir / "mnist").sha256 != d.sha256);
}

TEST_CASE("faults of idx files name file, offset, expected and found") {
  const TemporaryDir dir;
  const auto fails = [&](const std::string& name, const std::string& bytes, const std::string& expected) {
    write_small_mnist(dir.path());
    write_text(dir / name, bytes);
    CAPTURE(name, expected);
    CHECK_THROWS_AS(load_dataset("mnist", dir.path()), InputError);
    CHECK_THROWS_WITH(load_dataset("mnist", dir.path()), Contains(name) && Contains(expected));
  };
  const std::string images = idx({2, 2, 3}, std::string(12, 'a'));
  fails("train-images-idx3-ubyte", images.substr(0, 10), "too short for an idx header of 16");
  fails("train-images-idx3-ubyte", "\x01" + images.substr(1),
        "at offset 0, expected the idx magic 0 0 8 3 (unsigned bytes, 3 dimensions), found 1 0 8 3");
  fails("train-images-idx3-ubyte", idx({12}, std::string(12, 'a')), "found 0 0 8 1");
  fails("train-images-idx3-ubyte", images.substr(0, 20),
        "at offset 16, expected the 2x2x3 bytes that the header announces, found 4; the file is cut short");
  fails("train-images-idx3-ubyte", images + "xx", "found 14; the file is too long");
  fails("train-images-idx3-ubyte", idx({4294967295u, 4294967295u, 4294967295u}, "a"),
        "the file is cut short");
  fails("train-images-idx3-ubyte", idx({3, 2, 3}, std::string(18, 'a')), "holds 3 images");
  fails("train-labels-idx1-ubyte", idx({2}, std::string("\x01\x0a", 2)),
        "at offset 9, expected a label from 0 to 9, found 10");
  fails("train-images-idx3-ubyte", idx({2, 3, 3}, std::string(18, 'a')), "the sizes must agree");
  fails("train-images-idx3-ubyte", "\x1f\x8b rubbish", "broken gzip data");
  write_small_mnist(dir.path());
  const std::string zipped = read_text(dir / "t10k-images-idx3-ubyte.gz");
  fails("t10k-images-idx3-ubyte.gz", zipped.substr(0, zipped.size() - 9), "broken gzip data");
  std::filesystem::remove(dir / "t10k-images-idx3-ubyte.gz");
  CHECK_THROWS_WITH(load_dataset("mnist", dir.path()),
                    Contains("gapbench data fetch mnist") && Contains("t10k-images"));
}

TEST_CASE("CIFAR files are read and their faults named") {
  const TemporaryDir dir;
  const std::filesystem::path folder = dir / "cifar-10-batches-bin";
  std::filesystem::create_directory(folder);
  const auto record = [](int label, char pixel) {
    return std::string(1, static_cast<char>(label)) + std::string(3072, pixel);
  };
  for (int b = 1; b <= 5; ++b)
    write_text(folder / ("data_batch_" + std::to_string(b) + ".bin"),
               record(b, static_cast<char>(b)) + record(0, '\0'));
  write_text(folder / "test_batch.bin", record(9, '\x10'));
  const Dataset d = load_dataset("cifar10", dir.path());
  CHECK(d.train.count == 10);
  CHECK(d.test.count == 1);
  CHECK(d.train.labels == std::vector<std::uint8_t>{1, 0, 2, 0, 3, 0, 4, 0, 5, 0});
  CHECK(d.train.pixels[2 * 3072] == 2);
  write_text(folder / "data_batch_3.bin", record(3, 'x') + "short");
  CHECK_THROWS_WITH(load_dataset("cifar10", dir.path()),
                    Contains("data_batch_3.bin") && Contains("begins at offset 3073"));
  write_text(folder / "data_batch_3.bin", record(1, 'x') + record(10, 'x'));
  CHECK_THROWS_WITH(load_dataset("cifar10", dir.path()),
                    Contains("at offset 3073, expected a label from 0 to 9, found 10"));
  // CIFAR-100: coarse label, fine label
  const std::filesystem::path fine = dir / "cifar-100-binary";
  std::filesystem::create_directory(fine);
  write_text(fine / "train.bin", std::string("\x13\x63", 2) + std::string(3072, 'a'));
  write_text(fine / "test.bin", std::string("\x13\x07", 2) + std::string(3072, 'a'));
  CHECK(load_dataset("cifar100", dir.path()).train.labels == std::vector<std::uint8_t>{99});
}

TEST_CASE("subsets are nested, deterministic and keep samples whole") {
  const Dataset d = load_dataset("digits", "");
  const Samples large = train_samples(d, 500, false), small = train_samples(d, 120, false),
                all = train_samples(d, 0, false);
  CHECK(std::equal(small.images.begin(), small.images.end(), large.images.begin()));
  CHECK(std::equal(small.labels.begin(), small.labels.end(), large.labels.begin()));
  std::set<std::vector<float>> known;
  for (std::size_t i = 0; i < 1438; ++i) {
    std::vector<float> image(all.images.begin() + static_cast<std::ptrdiff_t>(64 * i),
                             all.images.begin() + static_cast<std::ptrdiff_t>(64 * i + 64));
    image.push_back(static_cast<float>(all.labels[i]));
    known.insert(image);
  }
  for (std::size_t i = 0; i < 500; ++i) {
    std::vector<float> image(large.images.begin() + static_cast<std::ptrdiff_t>(64 * i),
                             large.images.begin() + static_cast<std::ptrdiff_t>(64 * i + 64));
    image.push_back(static_cast<float>(large.labels[i]));
    CHECK(known.count(image) == 1);
  }
  CHECK(small.labels !=
        std::vector<std::int64_t>(all.labels.begin(), all.labels.begin() + 120));  // not the file's first
  CHECK(test_samples(d, 120, false).images == test_samples(d, 0, false).images);
  CHECK_THROWS_WITH(train_samples(d, 1439, false), Contains("1439 is more than the 1438"));
}

TEST_CASE("standardised training samples have mean 0 and variance 1 in each channel") {
  const Dataset d = load_dataset("digits", "");
  for (const std::int64_t size : {0, 300}) {
    const Samples s = train_samples(d, size, true);
    double sum = 0, squares = 0;
    for (const float x : s.images) {
      sum += static_cast<double>(x);
      squares += static_cast<double>(x) * static_cast<double>(x);
    }
    const auto n = static_cast<double>(s.images.size());
    CHECK(std::abs(sum / n) < 1e-6);
    CHECK(squares / n == Approx(1).epsilon(1e-6));
    // the test split goes through the training split's map: recovering a pixel needs that mean and deviation
    const Samples raw = test_samples(d, size, false), mapped = test_samples(d, size, true),
                  plain = train_samples(d, size, false);
    const double mean = std::accumulate(plain.images.begin(), plain.images.end(), 0.0) / n;
    double variance = 0;
    for (const float x : plain.images)
      variance += (static_cast<double>(x) - mean) * (static_cast<double>(x) - mean) / n;
    for (std::size_t i = 0; i < raw.images.size(); i += 997)
      CHECK(static_cast<double>(mapped.images[i]) ==
            Approx((static_cast<double>(raw.images[i]) - mean) / std::sqrt(variance)).epsilon(1e-5));
  }
}

TEST_CASE("unknown sets are refused with the nearest name") {
  CHECK_THROWS_WITH(load_dataset("fashion-mnits", "."), Contains("did you mean 'fashion-mnist'?"));
}
