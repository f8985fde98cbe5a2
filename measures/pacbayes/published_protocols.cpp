// The PAC-Bayes measures with sigma by the published protocols, for published numbers: pacbayes-<form>-<protocol>.
//
// Formula   as the measure of the same name without the protocol, with sigma by the other search of flatness/search.h.
// Inputs    final weights, initial ones but for flatness, training samples and labels.
// Returns   a number, censored where the search ended at a bound.
// Source    Jiang et al. 2019, as recalled; Dziugaite et al. 2020 and its released code, in which noise has standard deviation
//           sigma^2 and the bound still divides by sigma^2.
// Error     the standard error of the search, to first order.
// Cost      One search, shared by the three of a kind.
#include "measures/api/measure.h"
#include "measures/flatness/bounds.h"
#include "measures/flatness/search.h"
#include "measures/layers/layers.h"

namespace gapbench::measures {
namespace {

enum class Form { init, orig, flatness };

template <Form form, bool magnitude, Protocol protocol>
Outcome compute(const Snapshot& snapshot, Probe* probe) {
  if (form == Form::init || (magnitude && form == Form::orig))
    if (auto missing = without_init(snapshot)) return *missing;
  const Outcome sigma = gaussian_scale(snapshot, probe, magnitude, protocol);
  if (form == Form::flatness || !sigma.ok()) return inverse_square(sigma);
  const double squared = squared_weights(snapshot, form == Form::init);
  return magnitude ? magnitude_bound(sigma, snapshot, squared, true, 1, 0, probe)
                   : pacbayes_bound(sigma, squared, probe);
}

template <Form form, bool magnitude, Protocol protocol>
Measure measure(const Measure& suite, const char* id, const char* search) {
  Measure m = suite;
  m.info.id = id;
  m.info.name = protocol == Protocol::jiang ? "As without -jiang, sigma by Jiang's protocol"
                                            : "As without -dziugaite, sigma by the released code's protocol";
  m.info.source = protocol == Protocol::jiang ? "Jiang et al. 2019, arXiv 1912.02178, appendix, as recalled"
                                              : "Dziugaite et al. 2020, arXiv 2010.11924, released code";
  m.info.searches = search;
  m.info.on_request = true;
  m.info.notes = protocol == Protocol::jiang
                     ? "Linear bisection over [0, 2]; see flatness/search.h."
                     : "Noise of standard deviation sigma^2, all training samples; see flatness/search.h.";
  m.compute = &compute<form, magnitude, protocol>;
  return m;
}

}  // namespace

Measure pacbayes_init();
Measure pacbayes_orig();
Measure pacbayes_flatness();
Measure pacbayes_mag_init();
Measure pacbayes_mag_orig();
Measure pacbayes_mag_flatness();

Measure pacbayes_init_jiang() {
  return measure<Form::init, false, Protocol::jiang>(pacbayes_init(), "pacbayes-init-jiang", "sigma-jiang");
}
Measure pacbayes_orig_jiang() {
  return measure<Form::orig, false, Protocol::jiang>(pacbayes_orig(), "pacbayes-orig-jiang", "sigma-jiang");
}
Measure pacbayes_flatness_jiang() {
  return measure<Form::flatness, false, Protocol::jiang>(pacbayes_flatness(), "pacbayes-flatness-jiang",
                                                         "sigma-jiang");
}
Measure pacbayes_mag_init_jiang() {
  return measure<Form::init, true, Protocol::jiang>(pacbayes_mag_init(), "pacbayes-mag-init-jiang",
                                                    "sigma-magnitude-jiang");
}
Measure pacbayes_mag_orig_jiang() {
  return measure<Form::orig, true, Protocol::jiang>(pacbayes_mag_orig(), "pacbayes-mag-orig-jiang",
                                                    "sigma-magnitude-jiang");
}
Measure pacbayes_mag_flatness_jiang() {
  return measure<Form::flatness, true, Protocol::jiang>(
      pacbayes_mag_flatness(), "pacbayes-mag-flatness-jiang", "sigma-magnitude-jiang");
}
Measure pacbayes_init_dziugaite() {
  return measure<Form::init, false, Protocol::dziugaite>(pacbayes_init(), "pacbayes-init-dziugaite",
                                                         "sigma-dziugaite");
}
Measure pacbayes_orig_dziugaite() {
  return measure<Form::orig, false, Protocol::dziugaite>(pacbayes_orig(), "pacbayes-orig-dziugaite",
                                                         "sigma-dziugaite");
}
Measure pacbayes_flatness_dziugaite() {
  return measure<Form::flatness, false, Protocol::dziugaite>(
      pacbayes_flatness(), "pacbayes-flatness-dziugaite", "sigma-dziugaite");
}
Measure pacbayes_mag_init_dziugaite() {
  return measure<Form::init, true, Protocol::dziugaite>(pacbayes_mag_init(), "pacbayes-mag-init-dziugaite",
                                                        "sigma-magnitude-dziugaite");
}
Measure pacbayes_mag_orig_dziugaite() {
  return measure<Form::orig, true, Protocol::dziugaite>(pacbayes_mag_orig(), "pacbayes-mag-orig-dziugaite",
                                                        "sigma-magnitude-dziugaite");
}
Measure pacbayes_mag_flatness_dziugaite() {
  return measure<Form::flatness, true, Protocol::dziugaite>(
      pacbayes_mag_flatness(), "pacbayes-mag-flatness-dziugaite", "sigma-magnitude-dziugaite");
}

}  // namespace gapbench::measures
