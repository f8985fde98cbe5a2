// Measures of one model that gapbench did not train: weights as a PyTorch state_dict names them, and a small file that
// says what network they form (docs/foreign-models.md).
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runners/stages/cells.h"
#include "zoo/networks/architecture.h"

namespace gapbench {

/// What the network file says.
struct ForeignNetwork {
  std::unique_ptr<Architecture> architecture;
  InputShape input;
  std::map<std::string, std::string> names;  ///< our module or array name -> the file's
  std::set<std::size_t> absent_biases;  ///< arrays that the engine wants and the network has not: all zero
  std::vector<double> mean,
      sd;  ///< by channel; pixels in [0, 1] become (pixel - mean) / sd. Empty: left alone

  /// Throws InputError on an unknown key, a layer that does not fit its input, a last layer that gives no logits.
  static ForeignNetwork parse(const std::string& text, const std::string& where);
};

struct ForeignOptions {
  std::filesystem::path model, network;
  std::filesystem::path init;  ///< empty: initial weights are not known
  std::string data;  ///< name of a data set, or a safetensors file of images and labels; empty: none
  std::filesystem::path data_dir;
  std::int64_t samples =
      0;  ///< the first so many in the order; 0: all. Without data, the training set's size
  std::filesystem::path
      order;  ///< file of sample numbers from 0, apart by white space; empty: as the data have them
  std::vector<std::string> measures;
  int workers = 1;
  std::string executor = "auto", device = "auto";  ///< see executor.h
};

/// One tensor of a file, and what became of it.
struct TensorNote {
  std::string file;    ///< "model" or "init"
  std::string tensor;  ///< its name there
  std::vector<std::int64_t> shape;
  std::string array;  ///< our name; empty: skipped
  std::string note;   ///< why it was skipped, or what was done to it
};

struct ForeignResult {
  std::vector<TensorNote> tensors;
  std::vector<MeasureCell> cells;
};

/// Throws InputError where a tensor is missing or has another shape than the network calls for, naming both; where the
/// data are not of the network's input shape; where an order names a sample that is not there.
ForeignResult measure_foreign(const ForeignOptions& options);

}  // namespace gapbench
