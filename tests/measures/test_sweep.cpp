// Every measure of the registry: complete description, true needs, true invariances and no others, determinism.
#include <algorithm>
#include <cmath>
#include <set>

#include "measures/api/registry.h"
#include "tests/measures/random_snapshot.h"
#include "tests/support/catch.h"

using namespace gapbench;
using testing::for_each_value;
using testing::Model;
using testing::random_conv;
using testing::random_fcn;

namespace {

// A dense ReLU network on fixed random inputs: enough of a probe for what measures ask.
class FcnProbe final : public Probe {
 public:
  explicit FcnProbe(const Model& model) : model_(model) {
    RandomStream random(random_key("probe", "inputs"));
    const auto inputs = static_cast<std::size_t>(model_.weight(0).shape[1]);
    for (std::size_t i = 0; i < n * inputs; ++i) inputs_.push_back(std::abs(random.normal()));
    std::vector<float> parameters;
    for (const Model::Entry& e : model_.arrays)
      parameters.insert(parameters.end(), e.final.begin(), e.final.end());
    for (std::size_t s = 0; s < n; ++s) {
      const auto x = units(parameters, s).back();
      for (const double z : x) logits_.push_back(static_cast<float>(z));
      // a network that has learnt: right on all samples but one, so that its margins are positive
      const auto best = std::max_element(x.begin(), x.end()) - x.begin();
      labels_.push_back((best + (s == 0 ? 1 : 0)) % model_.classes);
    }
  }
  std::int64_t samples() const override { return n; }
  std::int64_t classes() const override { return model_.classes; }
  std::span<const std::int64_t> labels() const override { return labels_; }
  std::span<const float> logits() override { return logits_; }
  void logits_of(std::span<const Parameters> stack, std::span<const std::int64_t> chosen,
                 std::span<float> out) override {
    auto to = out.begin();
    for (const Parameters& p : stack)
      for (const std::int64_t s : chosen) {
        const auto all = units(p, static_cast<std::size_t>(s));
        for (const double z : all.back()) *to++ = static_cast<float>(z);
      }
  }
  std::vector<std::vector<float>> gradients_of(std::span<const Parameters> stack,
                                               std::span<const std::int64_t> chosen) override {
    std::vector<std::vector<float>> all;
    for (const Parameters& p : stack) {
      std::vector<double> gradient(p.size(), 0.0);
      for (const std::int64_t s : chosen)
        add_gradient(p, static_cast<std::size_t>(s), 1 / static_cast<double>(chosen.size()), gradient);
      all.emplace_back(gradient.begin(), gradient.end());
    }
    return all;
  }
  std::vector<double> mean_losses(std::span<const Parameters>) override {
    throw std::logic_error("no measure asks for losses yet");
  }
  std::vector<float> mean_gradient(Parameters) override {
    throw std::logic_error("no measure asks for this gradient yet");
  }
  std::span<const float> logit_derivatives() override {
    std::vector<float> p;
    derivatives_.clear();
    for (const Model::Entry& e : model_.arrays) p.insert(p.end(), e.final.begin(), e.final.end());
    for (std::size_t s = 0; s < n; ++s)
      for (const double d : derivative(p, p, s)) derivatives_.push_back(static_cast<float>(d));
    return derivatives_;
  }

 private:
  static constexpr std::size_t n = 40;
  // Arrays are weight, bias, weight, bias, ... after each other.
  std::size_t outputs(std::size_t layer) const {
    return static_cast<std::size_t>(model_.arrays[2 * layer].shape[0]);
  }
  std::size_t inputs(std::size_t layer) const {
    return static_cast<std::size_t>(model_.arrays[2 * layer].shape[1]);
  }

  // The sample, then what each layer puts out.
  std::vector<std::vector<double>> units(Parameters p, std::size_t sample) const {
    const auto first = inputs_.begin() + static_cast<std::ptrdiff_t>(sample * inputs(0));
    std::vector<std::vector<double>> all = {{first, first + static_cast<std::ptrdiff_t>(inputs(0))}};
    for (std::size_t l = 0, offset = 0; l < model_.layers.size();
         offset += (inputs(l) + 1) * outputs(l), ++l) {
      std::vector<double> y;
      for (std::size_t o = 0; o < outputs(l); ++o) {
        double sum = static_cast<double>(p[offset + inputs(l) * outputs(l) + o]);
        for (std::size_t i = 0; i < inputs(l); ++i)
          sum += all[l][i] * static_cast<double>(p[offset + o * inputs(l) + i]);
        y.push_back(l + 1 < model_.layers.size() ? std::max(0.0, sum) : sum);
      }
      all.push_back(y);
    }
    return all;
  }
  // Of the logits along a direction.
  std::vector<double> derivative(Parameters p, Parameters direction, std::size_t sample) const {
    const auto all = units(p, sample);
    std::vector<double> below(inputs(0), 0.0);
    for (std::size_t l = 0, offset = 0; l < model_.layers.size();
         offset += (inputs(l) + 1) * outputs(l), ++l) {
      std::vector<double> y;
      for (std::size_t o = 0; o < outputs(l); ++o) {
        double sum = static_cast<double>(direction[offset + inputs(l) * outputs(l) + o]);
        for (std::size_t i = 0; i < inputs(l); ++i) {
          const std::size_t k = offset + o * inputs(l) + i;
          sum += below[i] * static_cast<double>(p[k]) + all[l][i] * static_cast<double>(direction[k]);
        }
        y.push_back(l + 1 == model_.layers.size() || all[l + 1][o] > 0 ? sum : 0.0);
      }
      below = y;
    }
    return below;
  }
  void add_gradient(Parameters p, std::size_t sample, double weight, std::vector<double>& gradient) const {
    const auto all = units(p, sample);
    std::vector<double> g = all.back();
    const double largest = *std::max_element(g.begin(), g.end());
    double sum = 0;
    for (double& z : g) sum += z = std::exp(z - largest);
    for (double& z : g) z *= weight / sum;
    g[static_cast<std::size_t>(labels_[sample])] -= weight;
    std::size_t offset = p.size();
    for (std::size_t l = model_.layers.size(); l-- > 0;) {
      offset -= (inputs(l) + 1) * outputs(l);
      std::vector<double> below(inputs(l), 0.0);
      for (std::size_t o = 0; o < outputs(l); ++o) {
        gradient[offset + inputs(l) * outputs(l) + o] += g[o];
        for (std::size_t i = 0; i < inputs(l); ++i) {
          gradient[offset + o * inputs(l) + i] += g[o] * all[l][i];
          if (l > 0 && all[l][i] > 0) below[i] += g[o] * static_cast<double>(p[offset + o * inputs(l) + i]);
        }
      }
      g = below;
    }
  }

  Model model_;
  std::vector<double> inputs_;
  std::vector<float> derivatives_;
  std::vector<std::int64_t> labels_;
  std::vector<float> logits_;
};

Outcome run(const Measure& m, const Model& model, bool with_probe = true) {
  const bool dense = model.layers[0].kind == LayerKind::dense;
  if (!with_probe || !dense) return m.compute(model.snapshot(), nullptr);
  FcnProbe probe(model);
  return m.compute(model.snapshot(), &probe);
}

// The first and the last unit of a layer change places, with the next layer's inputs.
void swap_units(Model& m, std::size_t layer) {
  const auto swap = [](Model::Entry& e, const std::function<std::size_t(std::size_t)>& partner) {
    for (std::size_t i = 0; i < e.final.size(); ++i)
      if (const std::size_t j = partner(i); j > i) {
        std::swap(e.final[i], e.final[j]);
        std::swap(e.init[i], e.init[j]);
      }
  };
  const auto last = static_cast<std::size_t>(m.weight(layer).shape[0]) - 1;
  const auto exchange = [last](std::size_t unit) { return unit == 0 ? last : unit == last ? 0 : unit; };
  const auto row = m.weight(layer).final.size() / static_cast<std::size_t>(m.weight(layer).shape[0]);
  swap(m.weight(layer), [&](std::size_t i) { return exchange(i / row) * row + i % row; });
  swap(m.bias(layer), exchange);
  const auto& next = m.weight(layer + 1).shape;
  const std::size_t positions = next.size() == 4 ? static_cast<std::size_t>(next[2] * next[3]) : 1,
                    inputs = static_cast<std::size_t>(next[1]);
  swap(m.weight(layer + 1), [&](std::size_t i) {
    const std::size_t input = i / positions % inputs;
    return i + exchange(input) * positions - input * positions;
  });
}

struct Transformation {
  Invariance flag;
  const char* name;
  std::function<void(Model&)> apply;
};

const std::vector<Transformation>& transformations() {
  static const std::vector<Transformation> all = {
      {invariant_unit_permutation, "unit permutation", [](Model& m) { swap_units(m, 0); }},
      {invariant_layer_scale, "layer scale",
       [](Model& m) {
         for_each_value(m.weight(0), false, [](std::size_t, float x) { return 3 * x; });
         for_each_value(m.weight(1), false, [](std::size_t, float x) { return 0.25f * x; });
       }},
      {invariant_unit_scale, "unit scale",
       [](Model& m) {
         const auto row = m.weight(0).final.size() / static_cast<std::size_t>(m.weight(0).shape[0]);
         for_each_value(m.weight(0), false,
                        [row](std::size_t i, float x) { return x * (i / row == 1 ? 4.0f : 1.0f); });
       }},
      {invariant_relu_rescaling, "ReLU rescaling",
       [](Model& m) {
         for_each_value(m.weight(0), false, [](std::size_t, float x) { return 2 * x; });
         for_each_value(m.bias(0), false, [](std::size_t, float x) { return 2 * x; });
         for_each_value(m.weight(1), false, [](std::size_t, float x) { return 0.5f * x; });
       }},
      {invariant_bias, "biases",
       [](Model& m) {
         for_each_value(m.bias(1), false,
                        [](std::size_t i, float x) { return x + 0.1f + 0.2f * static_cast<float>(i); });
       }},
  };
  return all;
}

}  // namespace

TEST_CASE("every measure describes itself") {
  std::set<std::string_view> ids;
  for (const Measure& m : all_measures().all()) {
    CAPTURE(m.info.id);
    CHECK(ids.insert(m.info.id).second);
    for (const std::string_view text :
         {m.info.name, m.info.formula, m.info.latex, m.info.source, m.info.family})
      CHECK_FALSE(text.empty());
    CHECK((m.info.needs & (needs_weights | needs_history)) != 0);
    CHECK(m.info.revision >= 1);
  }
  CHECK(ids.size() >= 94);
}

TEST_CASE("every measure gives a value where its needs are met, and says so where they are not") {
  for (const Measure& m : all_measures().all()) {
    CAPTURE(m.info.id);
    Model fcn = random_fcn({12, 11, 7, 5}, 1);
    CHECK(run(m, fcn).ok());
    const bool needs_probe =
        (m.info.needs & (needs_data | needs_labels | needs_gradients | needs_hessian)) != 0;
    const Outcome blind = run(m, fcn, false);
    CHECK(blind.ok() == !needs_probe);
    if (needs_probe) CHECK(blind.status() == Outcome::Status::not_applicable);
    CHECK(run(m, random_conv(1)).ok() == !needs_probe);
    fcn.training.reset();
    const Outcome unrecorded = run(m, fcn);
    CHECK(unrecorded.ok() == ((m.info.needs & needs_history) == 0));
    if (!unrecorded.ok()) CHECK(unrecorded.status() == Outcome::Status::not_applicable);
    fcn.training = Model().training;
    fcn.with_init = false;
    const Outcome without = run(m, fcn);
    CHECK(without.ok() == ((m.info.needs & needs_init) == 0));
    if (!without.ok()) CHECK(without.status() == Outcome::Status::not_applicable);
  }
}

TEST_CASE("declared invariances hold, and no others") {
  for (const Measure& m : all_measures().all())
    for (const Transformation& t : transformations()) {
      CAPTURE(m.info.id, t.name);
      double largest = 0;
      for (const bool conv : {false, true}) {
        if (conv && (m.info.needs & needs_data) != 0) continue;
        for (std::uint64_t seed = 0; seed < 4; ++seed) {
          Model model = conv ? random_conv(seed) : random_fcn({12, 11, 7, 5}, seed);
          if (seed == 3)  // small weights, where a smoothed cosine gives itself away
            for (Model::Entry& e : model.arrays)
              for_each_value(e, true, [](std::size_t, float x) { return 0.01f * x; });
          const double before = *run(m, model).value();
          t.apply(model);
          const Outcome after = run(m, model);
          REQUIRE(after.ok());
          largest = std::max(largest, std::abs(*after.value() - before) / std::max(1.0, std::abs(before)));
        }
      }
      if ((m.info.invariances & t.flag) != 0)
        CHECK(largest < 2e-6);
      else if (!m.info.stochastic)  // a search may end where it did
        CHECK(largest > 1e-5);      // an invariance that is not declared would be seen here
    }
}

TEST_CASE("values do not depend on what was computed before, nor on the number of threads") {
  for (const Model& model : {random_fcn({12, 11, 7, 5}, 2), random_conv(2)}) {
    const Snapshot forward = model.snapshot();
    Snapshot backward = model.snapshot();
    backward.set_threads(3);
    std::vector<double> values;
    for (const Measure& m : all_measures().all())
      if ((m.info.needs & needs_data) == 0) values.push_back(*m.compute(forward, nullptr).value());
    const auto& all = all_measures().all();
    for (auto it = all.rbegin(); it != all.rend(); ++it)
      if ((it->info.needs & needs_data) == 0) {
        CAPTURE(it->info.id);
        CHECK(*it->compute(backward, nullptr).value() == values.back());
        values.pop_back();
      }
  }
}
