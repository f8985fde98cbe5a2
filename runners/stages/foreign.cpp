#include "runners/stages/foreign.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <sstream>

#include "measures/api/error.h"
#include "measures/api/registry.h"
#include "measures/api/suggest.h"
#include "zoo/engine/network_probe.h"
#include "zoo/store/atomic_file.h"
#include "zoo/store/safetensors.h"
#include "zoo/store/sha256.h"
#include "zoo/training/training_data.h"

namespace gapbench {

using nlohmann::json;

namespace {

constexpr std::array layer_kinds = {"dense",      "conv",    "batch_norm", "relu",
                                    "leaky_relu", "gelu",    "tanh",       "max_pool",
                                    "mean_pool",  "flatten", "dropout",    "mean_positions"};
constexpr std::array layer_keys = {"kind", "name", "outputs", "kernel", "stride", "padding", "bias"};

std::string text(const Extent& e) {
  return "[" + std::to_string(e.channels) + "," + std::to_string(e.height) + "," + std::to_string(e.width) +
         "]";
}

// One entry of "layers". `place` names it in messages.
void add_layer(NetworkBuilder& net, json layer, std::size_t index, const std::string& place,
               std::vector<std::string>& without_bias) {
  if (layer.is_string()) layer = {{"kind", layer}};
  for (const auto& [key, value] : layer.items())
    if (std::find(layer_keys.begin(), layer_keys.end(), key) == layer_keys.end())
      throw InputError(place + ": unknown key '" + key + "'" + suggestion(key, layer_keys));
  const std::string kind = layer.at("kind"), name = layer.value("name", std::to_string(index));
  const Extent in = net.extent();
  const auto unfit = [&](const std::string& why) {
    throw InputError(place + ": " + kind + " " + why + "; its input is " + text(in));
  };
  if ((kind == "dense" || kind == "conv") && layer.at("outputs").get<std::int64_t>() < 1)
    unfit("needs outputs >= 1");
  if (kind == "dense") {
    if (in.positions() != 1) unfit("needs a flat input, put \"flatten\" or \"mean_positions\" before it");
    net.dense(name, layer.at("outputs"));
    if (!layer.value("bias", true)) without_bias.push_back(name + ".bias");
  } else if (kind == "conv") {
    const std::int64_t kernel = layer.value("kernel", 3), stride = layer.value("stride", 1),
                       padding = layer.value("padding", 0);
    if (kernel < 1 || stride < 1 || padding < 0) unfit("needs kernel >= 1, stride >= 1 and padding >= 0");
    if (std::min(in.height, in.width) + 2 * padding < kernel)
      unfit("of kernel " + std::to_string(kernel) + " does not fit");
    net.conv(name, layer.at("outputs"), kernel, stride, padding, layer.value("bias", true));
  } else if (kind == "batch_norm") {
    net.batch_norm(name);
  } else if (kind == "max_pool" || kind == "mean_pool") {
    if (std::min(in.height, in.width) < 2) unfit("needs at least 2 rows and columns");
    if (kind == "max_pool")
      net.max_pool();
    else
      net.mean_pool();
  } else if (kind == "flatten") {
    net.flatten();
  } else if (kind == "mean_positions") {
    net.mean_positions();
  } else if (kind == "relu" || kind == "leaky_relu" || kind == "gelu" || kind == "tanh") {
    net.activation(kind == "relu"         ? Activation::relu
                   : kind == "leaky_relu" ? Activation::leaky_relu
                   : kind == "gelu"       ? Activation::gelu
                                          : Activation::tanh);
  } else if (kind != "dropout") {  // which does nothing in evaluation mode
    throw InputError(place + ": there is no layer '" + kind + "'" + suggestion(kind, layer_kinds));
  }
}

// Arrays as the file names them: by the array's own entry in names, by its module's, or by our name.
std::string their_name(const ForeignNetwork& network, const std::string& array) {
  if (const auto whole = network.names.find(array); whole != network.names.end()) return whole->second;
  const std::size_t dot = array.rfind('.');
  const auto module = network.names.find(array.substr(0, dot));
  return (module != network.names.end() ? module->second : array.substr(0, dot)) + array.substr(dot);
}

// The arrays of a file in the architecture's order; says of every tensor what became of it.
std::vector<std::vector<float>> read_arrays(const std::filesystem::path& path, const char* which,
                                            const ForeignNetwork& network, std::vector<TensorNote>& notes) {
  const auto file = TensorFile::open(path);
  const auto& arrays = network.architecture->arrays();
  std::string prefix;  // that wrappers put before every name
  for (const char* candidate : {"", "module.", "_orig_mod.", "model."})
    if (file->has(candidate + their_name(network, arrays.front().name))) {
      prefix = candidate;
      break;
    }
  std::vector<std::vector<float>> values;
  std::set<std::string> used;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    if (network.absent_biases.contains(i)) {
      values.emplace_back(static_cast<std::size_t>(arrays[i].size()));
      continue;
    }
    const std::string name = prefix + their_name(network, arrays[i].name);
    if (!file->has(name)) {
      std::vector<std::string> all;
      for (const TensorEntry& t : file->tensors()) all.push_back(t.name);
      throw InputError(path.string() + ": there is no tensor " + name +
                       ", which the network calls for with shape " + json(arrays[i].shape).dump() +
                       suggestion(name, all) +
                       "; give its name in the file under \"names\" of the network file");
    }
    const TensorEntry& t = file->at(name);
    if (t.shape != arrays[i].shape)
      throw InputError(path.string() + ": tensor " + name + " has shape " + json(t.shape).dump() +
                       ", the network calls for " + json(arrays[i].shape).dump() + " (" + arrays[i].name +
                       "); correct the network file");
    if (t.dtype != "F32" && t.dtype != "F64" && t.dtype != "F16" && t.dtype != "BF16")
      throw InputError(path.string() + ": tensor " + name + " holds " + t.dtype +
                       ", not F32, F64, F16 or BF16; save it as one of these");
    values.push_back(file->to_float32(t));
    used.insert(name);
    notes.push_back(
        {which, name, t.shape, arrays[i].name, t.dtype == "F32" ? "" : t.dtype + " taken as F32"});
  }
  for (const TensorEntry& t : file->tensors())
    if (!used.contains(t.name))
      notes.push_back({which, t.name, t.shape, "",
                       t.name.ends_with("num_batches_tracked") ? "a counter that evaluation does not read"
                                                               : "the network has no such array"});
  return values;
}

struct Images {
  AlignedVector<float> pixels;  // [count, channels, height, width]
  std::vector<std::int64_t> labels;
  Extent extent;
};

Images read_images(const ForeignOptions& options, const ForeignNetwork& network) {
  Images images;
  if (!options.data.ends_with(".safetensors")) {
    const Dataset dataset = load_dataset(options.data, options.data_dir);
    images.extent = {dataset.channels, dataset.height, dataset.width};
    Samples samples = train_samples(dataset, 0, false);
    images.pixels = std::move(samples.images);
    images.labels = std::move(samples.labels);
    const auto positions = static_cast<std::size_t>(images.extent.positions());
    if (!network.mean.empty() && images.extent.channels == network.input.channels)
      for (std::size_t i = 0; i < images.pixels.size(); ++i) {
        const std::size_t c = i / positions % network.mean.size();
        images.pixels[i] =
            static_cast<float>((static_cast<double>(images.pixels[i]) - network.mean[c]) / network.sd[c]);
      }
    return images;
  }
  const auto file = TensorFile::open(options.data);
  const TensorEntry &pixels = file->at("images"), &labels = file->at("labels");
  if (pixels.shape.size() != 4 || labels.shape != std::vector<std::int64_t>{pixels.shape[0]})
    throw InputError(options.data + ": images have shape " + json(pixels.shape).dump() + " and labels " +
                     json(labels.shape).dump() + "; they must be [n, channels, height, width] and [n]");
  images.extent = {pixels.shape[1], pixels.shape[2], pixels.shape[3]};
  const std::vector<float> values = file->to_float32(pixels), numbers = file->to_float32(labels);
  images.pixels.assign(values.begin(), values.end());
  for (const float label : numbers) {
    if (!(label >= 0 && label < 1e6f) || label != std::floor(label))
      throw InputError(options.data + ": label " + std::to_string(label) + " is not a class number from 0");
    images.labels.push_back(static_cast<std::int64_t>(label));
  }
  return images;
}

std::vector<std::size_t> read_order(const ForeignOptions& options, std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (!options.order.empty()) {
    order.clear();
    std::istringstream words(read_file(options.order));
    for (std::string word; words >> word;) {
      const bool digits = word.size() <= 18 && word.find_first_not_of("0123456789") == std::string::npos;
      if (!digits || std::stoull(word) >= count)
        throw InputError(options.order.string() + ": '" + word +
                         "' is not the number of a sample; the data have samples 0 to " +
                         std::to_string(count - 1));
      order.push_back(std::stoull(word));
    }
  }
  if (options.samples > 0) {
    if (static_cast<std::size_t>(options.samples) > order.size())
      throw InputError("--samples " + std::to_string(options.samples) + ": there are only " +
                       std::to_string(order.size()) + "; ask for at most these");
    order.resize(static_cast<std::size_t>(options.samples));
  }
  if (order.empty()) throw InputError("no samples are left to measure on; give --order at least one number");
  return order;
}

std::shared_ptr<const TrainingData> read_data(const ForeignOptions& options, const ForeignNetwork& network) {
  const Images images = read_images(options, network);
  const InputShape& input = network.input;
  if (images.extent.channels != input.channels || images.extent.height != input.height ||
      images.extent.width != input.width)
    throw InputError("the images of " + options.data + " are " + text(images.extent) + ", the input of " +
                     options.network.string() + " is " + text({input.channels, input.height, input.width}));
  auto data = std::make_shared<TrainingData>();
  data->shape = input;
  data->channels_last = network.architecture->channels_last();
  const auto size = static_cast<std::size_t>(input.size());
  for (const std::size_t i : read_order(options, images.labels.size())) {
    if (images.labels[i] >= input.classes)
      throw InputError("sample " + std::to_string(i) + " of " + options.data + " has label " +
                       std::to_string(images.labels[i]) + ", the network has " +
                       std::to_string(input.classes) + " classes");
    const auto first = images.pixels.begin() + static_cast<std::ptrdiff_t>(i * size);
    data->train.images.insert(data->train.images.end(), first, first + static_cast<std::ptrdiff_t>(size));
    data->train.labels.push_back(images.labels[i]);
  }
  data->train.count = static_cast<std::int64_t>(data->train.labels.size());
  if (data->channels_last) to_channels_last(data->train.images, input);
  return data;
}

// The layers and the plan without the biases that are not the network's.
void remove_biases(const std::set<std::size_t>& absent, std::vector<Layer>& layers, Plan& plan) {
  for (Layer& layer : layers)
    if (layer.bias && absent.contains(*layer.bias)) layer.bias.reset();
  for (Op& op : plan.ops)
    if (op.bias && absent.contains(*op.bias)) op.bias.reset();
}

}  // namespace

ForeignNetwork ForeignNetwork::parse(const std::string& source, const std::string& where) {
  ForeignNetwork network;
  try {
    json j = json::parse(source);
    const auto take = [&](const char* key) {
      json value = j.contains(key) ? j[key] : json();
      j.erase(key);
      return value;
    };
    const auto input = take("input").get<std::vector<std::int64_t>>();
    if (input.size() != 3 || *std::min_element(input.begin(), input.end()) < 1)
      throw InputError(where + ": input must be [channels, height, width], each at least 1");
    network.input = {input[0], input[1], input[2], 0};
    const json classes = take("classes"), layers = take("layers"), names = take("names"), mean = take("mean"),
               sd = take("std");
    if (layers.is_null() == !j.contains("network"))
      throw InputError(
          where + ": give either network, an architecture of gapbench with its sizes, or layers, a list");
    std::vector<std::string> without_bias;
    if (layers.is_null()) {
      network.input.classes = classes.get<std::int64_t>();
      network.architecture = make_architecture(HyperParameters::from_json(j, where), network.input);
    } else {
      if (!j.empty())
        throw InputError(where + ": unknown key '" + j.begin().key() +
                         "' beside layers (valid: input layers classes names mean std)");
      NetworkBuilder net("layers", network.input);
      for (std::size_t i = 0; i < layers.size(); ++i)
        add_layer(net, layers[i], i, where + ": layer " + std::to_string(i), without_bias);
      if (net.extent().positions() != 1 || net.extent().channels < 2)
        throw InputError(where + ": the last layer gives " + text(net.extent()) +
                         "; logits are [classes,1,1] with at least 2 classes");
      network.input.classes = net.extent().channels;
      if (!classes.is_null() && classes != network.input.classes)
        throw InputError(where + ": classes is " + classes.dump() + ", the last layer gives " +
                         std::to_string(network.input.classes));
      network.architecture = net.finish();
    }
    std::set<std::string> known;
    for (std::size_t i = 0; i < network.architecture->arrays().size(); ++i) {
      const std::string& array = network.architecture->arrays()[i].name;
      if (std::find(without_bias.begin(), without_bias.end(), array) != without_bias.end())
        network.absent_biases.insert(i);
      known.insert(array);
      known.insert(array.substr(0, array.rfind('.')));
    }
    if (known.empty()) throw InputError(where + ": the network has no arrays");
    if (!names.is_null()) network.names = names.get<std::map<std::string, std::string>>();
    for (const auto& [ours, theirs] : network.names)
      if (!known.contains(ours))
        throw InputError(where + ": names: the network has no module or array '" + ours + "'" +
                         suggestion(ours, known));
    if (!mean.is_null() || !sd.is_null()) {
      network.mean = mean.get<std::vector<double>>();
      network.sd = sd.get<std::vector<double>>();
      const auto channels = static_cast<std::size_t>(network.input.channels);
      if (network.mean.size() != channels || network.sd.size() != channels ||
          *std::min_element(network.sd.begin(), network.sd.end()) <= 0)
        throw InputError(where + ": mean and std need one number for each of the " +
                         std::to_string(channels) + " channels, std above 0");
    }
  } catch (const json::exception& e) {
    throw InputError(where + ": not a network file (" + e.what() +
                     "); an example: {\"input\": [1, 28, 28], \"layers\": [\"flatten\", "
                     "{\"kind\": \"dense\", \"outputs\": 10}]}");
  }
  return network;
}

ForeignResult measure_foreign(const ForeignOptions& options) {
  const ForeignNetwork network = ForeignNetwork::parse(read_file(options.network), options.network.string());
  const Architecture& architecture = *network.architecture;
  const std::vector<const Measure*> measures = all_measures().select(options.measures);
  ForeignResult result;
  struct Storage {
    std::vector<std::vector<float>> final, init;
  };
  const auto storage = std::make_shared<Storage>();
  storage->final = read_arrays(options.model, "model", network, result.tensors);
  if (!options.init.empty()) storage->init = read_arrays(options.init, "init", network, result.tensors);
  std::vector<Array> arrays;
  std::vector<std::span<const float>> final;
  for (std::size_t i = 0; i < architecture.arrays().size(); ++i) {
    const ArraySpec& a = architecture.arrays()[i];
    final.emplace_back(storage->final[i]);
    arrays.push_back({a.name, a.shape, storage->final[i],
                      storage->init.empty() ? std::span<const float>() : storage->init[i]});
  }
  std::vector<Layer> layers = architecture.layers();
  Plan plan = architecture.plan();
  remove_biases(network.absent_biases, layers, plan);
  std::unique_ptr<Probe> probe;
  std::int64_t train_size = options.samples;
  if (!options.data.empty()) {
    const auto data = read_data(options, network);
    train_size = data->train.count;
    const bool with_derivatives = std::any_of(measures.begin(), measures.end(), [](const Measure* m) {
      return (m->info.needs & needs_gradients) != 0;
    });
    probe = Probes(executor_choice(options.executor), device_choice(options.device), 1)
                .make(architecture, data, data->train.labels, final, options.workers, with_derivatives);
  }
  // the id keys the random draws of searches: the same weights, the same numbers
  Snapshot snapshot(sha256_of_file(options.model).substr(0, 16), std::move(arrays), std::move(layers),
                    train_size, network.input.classes, storage);
  snapshot.set_plan(std::move(plan));
  snapshot.set_threads(options.workers);
  for (const Measure* measure : measures)
    result.cells.push_back(compute_cell(*measure, snapshot, probe.get()));
  return result;
}

}  // namespace gapbench
