#include "zoo/spec/hyperparameters.h"

#include <algorithm>
#include <cmath>

#include "measures/api/error.h"
#include "measures/api/suggest.h"

namespace gapbench {

using Kind = HyperParameter::Kind;
using nlohmann::json;

const std::vector<HyperParameter>& hyperparameters() {
  static const std::vector<HyperParameter> table = {
      {"network",
       Kind::choice,
       "fcn",
       0,
       0,
       false,
       {"fcn", "nin"},
       "architecture: fcn = fully connected, nin = convolutional blocks of a 3x3 and two 1x1 convolutions"},
      {"depth", Kind::integer, 2, 1, 1000, false, {}, "hidden layers of an fcn; blocks of a nin"},
      {"width",
       Kind::integer,
       64,
       1,
       1000000,
       false,
       {},
       "units of each hidden layer of an fcn; channels of a nin"},
      {"widths",
       Kind::integer_list,
       json::array(),
       1,
       1000000,
       false,
       {},
       "explicit units of each hidden layer of an fcn, instead of depth and width"},
      {"optimizer",
       Kind::choice,
       "sgd",
       0,
       0,
       false,
       {"sgd", "adam"},
       "sgd = stochastic gradient descent with momentum, adam = Adam with beta 0.9 and 0.999"},
      {"lr", Kind::number, 0.05, 0, 1000, true, {}, "learning rate, constant"},
      {"momentum", Kind::number, 0.9, 0, 0.9999, false, {}, "momentum of sgd; not used by adam"},
      {"batch_size",
       Kind::integer,
       32,
       1,
       10000000,
       false,
       {},
       "samples a step; the last batch of an epoch may be smaller"},
      {"weight_decay",
       Kind::number,
       0.0,
       0,
       10,
       false,
       {},
       "L2 coefficient added to the gradient of every array"},
      {"dropout",
       Kind::number,
       0.0,
       0,
       0.99,
       false,
       {},
       "probability of zeroing a hidden unit (fcn: after every ReLU; nin: after every block)"},
      {"train_size", Kind::integer, 0, 0, 1000000000, false, {}, "training samples taken, 0 = all"},
      {"standardise",
       Kind::boolean,
       false,
       0,
       0,
       false,
       {},
       "subtract the mean and divide by the standard deviation of each channel of the training samples"},
      {"max_epochs", Kind::integer, 200, 1, 10000000, false, {}, "epoch cap"},
      {"target_cross_entropy",
       Kind::number,
       0.01,
       0,
       1000,
       false,
       {},
       "training stops once the cross-entropy (nats) on the full training set is at most this; 0 = run to "
       "the epoch cap"},
  };
  return table;
}

namespace {

const HyperParameter& find(std::string_view name, const std::string& where) {
  std::vector<std::string_view> names;
  for (const HyperParameter& h : hyperparameters()) {
    if (h.name == name) return h;
    names.push_back(h.name);
  }
  throw InputError(where + ": unknown hyper-parameter '" + std::string(name) + "'" + suggestion(name, names));
}

std::string number_text(double v) {
  return json(v == std::floor(v) && std::abs(v) < 1e15 ? json(static_cast<std::int64_t>(v)) : json(v)).dump();
}

[[noreturn]] void refuse(const HyperParameter& h, const json& value, const std::string& allowed,
                         const std::string& where) {
  throw InputError(where + ": " + std::string(h.name) + " = " + value.dump() + " is not allowed; it takes " +
                   allowed);
}

json check_number(const HyperParameter& h, const json& value, bool integer, const std::string& where) {
  const std::string allowed = std::string(integer ? "an integer " : "a number ") +
                              (h.minimum_excluded ? "> " : ">= ") + number_text(h.minimum) +
                              " and <= " + number_text(h.maximum);
  if (!value.is_number()) refuse(h, value, allowed, where);
  const double v = value.get<double>();
  if (!std::isfinite(v) || v > h.maximum || (h.minimum_excluded ? v <= h.minimum : v < h.minimum) ||
      (integer && v != std::floor(v)))
    refuse(h, value, allowed, where);
  if (integer) return static_cast<std::int64_t>(v);
  return v;
}

}  // namespace

json checked_hyperparameter(std::string_view name, const json& value, const std::string& where) {
  const HyperParameter& h = find(name, where);
  switch (h.kind) {
    case Kind::integer:
      return check_number(h, value, true, where);
    case Kind::number:
      return check_number(h, value, false, where);
    case Kind::boolean:
      if (!value.is_boolean()) refuse(h, value, "true or false", where);
      return value;
    case Kind::choice: {
      if (value.is_string())
        for (const std::string_view choice : h.choices)
          if (value.get_ref<const std::string&>() == choice) return value;
      const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      throw InputError(where + ": " + std::string(h.name) + " = " + value.dump() + " is not allowed" +
                       suggestion(text, h.choices));
    }
    case Kind::integer_list: {
      if (!value.is_array()) refuse(h, value, "a list of integers, for example [52, 48, 44]", where);
      json list = json::array();
      for (const json& item : value) list.push_back(check_number(h, item, true, where));
      return list;
    }
  }
  throw InternalError("hyper-parameter kind of " + std::string(name));
}

HyperParameters HyperParameters::from_json(const json& values, const std::string& where) {
  json all = json::object();
  for (const HyperParameter& h : hyperparameters())
    all[std::string(h.name)] = checked_hyperparameter(h.name, h.default_value, where);
  for (const auto& [name, value] : values.items()) all[name] = checked_hyperparameter(name, value, where);

  HyperParameters p;
  p.network = all["network"];
  p.widths = all["widths"].get<std::vector<std::int64_t>>();
  if (!p.widths.empty()) {
    if (p.network != "fcn")
      throw InputError(where + ": widths is for network fcn only; a " + p.network + " takes depth and width");
    for (const char* other : {"depth", "width"})
      if (values.contains(other))
        throw InputError(where + ": widths and " + other +
                         " contradict each other; give either widths, or depth and width");
    // what widths implies, so that these columns of the ledger say something true
    all["depth"] = static_cast<std::int64_t>(p.widths.size());
    all["width"] = *std::max_element(p.widths.begin(), p.widths.end());
  }
  p.depth = all["depth"];
  p.width = all["width"];
  p.optimizer = all["optimizer"];
  p.lr = all["lr"];
  p.momentum = all["momentum"];
  p.batch_size = all["batch_size"];
  p.weight_decay = all["weight_decay"];
  p.dropout = all["dropout"];
  p.train_size = all["train_size"];
  p.standardise = all["standardise"];
  p.max_epochs = all["max_epochs"];
  p.target_cross_entropy = all["target_cross_entropy"];
  return p;
}

json HyperParameters::to_json() const {
  return {{"network", network},
          {"depth", depth},
          {"width", width},
          {"widths", widths},
          {"optimizer", optimizer},
          {"lr", lr},
          {"momentum", momentum},
          {"batch_size", batch_size},
          {"weight_decay", weight_decay},
          {"dropout", dropout},
          {"train_size", train_size},
          {"standardise", standardise},
          {"max_epochs", max_epochs},
          {"target_cross_entropy", target_cross_entropy}};
}

}  // namespace gapbench
