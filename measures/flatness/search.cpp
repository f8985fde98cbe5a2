#include "measures/flatness/search.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>

#include "measures/numerics/philox.h"

namespace gapbench::measures {
namespace {

constexpr double target = 0.1, tolerance = 0.01, certainty = 3, smallest_drop = 0.002;
// Ten draws say little of their own spread: the two-sided 99.7 % quantile of Student's t with 9 degrees, over 3.
constexpr double few_draws = 1.36;
constexpr std::size_t draws = 10, first_look = 100, look_growth = 2, most_samples = 10000;
constexpr std::size_t ascent_steps = 20, ascent_batch = 64, ascent_look_every = 5, ascent_together = 2,
                      fewest_starts = 4, most_survivors = 3, closest_early = 8;
constexpr double ascent_step = 1.0 / 8,
                 error_of_largest = 0.6;  // standard deviation of the largest of ten normals: .59
constexpr std::size_t cached_floats = std::size_t{1} << 25;

// One network of the model: all arrays after each other, and which entries a perturbation moves.
struct Point {
  std::vector<float> values;
  std::vector<bool> moves;
  explicit Point(const Snapshot& snapshot) {
    for (const Array& a : snapshot.arrays()) {
      values.insert(values.end(), a.final.begin(), a.final.end());
      moves.insert(moves.end(), a.final.size(), a.trained);
    }
  }
};

// Ties go to the lowest class; what is not a number is wrong.
bool wrong(const float* z, std::size_t classes, std::size_t label) {
  if (!std::isfinite(z[label])) return true;
  for (std::size_t k = 0; k < classes; ++k)
    if (k != label && !(k < label ? z[k] < z[label] : z[k] <= z[label])) return true;
  return false;
}

// What both kinds of perturbation share: the samples in their order and the clean network's answers.
class Samples {
 public:
  Samples(Probe& probe, std::size_t most)
      : probe_(probe), classes_(static_cast<std::size_t>(probe.classes())) {
    order_.resize(static_cast<std::size_t>(probe.samples()));
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    RandomStream(random_key("searches", "samples")).shuffle(order_.begin(), order_.end());
    order_.resize(std::min(order_.size(), most));
    const auto logits = probe.logits();
    for (const std::int64_t i : order_) {
      const float* z = logits.data() + static_cast<std::size_t>(i) * classes_;
      for (std::size_t k = 0; k < classes_; ++k) finite_ = finite_ && std::isfinite(z[k]);
      clean_.push_back(wrong(z, classes_, label(i)) ? 1 : 0);
    }
  }
  std::size_t size() const { return order_.size(); }
  bool finite() const { return finite_; }
  double passes() const { return passes_; }
  Probe& probe() const { return probe_; }

  // Adds, for samples first .. last - 1 of the order, what each parameter set gets wrong beyond the clean network:
  // changed[set] gets one value a sample.
  void add_changes(std::span<const Probe::Parameters> stack, std::size_t first, std::size_t last,
                   std::span<std::vector<signed char>> changed) {
    const auto chosen = std::span<const std::int64_t>(order_).subspan(first, last - first);
    logits_.resize(stack.size() * chosen.size() * classes_);
    probe_.logits_of(stack, chosen, logits_);
    passes_ += static_cast<double>(stack.size() * chosen.size());
    const float* z = logits_.data();
    for (std::size_t k = 0; k < stack.size(); ++k)
      for (std::size_t i = 0; i < chosen.size(); ++i, z += classes_)
        changed[k].push_back(
            static_cast<signed char>((wrong(z, classes_, label(chosen[i])) ? 1 : 0) - clean_[first + i]));
  }
  std::vector<std::vector<float>> gradients(std::span<const Probe::Parameters> stack, std::size_t batch) {
    std::vector<std::int64_t> chosen;
    for (std::size_t i = 0; i < std::min(ascent_batch, size()); ++i)
      chosen.push_back(order_[(batch * ascent_batch + i) % size()]);
    passes_ += 3 * static_cast<double>(stack.size() * chosen.size());
    return probe_.gradients_of(stack, chosen);
  }

  // sqrt of the variance of a mean of n of all samples, each with the given sum and sum of squares; never nothing until all
  // are seen, since samples that agree so far need not go on to.
  double sampling_error(double sum, double squares, std::size_t n) const {
    if (n >= size()) return 0;
    const auto count = static_cast<double>(n);
    const double mean = sum / count, variance = std::max(squares / count - mean * mean, 1 / count);
    return std::sqrt(variance / count * (1 - count / static_cast<double>(size())));
  }

 private:
  std::size_t label(std::int64_t sample) const {
    return static_cast<std::size_t>(probe_.labels()[static_cast<std::size_t>(sample)]);
  }
  Probe& probe_;
  std::size_t classes_;
  std::vector<std::int64_t> order_;
  std::vector<signed char> clean_;
  std::vector<float> logits_;
  bool finite_ = true;
  double passes_ = 0;
};

class GaussianCurve final : public DropCurve {
 public:
  GaussianCurve(const Snapshot& snapshot, Samples& samples, bool magnitude, Protocol protocol)
      : point_(snapshot),
        samples_(samples),
        magnitude_(magnitude),
        protocol_(protocol),
        key_(random_key(snapshot.model_id(), "perturbation")) {
    const std::size_t n = point_.values.size();
    together_ = std::clamp<std::size_t>(cached_floats / std::max<std::size_t>(n, 1), 1, draws);
    if (together_ == draws)
      for (std::size_t j = 0; j < draws; ++j) normals_.push_back(normals(j));
  }

  Drop begin(double scale) override {
    scale_ = scale;
    changed_.assign(draws, {});
    sets_.clear();
    return look(std::min(first_look, samples_.size()));
  }
  Drop closer() override { return look(std::min(changed_[0].size() * look_growth, samples_.size())); }

 private:
  std::vector<float> normals(std::size_t draw) const {
    RandomStream random(key_, draw);
    std::vector<float> e(point_.values.size());
    for (float& v : e) v = static_cast<float>(random.normal());
    return e;
  }

  double deviation(double w) const {
    const double s = protocol_ == Protocol::dziugaite ? scale_ * scale_ : scale_;
    if (!magnitude_) return s;
    if (protocol_ == Protocol::dziugaite) return s * w * w + magnitude_floor * magnitude_floor;
    return std::sqrt(s * s * w * w + magnitude_floor * magnitude_floor);
  }

  std::vector<float> perturbed(std::size_t draw) const {
    const std::vector<float> fresh = normals_.empty() ? normals(draw) : std::vector<float>();
    const std::vector<float>& e = normals_.empty() ? fresh : normals_[draw];
    std::vector<float> set = point_.values;
    for (std::size_t i = 0; i < set.size(); ++i)
      if (point_.moves[i]) {
        const auto w = static_cast<double>(set[i]);
        set[i] = static_cast<float>(w + deviation(w) * static_cast<double>(e[i]));
      }
    return set;
  }

  Drop look(std::size_t n) {
    const std::size_t seen = changed_[0].size();
    for (std::size_t first = 0; first < draws; first += together_) {
      const std::size_t last = std::min(first + together_, draws);
      if (sets_.size() != draws) {  // all of a scale's networks are kept where they fit
        sets_.clear();
        for (std::size_t j = first; j < last; ++j) sets_.push_back(perturbed(j));
      }
      const std::vector<Probe::Parameters> stack(sets_.begin(), sets_.end());
      samples_.add_changes(stack, seen, n, std::span(changed_).subspan(first, last - first));
    }
    double sum = 0, squares = 0;
    std::vector<double> of_draw(draws, 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      double x = 0;
      for (std::size_t j = 0; j < draws; ++j) {
        x += changed_[j][i];
        of_draw[j] += changed_[j][i];
      }
      x /= draws;
      sum += x;
      squares += x * x;
    }
    Drop drop;
    drop.value = sum / static_cast<double>(n);
    drop.sampling_error = samples_.sampling_error(sum, squares, n);
    double variance = 0;
    for (const double d : of_draw) variance += std::pow(d / static_cast<double>(n) - drop.value, 2);
    variance *= few_draws * few_draws / (draws * (draws - 1));
    drop.standard_error = std::sqrt(variance + drop.sampling_error * drop.sampling_error);
    if (protocol_ == Protocol::dziugaite) drop.value = std::abs(drop.value);
    return drop;
  }

  Point point_;
  Samples& samples_;
  bool magnitude_;
  Protocol protocol_;
  std::uint64_t key_;
  std::size_t together_ = 1;
  double scale_ = 0;
  std::vector<std::vector<float>> normals_, sets_;
  std::vector<std::vector<signed char>> changed_;  // [draw][sample seen]
};

class WorstCaseCurve final : public DropCurve {
 public:
  WorstCaseCurve(const Snapshot& snapshot, Samples& samples, bool magnitude)
      : point_(snapshot),
        samples_(samples),
        magnitude_(magnitude),
        key_(random_key(snapshot.model_id(), "ascent")) {}

  Drop begin(double scale) override {
    survivors_.clear();
    starts_error_ = 0;
    std::vector<double> finished;  // drops of the starts so far
    for (std::size_t first = 0; first < draws; first += ascent_together) {
      ascend(scale, first, std::min(first + ascent_together, draws), finished);
      std::stable_sort(survivors_.begin(), survivors_.end(),
                       [](const Candidate& a, const Candidate& b) { return a.drop.value > b.drop.value; });
      if (survivors_.size() > most_survivors) survivors_.resize(most_survivors);
      const double n = static_cast<double>(finished.size()),
                   mean = std::accumulate(finished.begin(), finished.end(), 0.0) / n;
      double variance = 0;
      for (const double d : finished) variance += (d - mean) * (d - mean) / std::max(1.0, n - 1);
      starts_error_ = error_of_largest * std::sqrt(variance);
      double small = target / 2;
      if (finished.size() >= fewest_starts) small = std::max(small, target - 4 * std::sqrt(variance));
      // where its sampling error alone leaves open that the worst is small, closer looks cost less than the starts they save
      while (finished.size() < draws && survivors_[0].drop.value < small &&
             !is_small(survivors_[0].drop, small) &&
             survivors_[0].changed.size() < std::min(closest_early * first_look, samples_.size()))
        look_closer();
      if (too_large(survivors_[0].drop) || is_small(survivors_[0].drop, small)) break;
    }
    return result();
  }

  Drop closer() override {
    look_closer();
    return result();
  }

 private:
  struct Candidate {
    std::vector<float> set;
    std::vector<signed char> changed;
    Drop drop;
  };

  void look_closer() {
    // those that may still be the worst
    const Drop worst = survivors_[0].drop;
    std::erase_if(survivors_, [&](const Candidate& c) {
      return c.drop.value + certainty * c.drop.sampling_error <
             worst.value - certainty * worst.sampling_error;
    });
    std::size_t n = 0;
    for (const Candidate& c : survivors_) n = std::max(n, c.changed.size());
    for (Candidate& c : survivors_) look(c, std::min(n * look_growth, samples_.size()));
    std::stable_sort(survivors_.begin(), survivors_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.drop.value > b.drop.value; });
  }

  static bool is_small(const Drop& drop, double small) {
    return drop.value + certainty * drop.sampling_error < small;
  }
  static bool too_large(const Drop& drop) { return drop.value - certainty * drop.sampling_error > target; }

  void rate(Candidate& c) const {
    double sum = 0, squares = 0;
    for (const signed char x : c.changed) {
      sum += x;
      squares += x * x;
    }
    c.drop.value = sum / static_cast<double>(c.changed.size());
    c.drop.sampling_error = samples_.sampling_error(sum, squares, c.changed.size());
  }
  void look(Candidate& c, std::size_t n) {
    const Probe::Parameters parameters(c.set);
    samples_.add_changes({&parameters, 1}, c.changed.size(), n, {&c.changed, 1});
    rate(c);
  }

  Drop result() const {
    Drop drop = survivors_[0].drop;
    drop.standard_error = std::hypot(drop.sampling_error, starts_error_);
    return drop;
  }

  double radius(double scale, std::size_t i) const {
    return magnitude_ ? scale * std::abs(static_cast<double>(point_.values[i])) : scale;
  }

  void ascend(double scale, std::size_t first, std::size_t last, std::vector<double>& finished) {
    std::vector<std::vector<float>> sets;
    for (std::size_t j = first; j < last; ++j) {
      RandomStream random(key_, j);
      sets.push_back(point_.values);
      for (std::size_t i = 0; i < point_.values.size(); ++i) {
        const double start = random.uniform() - 0.5;
        if (point_.moves[i]) sets.back()[i] += static_cast<float>(radius(scale, i) * start);
      }
    }
    const std::vector<Probe::Parameters> stack(sets.begin(), sets.end());
    std::vector<Candidate> best(sets.size());
    const std::size_t n = std::min(first_look, samples_.size());
    for (std::size_t step = 1; step <= ascent_steps; ++step) {
      const auto gradients = samples_.gradients(stack, first / ascent_together * ascent_steps + step);
      for (std::size_t j = 0; j < sets.size(); ++j)
        for (std::size_t i = 0; i < point_.values.size(); ++i) {
          const float g = gradients[j][i];
          if (!point_.moves[i] || g == 0 || std::isnan(g)) continue;
          const double r = radius(scale, i), w = static_cast<double>(point_.values[i]),
                       moved = static_cast<double>(sets[j][i]) - w + (g > 0 ? r : -r) * ascent_step;
          sets[j][i] = static_cast<float>(w + std::clamp(moved, -r, r));
        }
      if (step % ascent_look_every != 0) continue;
      std::vector<std::vector<signed char>> changed(sets.size());
      samples_.add_changes(stack, 0, n, changed);
      bool decided = false;
      for (std::size_t j = 0; j < sets.size(); ++j) {
        Candidate c;
        c.changed = std::move(changed[j]);
        rate(c);
        if (!best[j].set.empty() && best[j].drop.value >= c.drop.value) continue;
        c.set = sets[j];
        // a closer look at one that seems to decide costs less than the starts it saves
        while (c.drop.value - c.drop.sampling_error > target && !too_large(c.drop) &&
               c.changed.size() < closest_early * n && c.changed.size() < samples_.size())
          look(c, std::min(c.changed.size() * look_growth, samples_.size()));
        decided = decided || too_large(c.drop);
        best[j] = std::move(c);
      }
      if (decided) break;
    }
    for (Candidate& c : best) {
      finished.push_back(c.drop.value);
      survivors_.push_back(std::move(c));
    }
  }

  Point point_;
  Samples& samples_;
  bool magnitude_;
  std::uint64_t key_;
  double starts_error_ = 0;
  std::vector<Candidate> survivors_;  // worst first
};

enum class Side { below, inside, above };

// Looks until the side is clear. Inside needs a sampling error that leaves the secant little to carry; a published protocol
// returns the scale as it is, so what counts as inside must be clear as well.
Side side_of(DropCurve& curve, double scale, Protocol protocol, Drop& drop) {
  drop = curve.begin(scale);
  while (true) {
    const double distance = std::abs(drop.value - target), error = certainty * drop.sampling_error;
    const Side outside = drop.value > target ? Side::above : Side::below;
    if (protocol == Protocol::suite) {
      const double of_draws = std::sqrt(std::max(
          0.0, drop.standard_error * drop.standard_error - drop.sampling_error * drop.sampling_error));
      const double accepted = std::max(tolerance, of_draws / 2);
      if (distance > std::max(error, accepted)) return outside;
      if (distance <= accepted && drop.sampling_error <= std::max(tolerance, of_draws) / 2)
        return Side::inside;
    } else {
      if (distance - error > tolerance) return outside;
      if (distance + error < tolerance) return Side::inside;
    }
    if (drop.sampling_error == 0) return distance <= tolerance ? Side::inside : outside;
    drop = curve.closer();
  }
}

Outcome stored_search(const Snapshot& snapshot, Probe* probe, const std::string& name, std::size_t most,
                      const std::function<Outcome(Samples&)>& search) {
  if (probe == nullptr) return Outcome::not_applicable("the training data are not at hand");
  auto& known = snapshot.searches();
  if (const auto it = known.find(name); it != known.end() && it->second.revision == search_revision(name))
    return it->second.outcome;
  const auto start = std::chrono::steady_clock::now();
  StoredSearch result;
  result.revision = search_revision(name);
  Samples samples(*probe, most);
  result.outcome = samples.size() == 0 ? Outcome::not_applicable("there are no training samples")
                   : samples.finite()  ? search(samples)
                                       : Outcome::undefined("a logit of the network is not finite");
  result.passes = samples.passes();
  result.executor = probe->execution();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  known[name] = result;
  return result.outcome;
}

}  // namespace

Outcome find_scale(DropCurve& curve, Protocol protocol) {
  const bool logarithmic = protocol == Protocol::suite;
  const double lower = logarithmic ? 1e-6 : 0, upper = 2;
  const int steps = protocol == Protocol::dziugaite ? 15 : 20;
  const double narrow = logarithmic ? 0.01 : protocol == Protocol::jiang ? 5e-3 : 0;
  const auto place = [&](double scale) { return logarithmic ? std::log(scale) : scale; };
  const auto scale_at = [&](double x) { return logarithmic ? std::exp(x) : x; };

  struct End {
    double x;
    std::optional<Drop> drop;
  } low{place(lower), {}}, high{place(upper), {}};
  Drop drop;
  if (logarithmic) {
    if (side_of(curve, upper, protocol, drop) == Side::below)
      return Outcome::value(upper, 0).as_censored(
          "the accuracy drops by less than 0.1 at the largest scale, 2");
    high.drop = drop;
    if (side_of(curve, lower, protocol, drop) == Side::above)
      return Outcome::value(lower, 0).as_censored(
          "the accuracy drops by more than 0.1 at the smallest scale, 1e-6");
    low.drop = drop;
  }
  double x = 0;
  bool accepted = false;
  for (int step = 0; step < steps && high.x - low.x > narrow; ++step) {
    double part = 0.5;
    if (logarithmic && high.x - low.x < 1 && high.drop->value > low.drop->value)
      part = std::clamp((target - low.drop->value) / (high.drop->value - low.drop->value), 0.1, 0.9);
    x = low.x + part * (high.x - low.x);
    const Side side = side_of(curve, scale_at(x), protocol, drop);
    if (side == Side::inside) {
      accepted = true;
      break;
    }
    (side == Side::above ? high : low) = {x, drop};
  }
  // the slope of the drop around x: towards the end beyond the target, or towards a near scale on that side where that end is
  // too far to be in line
  End other = drop.value > target ? low : high;
  const double near = logarithmic ? 0.2 : 0.1 * x,
               far = logarithmic ? 0.7 : std::numeric_limits<double>::infinity();
  if (!other.drop || other.x == x || (accepted && std::abs(other.x - x) > far)) {
    Drop beside;
    other.x = x + (drop.value > target ? -near : near);
    side_of(curve, scale_at(other.x), Protocol::suite, beside);
    other.drop = beside;
  }
  // around the target the drop grows as a power of the scale
  const double power =
      std::log(std::max(other.drop->value, smallest_drop) / std::max(drop.value, smallest_drop)) /
      (std::log(scale_at(other.x)) - std::log(scale_at(x)));
  const bool grows = std::isfinite(power) && power > 0;
  if (logarithmic && accepted && grows)
    x = std::clamp(x + std::log(target / drop.value) / power, low.x, high.x);
  const double scale = scale_at(x), bracket = scale_at(high.x) - scale_at(low.x);
  double error = grows ? scale * drop.standard_error / (power * target) : bracket;
  if (!accepted) error = std::max(error, bracket);  // a step in the curve: it lies in the bracket
  const Outcome found = Outcome::value(scale, error);
  if (!logarithmic && !high.drop && !accepted)
    return Outcome(found).as_censored("the accuracy drops by less than 0.1 up to the largest scale, 2");
  if (!logarithmic && !low.drop && !accepted)
    return Outcome(found).as_censored("the accuracy drops by more than 0.1 at the smallest scale tried");
  return found;
}

Outcome gaussian_scale(const Snapshot& snapshot, Probe* probe, bool magnitude, Protocol protocol) {
  std::string name = magnitude ? "sigma-magnitude" : "sigma";
  if (protocol == Protocol::jiang) name += "-jiang";
  if (protocol == Protocol::dziugaite) name += "-dziugaite";
  const std::size_t most =
      protocol == Protocol::dziugaite ? std::numeric_limits<std::size_t>::max() : most_samples;
  return stored_search(snapshot, probe, name, most, [&](Samples& samples) {
    GaussianCurve curve(snapshot, samples, magnitude, protocol);
    return find_scale(curve, protocol);
  });
}

Outcome worst_case_scale(const Snapshot& snapshot, Probe* probe, bool magnitude) {
  return stored_search(snapshot, probe, magnitude ? "alpha-magnitude" : "alpha", most_samples,
                       [&](Samples& samples) {
                         WorstCaseCurve curve(snapshot, samples, magnitude);
                         return find_scale(curve, Protocol::suite);
                       });
}

int search_revision(const std::string& search) {
  return search.starts_with("alpha") ? 2 : 1;
}

double typical_passes(const std::string& search) {
  if (search.starts_with("alpha")) return 120000;
  return search.ends_with("-dziugaite") ? 300000 : 50000;
}

}  // namespace gapbench::measures
