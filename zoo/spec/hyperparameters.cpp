#include "zoo/spec/hyperparameters.h"

#include <algorithm>
#include <cmath>

#include "measures/api/error.h"
#include "measures/api/suggest.h"

namespace gapbench {

using Kind = HyperParameter::Kind;
using nlohmann::json;

namespace {

HyperParameter integer(std::string_view name, std::int64_t value, double minimum, double maximum,
                       std::string_view help) {
  return {name, Kind::integer, value, minimum, maximum, false, {}, help};
}
HyperParameter integers(std::string_view name, double minimum, double maximum, std::string_view help) {
  return {name, Kind::integer_list, json::array(), minimum, maximum, false, {}, help};
}
HyperParameter number(std::string_view name, double value, double minimum, double maximum,
                      std::string_view help) {
  return {name, Kind::number, value, minimum, maximum, false, {}, help};
}
HyperParameter positive(std::string_view name, double value, double maximum, std::string_view help) {
  return {name, Kind::number, value, 0, maximum, true, {}, help};
}
HyperParameter flag(std::string_view name, std::string_view help) {
  return {name, Kind::boolean, false, 0, 0, false, {}, help};
}
HyperParameter choice(std::string_view name, std::vector<std::string_view> choices, std::string_view help) {
  return {name, Kind::choice, choices.front(), 0, 0, false, choices, help};  // the first is the default
}

}  // namespace

const std::vector<HyperParameter>& hyperparameters() {
  static const std::vector<HyperParameter> table = {
      choice("network",
             {"fcn", "nin", "cnn", "vgg11", "vgg16", "vgg19", "vgg11-reduced", "vgg16-reduced",
              "vgg19-reduced", "resnet18", "resnet34", "resnet50", "densenet40", "densenet121", "mixer"},
             "architecture: fcn = fully connected; nin = blocks of a 3x3 convolution of stride 2 and two 1x1 "
             "convolutions; cnn = "
             "3x3 convolutions with pooling; vgg*-reduced = the weight-correlation paper's narrow VGGs; "
             "resnet*, densenet* = the "
             "32x32 forms; mixer = MLP-Mixer"),
      integer("depth", 2, 1, 1000,
              "hidden layers of an fcn; blocks of a nin, cnn or mixer; other networks have their own"),
      integer("width", 64, 1, 1000000,
              "units of each hidden layer of an fcn; channels of a nin, cnn or mixer"),
      integers("widths", 1, 1000000,
               "explicit units of each hidden layer of an fcn, instead of depth and width"),
      positive("width_multiplier", 1, 100,
               "factor on the channels of a vgg, resnet or densenet, rounded, at least 1"),
      choice("activation", {"relu", "leaky_relu", "gelu", "tanh"},
             "after every hidden layer; leaky_relu has slope 0.01"),
      choice("batch_norm", {"auto", "on", "off"},
             "batch normalisation; auto = on for vgg*-reduced, resnet* and densenet*, off for the others; a "
             "mixer has layer "
             "normalisation whatever this says"),
      positive("init_scale", 1, 1000, "factor on the initial weights, which are He normal"),
      choice("optimizer", {"sgd", "nesterov", "adam", "adamw", "rmsprop"},
             "sgd = stochastic gradient descent with momentum; nesterov = with Nesterov's; adam and adamw "
             "have beta 0.9 and "
             "0.999; rmsprop averages with 0.99"),
      positive("lr", 0.05, 1000, "learning rate"),
      choice("schedule", {"constant", "step", "cosine"},
             "of the learning rate: step multiplies by schedule_factor after each of the milestones, cosine "
             "falls to 0 at "
             "max_epochs"),
      integer("warmup_epochs", 0, 0, 10000000, "epochs over which the learning rate first rises linearly"),
      integers("milestones", 1, 10000000, "epochs after which the step schedule lowers the learning rate"),
      positive("schedule_factor", 0.1, 1, "of the step schedule"),
      number("momentum", 0.9, 0, 0.9999, "momentum of sgd and nesterov"),
      integer("batch_size", 32, 1, 10000000, "samples a step; the last batch of an epoch may be smaller"),
      number("weight_decay", 0, 0, 10,
             "L2 coefficient added to the gradient of every array; adamw shrinks the weights by lr times it "
             "instead"),
      number("dropout", 0, 0, 0.99,
             "probability of zeroing a hidden unit (fcn: after every activation; nin, cnn: after every "
             "block; vgg: in the head; "
             "resnet: before the head; densenet: after every convolution; mixer: in every block)"),
      number("clip_norm", 0, 0, 1e9, "largest Euclidean norm of the whole gradient, 0 = not clipped"),
      number("sam_radius", 0, 0, 100, "radius of sharpness-aware minimisation, 0 = off"),
      choice("collision", {"off", "soft-matmul", "soft-hadamard", "hard"},
             "collision of the KO optimiser on layers' gradients"),
      number("collision_coefficient", 0.01, 0, 1,
             "of the collision: strength (soft) or share of colliding units (hard)"),
      flag("collision_mask_diagonal", "leave out a unit's interaction with itself in a soft collision"),
      number("wcd", 0, 0, 1000,
             "coefficient of weight-correlation descent, 0 = off; the released code has 0.1"),
      choice("wcd_form", {"released", "rho", "g"},
             "released = the released code's update; rho, g = exact gradients of these"),
      choice(
          "wcd_layers", {"hidden", "released", "all"},
          "weight layers the descent covers: all but the first and the last; the released code's; every one"),
      number("label_smoothing", 0, 0, 0.99, "share of each training target that is spread over all classes"),
      number("label_noise", 0, 0, 1, "share of training labels that are wrong"),
      choice("label_noise_kind", {"symmetric", "pair"}, "a wrong label is any other class, or the next one"),
      choice("augmentation", {"none", "flip-crop", "mixup", "flip-crop+mixup"},
             "of training batches: mirrored and shifted images, convex combinations of samples"),
      positive("mixup_alpha", 1, 100, "mixup takes lambda ~ Beta(alpha, alpha)"),
      integer("train_size", 0, 0, 1000000000, "training samples taken, 0 = all"),
      flag("standardise",
           "subtract the mean and divide by the standard deviation of each channel of the training samples"),
      integer("max_epochs", 200, 1, 10000000, "epoch cap"),
      integer("max_steps", 0, 0, 1000000000000,
              "optimiser step cap, 0 = none; training ends with the epoch that reaches it"),
      number("target_cross_entropy", 0.01, 0, 1000,
             "training stops once the cross-entropy (nats) on the full training set is at most this; 0 = run "
             "to the cap"),
      integer("check_every", 1, 1, 10000000,
              "epochs between evaluations on the full sets, where the target is checked"),
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

bool HyperParameters::has_own_depth(std::string_view network) {
  return network.starts_with("vgg") || network.starts_with("resnet") || network.starts_with("densenet");
}

HyperParameters HyperParameters::from_json(const json& values, const std::string& where) {
  json all = json::object();
  for (const HyperParameter& h : hyperparameters()) all[std::string(h.name)] = h.default_value;
  for (const auto& [name, value] : values.items()) all[name] = checked_hyperparameter(name, value, where);

  if (!all["widths"].empty()) {
    if (all["network"] != "fcn")
      throw InputError(where + ": widths is for network fcn only; a " + all["network"].get<std::string>() +
                       " takes depth and width or width_multiplier");
    for (const char* other : {"depth", "width"})
      if (values.contains(other))
        throw InputError(where + ": widths and " + other +
                         " contradict each other; give either widths, or depth and width");
    // what widths implies, so that these columns of the ledger say something true
    all["depth"] = all["widths"].size();
    all["width"] = *std::max_element(all["widths"].begin(), all["widths"].end());
  }
  if (has_own_depth(all["network"].get<std::string>()))
    all["depth"] = all["width"] = 0;  // not used: not part of what it is
  const std::int64_t max_epochs = all["max_epochs"];
  if (all["warmup_epochs"] >= max_epochs)
    throw InputError(where + ": warmup_epochs = " + all["warmup_epochs"].dump() +
                     " must be below max_epochs = " + std::to_string(max_epochs));
  if (all["schedule"] == "step" && all["milestones"].empty())
    throw InputError(where + ": schedule step needs milestones, for example \"milestones\": [100, 150]");

  HyperParameters p;
#define GAPBENCH_FIELD(name) p.name = all.at(#name).get<decltype(p.name)>();
  GAPBENCH_HYPERPARAMETERS(GAPBENCH_FIELD)
#undef GAPBENCH_FIELD
  return p;
}

json HyperParameters::to_json() const {
  json all = json::object();
#define GAPBENCH_FIELD(name) all[#name] = name;
  GAPBENCH_HYPERPARAMETERS(GAPBENCH_FIELD)
#undef GAPBENCH_FIELD
  return all;
}

json HyperParameters::not_default() const {
  json all = to_json();
  for (const HyperParameter& h : hyperparameters())
    if (all[std::string(h.name)] == h.default_value) all.erase(std::string(h.name));
  return all;
}

}  // namespace gapbench
